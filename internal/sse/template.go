package sse

import (
	"encoding/binary"
	"math/bits"

	"github.com/serin-go/serin/internal/jsonwalk"
)

const maxTemplate = 4 << 10 // a chunk of one token has some hundred bytes

// template recognises the chunks of a stream that differ from one before them in
// nothing but their holes, which is nearly all of them: identity, model, time and
// everything around the token stay the same. Where a document equals the
// template outside of the holes, and what is in the holes is of the kind that was
// there, the cursor would take the very same way through it and end with the
// same result; so it need not go.
type template struct {
	text  []byte // the document it was taken from
	holes jsonwalk.Holes
	said  summary // said.said is the length of the text that matched last
}

// learn takes data, one whole document without line ends, for the template if it
// is an ordinary chunk.
func (t *template) learn(data []byte, k *chunk) {
	if k.holes.N == 0 || len(data) > maxTemplate || !k.plain() {
		return
	}
	t.text = append(t.text[:0], data...)
	t.holes = k.holes
	t.said = k.summary
}

// forget makes t match nothing. It keeps the memory.
func (t *template) forget() {
	if t.holes.N > 0 {
		t.text, t.holes.N, t.said = t.text[:0], 0, summary{}
	}
}

// plain reports whether the chunk bears tokens and says nothing else.
func (k *chunk) plain() bool {
	return k.bears() && k.calls == 0 && k.searches == 0 && len(k.finish) == 0 && k.turns.finishes == 0 && !k.fault.seen && !k.done && !k.usage.seen &&
		!k.repeats && !k.failed && !k.blocked && !k.deferred && k.items == 0
}

// match returns the length of the document at the start of p if it is one like
// the template, and 0 otherwise. The document holds no line end.
func (t *template) match(p []byte) int {
	if t.holes.N == 0 {
		return 0
	}
	i, from, said := 0, 0, 0
	for _, h := range t.holes.At[:t.holes.N] {
		n := h.From - from
		if len(p)-i < n || string(p[i:i+n]) != string(t.text[from:h.From]) {
			return 0
		}
		i += n
		end := 0
		if h.Number {
			end = jsonwalk.Digits(p, i)
		} else {
			end = unquoted(p, i)
			said += end - i
		}
		if end == i {
			return 0
		}
		i, from = end, h.To
	}
	rest := t.text[from:]
	if len(p)-i < len(rest) || string(p[i:i+len(rest)]) != string(rest) || i+len(rest) > headSize {
		return 0
	}
	t.said.said = said
	return i + len(rest)
}

// unquoted returns where the inside of a string that begins at i ends: the place
// of its closing quote. It returns i if it does not get there, for the lack of a
// quote or because of a control character, which may be the end of the line.
func unquoted(p []byte, i int) int {
	const blanks = jsonwalk.Ones * ' '
	from := i
	for i+8 <= len(p) { // eight bytes at a time
		x := binary.LittleEndian.Uint64(p[i:])
		// The lowest bit set is exact; those above it need not be.
		hit := jsonwalk.Zeros(x^jsonwalk.Quotes) | jsonwalk.Zeros(x^jsonwalk.Slashes) | (x-blanks)&^x&(jsonwalk.Ones<<7)
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) / 8
		if p[i] == '"' {
			return i
		}
		if p[i] != '\\' || i+1 < len(p) && p[i+1] < ' ' {
			return from
		}
		i += 2
	}
	for i < len(p) && p[i] >= ' ' {
		switch p[i] {
		case '"':
			return i
		case '\\':
			if i++; i < len(p) && p[i] < ' ' {
				return from
			}
		}
		i++
	}
	return from
}
