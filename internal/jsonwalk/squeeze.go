package jsonwalk

import "bytes"

// Squeezer shortens a JSON document as its bytes come, so that a document of any
// size can be read afterwards from little memory: members that are not of interest
// are dropped, long strings are cut, and of an array of numbers the first one
// stays, as 0. What comes out is never longer than what went in, and is broken if
// that was. The zero value needs Keep.
type Squeezer struct {
	// Keep reports whether a member is of interest. top is the name of the member
	// of the outermost object that it lies in, name its own, and depth the number of
	// objects and arrays around it. Longer names than 63 bytes are not.
	Keep func(top, name []byte, depth int) bool
	// Cut returns how many bytes of a string are kept below the member top.
	Cut func(top []byte) int

	in      nesting
	written [maxDepth]bool // whether the level has anything in it already
	dropped int            // depth at which a value of no interest began, 0 if none
	state   squeezeState
	token   [maxToken]byte // a name or a scalar
	n       int            // of token
	long    bool           // the name or scalar does not fit
	top     [maxToken]byte
	topLen  int
	kept    int  // of the string under way
	keeping bool // whether its present byte is kept
	escape  int  // digits of an escape that are still to come, or behindBackslash
	broken  bool // nothing that comes can mend it
}

type squeezeState uint8

const (
	wantValue squeezeState = iota
	wantFirst              // an element or a closing bracket
	wantName
	wantFirstName // a name or a closing brace
	wantColon
	inName
	inString
	inToken
	afterValue
)

const (
	maxToken        = 64
	behindBackslash = 5
)

// wrong is what a broken document goes on with: it can be part of none.
const wrong = '!'

// Feed appends what remains of p to dst. dst may be the beginning of p.
func (s *Squeezer) Feed(dst, p []byte) []byte {
	for i := 0; i < len(p); {
		ch := p[i]
		switch s.state {
		case inString, inName:
			if n := s.passed(p[i:]); n > 0 {
				i += n
				continue
			}
			i++
			dst = s.inQuotes(dst, ch)
			continue
		case inToken:
			if inScalar[ch] {
				s.add(ch)
				i++
				continue
			}
			dst = s.endToken(dst)
			continue // ch comes after the value
		}
		i++
		if ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t' {
			continue
		}
		if s.broken {
			continue
		}
		dst = s.structure(dst, ch)
	}
	return dst
}

// End appends what remains when no more bytes come.
func (s *Squeezer) End(dst []byte) []byte {
	if s.state == inToken {
		dst = s.endToken(dst)
	}
	return dst
}

// Reset makes s ready for another document. It keeps Keep and Cut.
func (s *Squeezer) Reset() { *s = Squeezer{Keep: s.Keep, Cut: s.Cut} }

func (s *Squeezer) fail(dst []byte) []byte {
	s.broken = true
	return append(dst, wrong)
}

func (s *Squeezer) add(ch byte) {
	if s.n == maxToken {
		s.long = true
		return
	}
	s.token[s.n] = ch
	s.n++
}

// dropping reports whether the present place is of no interest.
func (s *Squeezer) dropping() bool { return s.dropped > 0 }

// begin notes that a value is written here, after a comma if one is due.
func (s *Squeezer) begin(dst []byte) []byte {
	if s.in.depth == 0 || s.in.inObject() {
		return dst // the name has brought its comma
	}
	return s.comma(dst)
}

func (s *Squeezer) comma(dst []byte) []byte {
	level := &s.written[s.in.depth-1]
	if *level {
		dst = append(dst, ',')
	}
	*level = true
	return dst
}

// structure takes a byte outside of strings and scalars.
func (s *Squeezer) structure(dst []byte, ch byte) []byte {
	switch s.state {
	case wantValue, wantFirst:
		if ch == ']' && s.state == wantFirst {
			return s.close(dst, ch)
		}
		return s.value(dst, ch)
	case wantName, wantFirstName:
		switch {
		case ch == '"':
			s.state, s.n, s.long, s.escape = inName, 0, false, 0
			return dst
		case ch == '}' && s.state == wantFirstName:
			return s.close(dst, ch)
		}
	case wantColon:
		if ch == ':' {
			return s.named(dst)
		}
	case afterValue:
		switch {
		case s.in.depth == 0: // text behind the document
			return s.value(dst, ch)
		case ch == ',' && s.in.inObject():
			s.state = wantName
			return dst
		case ch == ',':
			s.state = wantValue
			return dst
		case ch == '}' && s.in.inObject(), ch == ']' && !s.in.inObject():
			return s.close(dst, ch)
		}
	}
	return s.fail(dst)
}

