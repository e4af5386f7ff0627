package sse

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// cursor walks the structure of one JSON document from left to right without
// decoding it. It accepts more than JSON allows, since its job is to find, not to
// judge; but it never takes the inside of a string for structure. When the bytes
// run out, or cannot be a document, it stops for good and bad is set.
type cursor struct {
	b   []byte
	i   int
	bad bool

	holes holes
}

// peek returns the next byte that is not white space, 0 at the end.
func (c *cursor) peek() byte {
	if c.i < len(c.b) {
		if ch := c.b[c.i]; ch > ' ' { // nearly always
			return ch
		}
	}
	return c.pastSpace()
}

func (c *cursor) pastSpace() byte {
	for c.i < len(c.b) {
		switch ch := c.b[c.i]; ch {
		case ' ', '\n', '\r', '\t':
			c.i++
		default:
			return ch
		}
	}
	return 0
}

// open enters an object or array if one begins here. Otherwise it skips the
// value and reports false.
func (c *cursor) open(bracket byte) bool {
	if c.peek() == bracket {
		c.i++
		return true
	}
	c.skip()
	return false
}

// more goes to the next member or element; it reports false, and has left the
// object or array, when there is none.
func (c *cursor) more(bracket byte) bool {
	ch := c.peek()
	if ch == ',' {
		c.i++
		ch = c.peek()
	}
	switch {
	case c.bad:
		return false
	case ch == bracket:
		c.i++
		return false
	case ch == 0, ch == '}', ch == ']', ch == ',':
		c.bad = true
		return false
	}
	return true
}

// key reads a member's name and its colon. Names with escapes are returned as
// they are spelt; none of interest has any.
func (c *cursor) key() []byte {
	if c.peek() != '"' {
		c.bad = true
		return nil
	}
	k := c.quoted()
	if c.peek() != ':' {
		c.bad = true
		return nil
	}
	c.i++
	return k
}

// text returns the raw inside of a string value; nil for any other value, which
// is skipped.
func (c *cursor) text() []byte {
	if c.peek() == '"' {
		return c.quoted()
	}
	c.skip()
	return nil
}

// filled skips a value and reports whether there is something in it: a string,
// array or object that is not empty.
func (c *cursor) filled() bool {
	switch c.peek() {
	case '"':
		v := c.quoted()
		c.holes.add(c.i-1-len(v), c.i-1, false)
		return len(v) > 0
	case '[', '{':
		open := c.i + 1
		inside := cursor{b: c.b, i: open}
		ch := inside.peek()
		c.skip()
		return ch != 0 && ch != ']' && ch != '}'
	}
	c.skip()
	return false
}

// value skips a value and returns its bytes; nil for null and for false.
func (c *cursor) value() []byte {
	c.peek()
	from := c.i
	c.skip()
	if v := c.b[from:c.i]; len(v) > 0 && v[0] != 'n' && v[0] != 'f' {
		return v
	}
	return nil
}

// number returns a whole number >= 0; any other value is skipped and not ok.
func (c *cursor) number() (n int, ok bool) {
	const limit = 1 << 40 // no request has as many tokens
	v := c.value()
	for _, ch := range v {
		if ch < '0' || ch > '9' || n > limit {
			return 0, false
		}
		n = n*10 + int(ch-'0')
	}
	return n, len(v) > 0
}

// counter skips a value that is likely to be another one in the next document.
func (c *cursor) counter() {
	c.peek()
	from := c.i
	c.skip()
	if digits(c.b, from) == c.i {
		c.holes.add(from, c.i, true)
	}
}

// skip goes past one value of any kind.
func (c *cursor) skip() {
	switch c.peek() {
	case '"':
		c.quoted()
	case '{', '[':
		c.skipNested()
	case 0, '}', ']', ',', ':':
		c.bad = true
	default:
		i := c.i
		for i < len(c.b) && !delimits[c.b[i]] {
			i++
		}
		c.i = i
	}
}

// skipNested goes past an object or array of any depth, without recursion.
func (c *cursor) skipNested() {
	depth := 0
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			c.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.i++
		if depth == 0 {
			return
		}
	}
	c.bad = true
}

// quoted reads the string that begins here and returns its raw inside.
func (c *cursor) quoted() []byte {
	from := c.i + 1
	i := from
	// Most strings are short. Eight bytes at a time finds their end in less
	// time than a call takes; the first quote or backslash is the lowest set bit.
	for n := 0; n < 4 && i+8 <= len(c.b); n++ {
		x := binary.LittleEndian.Uint64(c.b[i:])
		if hit := zeros(x^quotes) | zeros(x^slashes); hit != 0 {
			i += bits.TrailingZeros64(hit) / 8
			if c.b[i] == '"' {
				c.i = i + 1
				return c.b[from:i]
			}
			break
		}
		i += 8
	}
	for {
		n := bytes.IndexByte(c.b[i:], '"')
		if n < 0 {
			c.bad, c.i = true, len(c.b)
			return c.b[from:]
		}
		i += n
		// The quote is part of the text if an odd number of backslashes
		// stands before it.
		back := i
		for back > from && c.b[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			c.i = i + 1
			return c.b[from:i]
		}
		i++
	}
}

const (
	ones    = 0x0101010101010101
	quotes  = ones * '"'
	slashes = ones * '\\'
)

// zeros sets the high bit of the lowest byte of x that is zero, and possibly
// bits above it.
func zeros(x uint64) uint64 { return (x - ones) &^ x & (ones << 7) }

// delimits holds the bytes that end a number, true, false or null.
var delimits = [256]bool{
	',': true, ':': true, '"': true, '{': true, '}': true, '[': true, ']': true,
	' ': true, '\n': true, '\r': true, '\t': true,
}
