package privacy

import "strings"

// The scanner goes once over the bytes of a text, and looks closer at bytes that may be
// part of a value: triggers. What it decides at a trigger depends only on the bytes from
// maxBack before it to maxAhead after it. So it decides the same wherever a stream is cut,
// and a stream holds back at most maxBack + maxAhead = 256 bytes.
const (
	maxLocal = 64  // bytes before a trigger that a value may begin at; RFC 5321, 4.5.3.1.1
	maxBack  = 96  // from the begin of a value to a trigger whose value may join it
	maxAhead = 160 // bytes after a trigger that are looked at
	maxKept  = 8   // bytes before the text that are kept for boundaries
)

// What byteAt returns in place of a byte.
const (
	ended = -1 // there is no byte, or it is too far away to matter
	later = -2 // it has not arrived
)

// span is a value, or several that overlap.
type span struct {
	start, end int
	kind       Kind
	longest    int  // length of the value that kind is of
	closed     bool // nothing joins it
}

// verdict is what a detector decides.
type verdict int

const (
	no verdict = iota
	yes
	wait // the bytes that decide have not arrived
)

// found is the outcome of a detector. For wait, start is the first byte that may be part
// of the value.
type found struct {
	verdict
	start, end int
	kind       Kind
	rest       eating // how the value goes on after end
	closed     bool
}

// scanner is the state of one text.
type scanner struct {
	r     *Redactor
	buf   []byte
	done  int // bytes of buf that were emitted; the last of them are context
	at    int // bytes of buf in which there are no undecided triggers
	final bool
	spans []span
	eat   eater
	open  bool // the value that eat goes on with was replaced
	count int  // of replaced values
	found []found
	emit  func(dst []byte, kind Kind, value []byte) []byte
}

func (x *scanner) reset(r *Redactor) {
	*x = scanner{r: r, buf: x.buf[:0], spans: x.spans[:0], found: x.found[:0], emit: r.replace}
}

// byteAt returns byte j as a detector at trigger i may see it.
func (x *scanner) byteAt(j, i int) int {
	switch {
	case j >= i+maxAhead:
		return ended
	case j < len(x.buf):
		return int(x.buf[j])
	case x.final:
		return ended
	}
	return later
}

// before returns the byte before i, 0 at the begin of the text and after an escape.
func (x *scanner) before(i int) byte {
	if i == 0 || x.escaped(i) {
		return 0
	}
	return x.buf[i-1]
}

// escaped reports whether an escape of JSON ends at i that no letter of a value can be: texts
// hold JSON, and JSON holds JSON.
func (x *scanner) escaped(i int) bool {
	if i < 2 {
		return false
	}
	if x.buf[i-2] == '\\' && strings.IndexByte("nrtbf", x.buf[i-1]) >= 0 {
		return true
	}
	_, ok := x.unicode(i)
	return ok
}

// unicode returns the code unit of an escape \uXXXX that ends at i.
func (x *scanner) unicode(i int) (unit int, ok bool) {
	if i < 6 || x.buf[i-6] != '\\' || x.buf[i-5] != 'u' {
		return 0, false
	}
	for _, c := range x.buf[i-4 : i] {
		if !hexa(int(c)) {
			return 0, false
		}
		if digit(int(c)) {
			unit = unit<<4 | int(c-'0')
		} else {
			unit = unit<<4 | int(c|0x20-'a'+10)
		}
	}
	return unit, true
}

// low returns the first byte at which a value of a trigger at i may begin.
func (x *scanner) low(i int) int {
	low := x.done
	for k := len(x.spans) - 1; k >= 0; k-- {
		if s := x.spans[k]; s.closed || i-s.start > maxBack {
			return max(low, s.end)
		}
	}
	return low
}

// scan decides about the triggers in buf as far as it can. It returns the first byte that
// may be part of a value which is not decided.
func (x *scanner) scan() int {
	class := &x.r.class
	for x.at < len(x.buf) {
		if x.eat.how != nothing {
			x.at = x.eat.go_(x.buf, x.at, x.final)
			if !x.open {
				last := &x.spans[len(x.spans)-1]
				last.end = x.at
			}
			if x.eat.how != nothing {
				return x.at // the rest has not arrived
			}
			if x.open {
				x.done, x.open = x.at, false
			}
			continue
		}
		i := x.at
		for i < len(x.buf) && class[x.buf[i]] == 0 {
			i++
		}
		if x.at = i; i == len(x.buf) {
			break
		}
		if hold, wait := x.look(i); wait {
			return hold
		}
	}
	if x.final {
		return len(x.buf)
	}
	return x.word(len(x.buf), x.low(x.at))
}

