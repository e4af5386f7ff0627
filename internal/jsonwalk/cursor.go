// Package jsonwalk walks JSON documents from left to right without decoding them
// and without allocating, and shortens documents that are too large to be kept.
package jsonwalk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"strconv"
)

// Cursor walks the structure of one JSON document. It accepts a little more than
// RFC 8259 allows inside strings, where it does not look, and nothing more outside
// of them. It stops for good when the bytes run out or cannot be a document.
type Cursor struct {
	B []byte // the document
	I int    // the index of the next byte
	// Bad reports that the document is broken at I; Short reports in addition that
	// the bytes ran out, so that more of them might mend it.
	Bad, Short bool

	Holes Holes
	Said  int // bytes within the strings that Filled has gone past

	fresh bool // the container was just entered: its first element has no comma
	plain bool // the string read last is known to have no escape
}

// Peek returns the next byte that is not white space, 0 at the end.
func (c *Cursor) Peek() byte {
	if c.I < len(c.B) {
		if ch := c.B[c.I]; ch > ' ' { // nearly always
			return ch
		}
	}
	return c.pastSpace()
}

func (c *Cursor) pastSpace() byte {
	for c.I < len(c.B) {
		switch ch := c.B[c.I]; ch {
		case ' ', '\n', '\r', '\t':
			c.I++
		default:
			return ch
		}
	}
	return 0
}

// fail stops the cursor.
func (c *Cursor) fail() {
	c.Bad = true
	c.Short = c.Short || c.I >= len(c.B)
}

// Open enters an object or array if one begins here. Otherwise it skips the
// value and reports false.
func (c *Cursor) Open(bracket byte) bool {
	if c.Peek() == bracket {
		c.I++
		c.fresh = true
		return true
	}
	c.Skip()
	return false
}

// More goes to the next member or element. It reports false, and has left the
// object or array, if there is no further one.
func (c *Cursor) More(bracket byte) bool {
	if c.Bad {
		return false
	}
	ch := c.Peek()
	if ch == bracket {
		c.I++
		c.fresh = false
		return false
	}
	if c.fresh {
		c.fresh = false
	} else if ch == ',' {
		c.I++
		ch = c.Peek()
	} else {
		c.fail()
		return false
	}
	switch ch {
	case 0, '}', ']', ',':
		c.fail()
		return false
	}
	return true
}

// Key reads a member's name and its colon. It returns the name decoded.
func (c *Cursor) Key() []byte {
	if c.Peek() != '"' {
		c.fail()
		return nil
	}
	k := c.quoted()
	if c.Peek() != ':' {
		c.fail()
		return nil
	}
	c.I++
	if c.plain {
		return k
	}
	return Unquote(k)
}

// Unquote decodes the inside of a string. It returns nil if it is not valid.
func Unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var s string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return []byte(s)
}

// Text returns a string value decoded. Any other value is skipped and gives nil.
func (c *Cursor) Text() []byte {
	if c.Peek() == '"' {
		v := c.quoted()
		if c.plain {
			return v
		}
		return Unquote(v)
	}
	c.Skip()
	return nil
}

// Filled skips a value and reports whether it is a string, array or object that
// is not empty. The inside of a string becomes a hole.
func (c *Cursor) Filled() bool {
	switch c.Peek() {
	case '"':
		v := c.quoted()
		c.Holes.Add(c.I-1-len(v), c.I-1, false)
		c.Said += len(v)
		return len(v) > 0
	case '[', '{':
		inside := Cursor{B: c.B, I: c.I + 1}
		ch := inside.Peek()
		c.Skip()
		return ch != 0 && ch != ']' && ch != '}'
	}
	c.Skip()
	return false
}

// Value skips a value and returns its bytes, or nil for null and false.
func (c *Cursor) Value() []byte {
	c.Peek()
	from := c.I
	c.Skip()
	if v := c.B[from:c.I]; len(v) > 0 && v[0] != 'n' && v[0] != 'f' {
		return v
	}
	return nil
}

// True skips a value and reports whether it is true.
func (c *Cursor) True() bool {
	v := c.Value()
	return len(v) > 0 && v[0] == 't'
}

// MaxNumber bounds the numbers that Number returns: no request has as many tokens.
const MaxNumber = 1 << 40

// Number returns a whole number from 0 to [MaxNumber], however it is written: 3,
// 3.0 or 3e0. Any other value is skipped and is not ok.
func (c *Cursor) Number() (n int, ok bool) {
	if ch := c.Peek(); ch-'1' <= 8 { // nearly always
		i := c.I
		for i < len(c.B) && c.B[i]-'0' <= 9 && n <= MaxNumber {
			n = n*10 + int(c.B[i]-'0')
			i++
		}
		if i < len(c.B) && !inScalar[c.B[i]] {
			c.I = i
			return n, n <= MaxNumber
		}
		n = 0
	}
	v := c.Value()
	for _, ch := range v {
		if ch < '0' || ch > '9' || n > MaxNumber {
			return fraction(v)
		}
		n = n*10 + int(ch-'0')
	}
	return n, len(v) > 0 && n <= MaxNumber
}

// fraction reads a whole number that is written with a point or an exponent.
func fraction(v []byte) (int, bool) {
	if len(v) > 40 || v[0] < '0' || v[0] > '9' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < 0 || f > MaxNumber || f != math.Trunc(f) {
		return 0, false
	}
	return int(f), true
}

