package sse

import (
	"encoding/binary"
	"math/bits"
)

const (
	maxHoles    = 3       // the token, padding against eavesdroppers, a number
	maxTemplate = 4 << 10 // a chunk of one token has some hundred bytes
)

// hole is a value of a document that changes from chunk to chunk without
// changing what the chunk says: the inside of a string that is not empty, or the
// digits of a whole number.
type hole struct {
	from, to int
	number   bool
}

// holes are the holes of one document, from left to right. Those beyond the
// bound are not noted, and then have to be equal in each chunk.
type holes struct {
	at [maxHoles]hole
	n  int
}

func (h *holes) add(from, to int, number bool) {
	if h.n < maxHoles && to > from {
		h.at[h.n] = hole{from, to, number}
		h.n++
	}
}

// template recognises the chunks of a stream that differ from one before them in
// nothing but their holes, which is nearly all of them: identity, model, time and
// everything around the token stay the same. Where a document equals the
// template outside of the holes, and what is in the holes is of the kind that was
// there, the cursor would take the very same way through it and end with the
// same result; so it need not go.
type template struct {
	text  []byte // the document it was taken from
	holes holes
	chunk chunk // what it said; without slices, as text is overwritten
}

// learn takes data, one whole document without line ends, for the template if it
// is an ordinary chunk.
func (t *template) learn(data []byte, k *chunk) {
	if k.holes.n == 0 || len(data) > maxTemplate || !k.plain() {
		return
	}
	t.text = append(t.text[:0], data...)
	t.holes = k.holes
	t.chunk = chunk{content: k.content, reasoning: k.reasoning, tool: k.tool, refusal: k.refusal, known: k.known}
}

// plain reports whether the chunk bears tokens and says nothing else.
func (k *chunk) plain() bool {
	return k.bears() && k.calls == 0 && len(k.finish) == 0 && k.err == nil && !k.done && !k.usage.seen
}

// match returns the length of the document at the start of p if it is one like
// the template, and 0 otherwise. The document holds no line end.
func (t *template) match(p []byte) int {
	if t.holes.n == 0 {
		return 0
	}
	i, from := 0, 0
	for _, h := range t.holes.at[:t.holes.n] {
		n := h.from - from
		if len(p)-i < n || string(p[i:i+n]) != string(t.text[from:h.from]) {
			return 0
		}
		i += n
		end := 0
		if h.number {
			end = digits(p, i)
		} else {
			end = unquoted(p, i)
		}
		if end == i {
			return 0
		}
		i, from = end, h.to
	}
	rest := t.text[from:]
	if len(p)-i < len(rest) || string(p[i:i+len(rest)]) != string(rest) || i+len(rest) > headSize {
		return 0
	}
	return i + len(rest)
}

// digits returns where the digits that begin at i end.
func digits(p []byte, i int) int {
	for i < len(p) && p[i]-'0' <= 9 {
		i++
	}
	return i
}

// unquoted returns where the inside of a string that begins at i ends: the place
// of its closing quote. It returns i if it does not get there, for the lack of a
// quote or because of a control character, which may be the end of the line.
func unquoted(p []byte, i int) int {
	const blanks = ones * ' '
	from := i
	for i+8 <= len(p) { // eight bytes at a time
		x := binary.LittleEndian.Uint64(p[i:])
		// The lowest bit set is exact; those above it need not be.
		hit := zeros(x^quotes) | zeros(x^slashes) | (x-blanks)&^x&(ones<<7)
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