// look runs the detectors of the trigger at i. If one of them has to wait, it returns the
// first byte that may be part of its value.
func (x *scanner) look(i int) (hold int, waits bool) {
	x.found = x.found[:0]
	low := x.low(i)
	x.detect(i, low)
	hold = x.word(i, low) // a later trigger may reach back over i
	for _, f := range x.found {
		if f.verdict == wait {
			hold, waits = min(hold, max(f.start, low)), true
		}
	}
	if waits {
		return hold, true
	}
	next := i + 1
	for _, f := range x.found {
		if f.verdict == yes {
			x.add(f)
			next = max(next, f.end)
			if f.rest != nothing {
				x.eat = eater{how: f.rest}
			}
		}
	}
	if next == i+1 && digit(int(x.buf[i])) {
		for next < len(x.buf) && digit(int(x.buf[next])) && !x.escaped(next) { // no value begins within a number
			next++
		}
	}
	x.at = next
	return 0, false
}

// add adds a value, and joins it with those that it overlaps.
func (x *scanner) add(f found) {
	s := span{f.start, f.end, f.kind, f.end - f.start, f.closed}
	for k := len(x.spans) - 1; k >= 0 && x.spans[k].end > s.start; k-- {
		o := x.spans[k]
		s.start, s.end = min(s.start, o.start), max(s.end, o.end)
		if s.closed == o.closed && o.longest >= s.longest || o.closed && !s.closed {
			s.kind, s.longest = o.kind, o.longest
		}
		s.closed = s.closed || o.closed
		x.spans = x.spans[:k]
	}
	x.spans = append(x.spans, s)
}

// run appends to dst what can be emitted.
func (x *scanner) run(dst []byte) []byte {
	cut := x.scan()
	for again := true; again; {
		again = false
		for _, s := range x.spans {
			if s.start < cut && cut < s.end && !s.closed && x.at-s.start <= maxBack {
				cut, again = s.start, true
			}
		}
	}
	if x.open { // what is dropped was replaced before
		x.done = max(x.done, x.at)
	}
	n := 0
	for _, s := range x.spans {
		if s.start >= cut {
			break
		}
		dst = append(dst, x.buf[x.done:s.start]...)
		dst = x.emit(dst, s.kind, x.buf[s.start:s.end])
		x.done = s.end
		x.count++
		n++
	}
	x.spans = x.spans[:copy(x.spans, x.spans[n:])]
	if x.done < cut {
		dst = append(dst, x.buf[x.done:cut]...)
		x.done = cut
	}
	if x.eat.how != nothing {
		x.open = true
	}
	return dst
}

// shift forgets what was emitted, except the context.
func (x *scanner) shift() {
	drop := x.done - maxKept
	if drop <= 0 {
		return
	}
	n := copy(x.buf, x.buf[drop:])
	x.buf, x.done, x.at = x.buf[:n], x.done-drop, x.at-drop
	for k := range x.spans {
		x.spans[k].start -= drop
		x.spans[k].end -= drop
	}
}

// word returns where the word ends begins that ends at i: the bytes that may be the local
// part of an address, and with it the begin of every other value.
func (x *scanner) word(i, low int) int {
	if i > low && latin(x.buf[i-1]) { // half of a letter
		i--
	}
	return x.local(i, low)
}

// local returns the begin of the local part that ends at i.
func (x *scanner) local(i, low int) int {
	s, low := i, max(low, i-maxLocal)
	for s > low {
		c := x.buf[s-1]
		switch {
		case localByte[c]:
			s--
			continue
		case c >= 0x80 && c < 0xC0 && s-2 >= low && latin(x.buf[s-2]):
			s -= 2
			continue
		}
		break
	}
	if s == 0 || x.buf[s-1] != '\\' { // no escape
		return s
	}
	end := s + 1
	if end < i && x.buf[s] == 'u' {
		end = s + 5
	}
	if end <= i && x.escaped(end) {
		return end
	}
	return s
}

// latin reports whether c begins a Latin letter of two bytes, U+00C0 to U+027F.
func latin(c byte) bool { return c >= 0xC3 && c <= 0xC9 }

var localByte = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum(c)
	}
	for _, c := range "._%+-'" {
		t[c] = true
	}
	return t
}()

func digit(c int) bool  { return c >= '0' && c <= '9' }
func letter(c int) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' && c > 0 }
func alnum(c int) bool  { return digit(c) || letter(c) }
func hexa(c int) bool   { return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' && c > 0 }