// value begins a value.
func (s *Squeezer) value(dst []byte, ch byte) []byte {
	switch ch {
	case '{', '[':
		if !s.dropping() {
			dst = append(s.begin(dst), ch)
		}
		if !s.in.push(ch == '{') {
			return s.fail(dst)
		}
		s.written[s.in.depth-1] = false
		s.state = wantFirst
		if ch == '{' {
			s.state = wantFirstName
		}
	case '"':
		if !s.dropping() {
			dst = append(s.begin(dst), '"')
		}
		s.state, s.kept, s.escape = inString, 0, 0
	case '}', ']', ',', ':':
		return s.fail(dst)
	default:
		s.state, s.n, s.long = inToken, 0, false
		s.add(ch)
	}
	return dst
}

// close ends an object or array.
func (s *Squeezer) close(dst []byte, ch byte) []byte {
	s.in.depth--
	if !s.dropping() {
		dst = append(dst, ch)
	}
	return s.after(dst)
}

// after notes the end of a value.
func (s *Squeezer) after(dst []byte) []byte {
	s.state = afterValue
	if s.dropped >= s.in.depth {
		s.dropped = 0
	}
	return dst
}

// named decides whether the member whose name was read is of interest.
func (s *Squeezer) named(dst []byte) []byte {
	s.state = wantValue
	if s.dropping() {
		return dst
	}
	name := s.token[:s.n]
	plain := Unquote(name)
	if s.in.depth == 1 {
		s.topLen = copy(s.top[:], plain)
	}
	if s.long || plain == nil || !s.Keep(s.top[:s.topLen], plain, s.in.depth) {
		s.dropped = s.in.depth
		return dst
	}
	dst = append(s.comma(dst), '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// passed returns how many bytes at the start of p are within a string of which
// nothing more is kept, and decide nothing.
func (s *Squeezer) passed(p []byte) int {
	if s.state != inString || s.escape != 0 || !s.dropping() && s.kept < s.Cut(s.top[:s.topLen]) {
		return 0
	}
	const window = 1 << 10 // bounds what is searched twice
	near := p[:min(len(p), window)]
	if n := bytes.IndexByte(near, '"'); n >= 0 {
		near = near[:n]
	}
	if n := bytes.IndexByte(near, '\\'); n >= 0 {
		near = near[:n]
	}
	return len(near)
}

// inQuotes takes a byte of a string or a name.
func (s *Squeezer) inQuotes(dst []byte, ch byte) []byte {
	switch {
	case s.escape == behindBackslash && ch == 'u':
		s.escape = 4
	case s.escape == behindBackslash:
		s.escape = 0
	case s.escape > 0:
		s.escape--
	case ch == '"' && s.state == inName:
		s.state = wantColon
		return dst
	case ch == '"':
		if !s.dropping() {
			dst = append(dst, '"')
		}
		return s.after(dst)
	default: // an escape is kept whole or not at all
		s.keeping = s.state == inString && !s.dropping() && s.kept < s.Cut(s.top[:s.topLen])
		if ch == '\\' {
			s.escape = behindBackslash
		}
	}
	if s.state == inName {
		s.add(ch)
	} else if s.keeping {
		s.kept++
		dst = append(dst, ch)
	}
	return dst
}

// endToken ends a number, true, false or null.
func (s *Squeezer) endToken(dst []byte) []byte {
	token := s.token[:s.n]
	c := Cursor{B: token}
	c.scalar()
	if c.Bad && !s.long {
		s.state = afterValue
		return s.fail(dst)
	}
	number := token[0] != 't' && token[0] != 'f' && token[0] != 'n'
	switch array := s.in.depth > 0 && !s.in.inObject(); {
	case s.dropping():
	case array && number && s.written[s.in.depth-1]:
	case array && number || s.long:
		dst = append(s.begin(dst), '0')
	default:
		dst = append(s.begin(dst), token...)
	}
	return s.after(dst)
}