// Counter skips a value whose digits become a hole, since the next document is
// likely to have other ones there.
func (c *Cursor) Counter() {
	c.Peek()
	from := c.I
	c.Skip()
	if Digits(c.B, from) == c.I {
		c.Holes.Add(from, c.I, true)
	}
}

// Skip goes past one value of any kind.
func (c *Cursor) Skip() {
	switch c.Peek() {
	case '"':
		c.quoted()
	case '{', '[':
		c.skipNested()
	default:
		c.scalar()
	}
}

// scalar goes past a number, true, false or null.
func (c *Cursor) scalar() {
	from := c.I
	i := from
	for i < len(c.B) && inScalar[c.B[i]] {
		i++
	}
	c.I = i
	token := c.B[from:i]
	if len(token) == 4 && string(token) == "null" {
		return
	}
	if len(token) == 0 {
		c.fail()
		return
	}
	switch token[0] {
	case 't':
		c.literal(token, "true", from)
	case 'f':
		c.literal(token, "false", from)
	case 'n':
		c.literal(token, "null", from)
	default:
		if !numeric(token) {
			c.I = from
			c.Bad, c.Short = true, i == len(c.B) && numeric(append(bytes.Clone(token), '0'))
		}
	}
}

func (c *Cursor) literal(token []byte, want string, from int) {
	if string(token) == want {
		return
	}
	c.Short = c.I == len(c.B) && len(token) < len(want) && want[:len(token)] == string(token)
	c.Bad, c.I = true, from
}

// numeric reports whether token is a number (RFC 8259, section 6).
func numeric(token []byte) bool {
	i := 0
	if i < len(token) && token[i] == '-' {
		i++
	}
	whole := Digits(token, i)
	if whole == i || token[i] == '0' && whole > i+1 {
		return false
	}
	i = whole
	if i < len(token) && token[i] == '.' {
		end := Digits(token, i+1)
		if end == i+1 {
			return false
		}
		i = end
	}
	if i < len(token) && token[i]|0x20 == 'e' {
		i++
		if i < len(token) && (token[i] == '+' || token[i] == '-') {
			i++
		}
		end := Digits(token, i)
		if end == i {
			return false
		}
		i = end
	}
	return i == len(token)
}

// maxDepth bounds how deep a document may be nested.
const maxDepth = 256

// nesting says of each level of nesting whether it is an object.
type nesting struct {
	object [maxDepth / 64]uint64
	depth  int
}

// push enters a level. It reports false if there are too many.
func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	bit := uint64(1) << (n.depth % 64)
	n.object[n.depth/64] &^= bit
	if object {
		n.object[n.depth/64] |= bit
	}
	n.depth++
	return true
}

// inObject reports whether the innermost level is an object.
func (n *nesting) inObject() bool {
	return n.depth > 0 && n.object[(n.depth-1)/64]>>((n.depth-1)%64)&1 == 1
}

// skipNested goes past an object or array, without recursion.
func (c *Cursor) skipNested() {
	var in nesting
	for !c.Bad {
		switch ch := c.Peek(); ch {
		case '{', '[':
			if !in.push(ch == '{') {
				c.Bad = true
				return
			}
			c.I++
			c.fresh = true
		case '"':
			c.quoted()
		default:
			c.scalar()
		}
		for {
			closing := byte(']')
			if in.inObject() {
				closing = '}'
			}
			if c.More(closing) {
				if closing == '}' {
					c.Key()
				}
				break
			}
			if c.Bad {
				return
			}
			if in.depth--; in.depth == 0 {
				return
			}
		}
	}
}

// quoted reads the string that begins here and returns its raw inside.
func (c *Cursor) quoted() []byte {
	from := c.I + 1
	i := from
	// Most strings are short. Eight bytes at a time finds their end in less
	// time than a call takes; the first quote or backslash is the lowest set bit.
	for n := 0; n < 4 && i+8 <= len(c.B); n++ {
		x := binary.LittleEndian.Uint64(c.B[i:])
		if hit := Zeros(x^Quotes) | Zeros(x^Slashes); hit != 0 {
			i += bits.TrailingZeros64(hit) / 8
			if c.B[i] == '"' {
				c.I, c.plain = i+1, true
				return c.B[from:i]
			}
			break
		}
		i += 8
	}
	c.plain = false
	for {
		n := bytes.IndexByte(c.B[i:], '"')
		if n < 0 {
			c.Bad, c.Short, c.I = true, true, len(c.B)
			return c.B[from:]
		}
		i += n
		// The quote is part of the text if an odd number of backslashes
		// stands before it.
		back := i
		for back > from && c.B[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			c.I = i + 1
			return c.B[from:i]
		}
		i++
	}
}

// Patterns for searching eight bytes at a time.
const (
	Ones    = 0x0101010101010101
	Quotes  = Ones * '"'
	Slashes = Ones * '\\'
)

// Zeros sets the high bit of the lowest byte of x that is zero, and possibly
// bits above it.
func Zeros(x uint64) uint64 { return (x - Ones) &^ x & (Ones << 7) }

// Digits returns where the digits that begin at i end.
func Digits(p []byte, i int) int {
	for i < len(p) && p[i]-'0' <= 9 {
		i++
	}
	return i
}

// inScalar holds the bytes of numbers and of true, false and null, and letters in
// general, so that a wrong word is seen as a whole.
var inScalar = func() (set [256]bool) {
	for ch := range set {
		set[ch] = ch > ' ' && ch != ',' && ch != ':' && ch != '"' && ch != '{' && ch != '}' && ch != '[' && ch != ']'
	}
	return set
}()
