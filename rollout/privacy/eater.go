package privacy

import "strings"

// eating says how a value without bound goes on.
type eating uint8

const (
	nothing   eating = iota
	word             // letters, digits, '-' and '_'
	dotted           // words joined by dots: JSON web tokens
	bearer           // the characters of RFC 6750, 2.1
	block            // the body of a PEM block, to its end
	authority        // the rest of the authority of a URL
)

// eater drops the rest of a value without bound, byte by byte.
type eater struct {
	how    eating
	dashes int  // of a block, in a row
	end    int  // how much of "END" was seen after five dashes, 3 once it was
	closed bool // the end of the block is complete
}

// go_ returns the first byte from i that does not belong to the value, and sets how to
// nothing there. If the value may go on after b, it returns len(b), or the byte that depends
// on the next one.
func (e *eater) go_(b []byte, i int, final bool) int {
	for ; i < len(b); i++ {
		if e.how == block {
			if !e.block(b[i]) {
				e.how = nothing
				return i
			}
			continue
		}
		c := int(b[i])
		if e.how == authority {
			if endsAuthority(c) {
				e.how = nothing
				return i
			}
			continue
		}
		if e.in(c) {
			continue
		}
		if c == '.' && e.how != word { // only with something after it
			if i+1 == len(b) && !final {
				return i
			}
			if i+1 < len(b) && e.in(int(b[i+1])) {
				continue
			}
		}
		e.how = nothing
		return i
	}
	if final {
		e.how = nothing
	}
	return i
}

func (e *eater) in(c int) bool {
	if alnum(c) || c == '-' || c == '_' {
		return true
	}
	return e.how == bearer && (c == '~' || c == '+' || c == '/' || c == '=')
}

// block reports whether c belongs to the block.
func (e *eater) block(c byte) bool {
	const word = "END"
	switch {
	case e.closed:
		return false
	case c == '-':
		e.dashes++
		e.closed = e.end == len(word) && e.dashes == 5
		return true
	case e.end == len(word): // its label
		e.dashes = 0
		return c >= 'A' && c <= 'Z' || c == ' '
	case e.dashes >= 5 && e.end < len(word) && c == word[e.end]:
		e.end++
		if e.end == len(word) {
			e.dashes = 0
		}
		return true
	}
	e.dashes, e.end = 0, 0
	return true // headers, signs of quotation, and line ends that are escaped
}

// endsAuthority reports whether a byte is after the authority of a URL: RFC 3986, 3.2, and what
// stands around URLs in texts.
func endsAuthority(c int) bool {
	return c >= 0x80 || c <= ' ' || strings.IndexByte(`/?#"'<>\`+"`", byte(c)) >= 0
}
