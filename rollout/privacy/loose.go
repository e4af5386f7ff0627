package privacy

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// loose redacts JSON that arrives in pieces or that is broken: strings are decoded, and
// everything else is text. A value outside of strings is replaced by a string.
type loose struct {
	outside, inside *Stream
	quoted          bool   // within a string
	escape          []byte // that is not complete
	out             []byte // scratch
	count           int
}

func (r *Redactor) loose() *loose {
	s := &loose{outside: r.Stream(), inside: r.Stream()}
	s.outside.scanner.emit = func(dst []byte, kind Kind, value []byte) []byte {
		out := r.replace(nil, kind, value)
		if n := len(dst); n > 0 && dst[n-1] == '-' { // the sign of a number
			dst, out = dst[:n-1], append([]byte("-"), out...)
		}
		return appendQuoted(dst, out)
	}
	return s
}

// append appends to dst what can be sent on after a piece.
func (s *loose) append(dst, piece []byte) []byte {
	for len(piece) > 0 {
		n := 0
		if !s.quoted {
			for n < len(piece) && piece[n] != '"' {
				n++
			}
			dst = s.outside.Append(dst, piece[:n])
			if n < len(piece) {
				dst = append(s.outside.Flush(dst), '"')
				s.quoted = true
				n++
			}
			piece = piece[n:]
			continue
		}
		if len(s.escape) > 0 || piece[0] == '\\' {
			s.escape = append(s.escape, piece[0])
			piece = piece[1:]
			if text, n := unescape(s.escape); n > 0 {
				rest := bytes.Clone(s.escape[n:])
				s.escape = s.escape[:0]
				dst = s.append(s.text(dst, text), rest)
			}
			continue
		}
		for n < len(piece) && piece[n] != '"' && piece[n] != '\\' {
			n++
		}
		dst = s.text(dst, piece[:n])
		if n < len(piece) && piece[n] == '"' {
			s.out = s.inside.Flush(s.out[:0])
			dst = append(appendEscaped(dst, s.out), '"')
			s.quoted = false
			n++
		}
		piece = piece[n:]
	}
	s.count = s.outside.scanner.count + s.inside.scanner.count
	return dst
}

func (s *loose) text(dst, text []byte) []byte {
	s.out = s.inside.Append(s.out[:0], text)
	return appendEscaped(dst, s.out)
}

// held returns the number of bytes that were not sent on.
func (s *loose) held() int { return s.outside.held() + s.inside.held() + len(s.escape) }

// flush appends the rest to dst.
func (s *loose) flush(dst []byte) []byte {
	if s.quoted {
		dst = s.text(dst, s.escape)
		s.out = s.inside.Flush(s.out[:0])
		dst = appendEscaped(dst, s.out)
		s.quoted, s.escape = false, s.escape[:0]
	}
	dst = s.outside.Flush(dst)
	s.count = s.outside.scanner.count + s.inside.scanner.count
	return dst
}

// unescape decodes an escape of n bytes; n is 0 if it is not complete. Half of a surrogate pair
// waits for the other one. What is not an escape stays as it is.
func unescape(e []byte) (text []byte, n int) {
	unit := func(b []byte) (rune, bool) {
		var s string
		if b[1] != 'u' || json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s) != nil {
			return 0, false
		}
		var u rune
		for _, c := range b[2:6] {
			switch {
			case c >= 'a':
				c -= 'a' - 10
			case c >= 'A':
				c -= 'A' - 10
			default:
				c -= '0'
			}
			u = u<<4 | rune(c)
		}
		return u, true
	}
	switch n := len(e); {
	case n < 2:
		return nil, 0
	case e[1] != 'u':
		var s string
		if json.Unmarshal([]byte{'"', e[0], e[1], '"'}, &s) != nil {
			return e, n
		}
		return []byte(s), n
	case n < 6:
		if !hexa(int(e[n-1])) && n > 2 {
			return e[:n-1], n - 1
		}
		return nil, 0
	}
	first, ok := unit(e[:6])
	if !ok {
		return e[:5], 5
	}
	if !utf16.IsSurrogate(first) || first >= 0xDC00 {
		return utf8.AppendRune(nil, first), 6
	}
	const second = `\u`
	last := e[len(e)-1]
	switch n := len(e) - 6; {
	case n == 0:
		return nil, 0
	case n <= len(second) && last != second[n-1], n > len(second) && !hexa(int(last)):
		return utf8.AppendRune(nil, utf8.RuneError), 6 // the other half is missing
	case n < 6:
		return nil, 0
	}
	low, _ := unit(e[6:])
	if r := utf16.DecodeRune(first, low); r != utf8.RuneError {
		return utf8.AppendRune(nil, r), 12
	}
	return utf8.AppendRune(nil, utf8.RuneError), 6
}
