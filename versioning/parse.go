package versioning

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// MaxLength is the maximum length of a version in bytes. The specification sets no
// limit, and its FAQ calls 255 bytes overkill.
const MaxLength = 256

// Reason is the kind of a [ParseError].
type Reason uint8

const (
	// Syntax means an unexpected byte or an unexpected end of the text.
	Syntax Reason = iota
	// LeadingZero means a number with a leading zero (§2, §9).
	LeadingZero
	// Overflow means that major, minor or patch exceeds 64 bits. The grammar allows
	// such numbers.
	Overflow
	// TooLong means more than [MaxLength] bytes.
	TooLong
)

// String returns the reason in words, "leading zero".
func (r Reason) String() string {
	switch r {
	case Syntax:
		return "syntax"
	case LeadingZero:
		return "leading zero"
	case Overflow:
		return "number too large"
	case TooLong:
		return "too long"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// ParseError means that a text is not a version.
type ParseError struct {
	// Input is the whole text.
	Input string
	// Pos is the byte offset of the problem in Input. It is len(Input) if the text
	// ends too early.
	Pos int
	// Reason is the kind of problem.
	Reason Reason
}

// shown is the maximum length of bad input in an error message.
const shown = 64

func (e *ParseError) Error() string {
	input, dots := e.Input, ""
	if len(input) > shown {
		input, dots = input[:shown], "..."
	}
	what := e.Reason.String()
	switch {
	case e.Reason == TooLong:
		what = fmt.Sprintf("%d bytes, want at most %d", len(e.Input), MaxLength)
	case e.Reason == Syntax && e.Pos >= len(e.Input):
		what = fmt.Sprintf("unexpected end at byte %d, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]", e.Pos)
	case e.Reason == Syntax:
		r, _ := utf8.DecodeRuneInString(e.Input[e.Pos:])
		what = fmt.Sprintf("unexpected %q at byte %d, want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]", r, e.Pos)
	default:
		what = fmt.Sprintf("%s at byte %d", what, e.Pos)
	}
	return fmt.Sprintf("versioning: %q%s is not a version: %s", input, dots, what)
}

// Parse parses a version as SemVer 2.0.0 defines it. It rejects a leading "v",
// missing numbers, spaces and leading zeros. Every error is a [*ParseError]. The
// result shares the memory of s. Parse does not allocate unless it fails.
func Parse(s string) (Version, error) {
	// Most versions are three short numbers. This is their fast path.
	major, i := digits(s, 0)
	if !short(s, 0, i) || i == len(s) || s[i] != '.' {
		return parse(s)
	}
	start := i + 1
	minor, i := digits(s, start)
	if !short(s, start, i) || i == len(s) || s[i] != '.' {
		return parse(s)
	}
	start = i + 1
	patch, i := digits(s, start)
	if !short(s, start, i) {
		return parse(s)
	}
	v := Version{major: major, minor: minor, patch: patch}
	if i == len(s) {
		return v, nil
	}
	if len(s) > MaxLength {
		return parse(s)
	}
	return parseTail(s, i, v)
}

// digits parses the number at i. A long number overflows.
func digits(s string, i int) (n uint64, end int) {
	for i < len(s) && s[i]-'0' <= 9 {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	return n, i
}

// short reports whether s[start:end] is a number without a leading zero that fits
// into 64 bits.
func short(s string, start, end int) bool {
	return uint(end-start-1) < safe && (s[start] != '0' || end == start+1)
}

// safe is the number of digits that always fit into 64 bits.
const safe = 19

// parse is the slow path of [Parse]. It returns the precise error.
func parse(s string) (Version, error) {
	if len(s) > MaxLength {
		return Version{}, &ParseError{s, MaxLength, TooLong}
	}
	var v Version
	pos := 0
	for i, number := range [...]*uint64{&v.major, &v.minor, &v.patch} {
		if i > 0 {
			if pos >= len(s) || s[pos] != '.' {
				return Version{}, &ParseError{s, pos, Syntax}
			}
			pos++
		}
		n, end, reason := parseNumber(s, pos)
		if end < 0 {
			return Version{}, &ParseError{s, ^end, reason}
		}
		*number, pos = n, end
	}
	return parseTail(s, pos, v)
}

// parseTail parses the text after the three numbers.
func parseTail(s string, pos int, v Version) (Version, error) {
	if pos < len(s) && s[pos] == '-' {
		end, reason := parseIdentifiers(s, pos+1, true)
		if end < 0 {
			return Version{}, &ParseError{s, ^end, reason}
		}
		v.pre, pos = s[pos+1:end], end
	}
	if pos < len(s) && s[pos] == '+' {
		end, reason := parseIdentifiers(s, pos+1, false)
		if end < 0 {
			return Version{}, &ParseError{s, ^end, reason}
		}
		v.build, pos = s[pos+1:end], end
	}
	if pos != len(s) {
		return Version{}, &ParseError{s, pos, Syntax}
	}
	return v, nil
}

// MustParse is [Parse] for constants. It panics if s is not a version.
func MustParse(s string) Version {
	v, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return v
}

// parseNumber parses the digits of s from pos. On success, end is the index of the
// first byte after them. On failure, end is the complement of the position of the
// problem, and negative.
func parseNumber(s string, pos int) (n uint64, end int, reason Reason) {
	i := pos
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		d := uint64(s[i] - '0')
		if i-pos >= safe && (n > math.MaxUint64/10 || n*10 > math.MaxUint64-d) {
			return 0, ^pos, Overflow
		}
		n = n*10 + d
	}
	switch {
	case i == pos:
		return 0, ^pos, Syntax
	case s[pos] == '0' && i > pos+1:
		return 0, ^pos, LeadingZero
	}
	return n, i, 0
}

// parseIdentifiers parses dot-separated identifiers of s from pos up to the end or
// a '+'. In a prerelease, numbers must not have a leading zero. Its results are like
// the results of [parseNumber].
func parseIdentifiers(s string, pos int, prerelease bool) (end int, reason Reason) {
	for i := pos; ; i++ {
		start, words := i, byte(0)
		for ; i < len(s); i++ {
			class := classOf[s[i]]
			if class == 0 {
				break
			}
			words |= class & word
		}
		switch {
		case i == start:
			return ^i, Syntax // an empty identifier, or a byte that cannot begin one
		case prerelease && words == 0 && s[start] == '0' && i > start+1:
			return ^start, LeadingZero
		case i == len(s) || s[i] == '+' && prerelease:
			return i, 0
		case s[i] != '.':
			return ^i, Syntax
		}
	}
}

const (
	digit = 1 << iota
	word
)

// classOf classifies the bytes of an identifier (§9, §10). Letters and hyphens make
// it a word. Other bytes have class 0.
var classOf = func() (class [256]byte) {
	for c := '0'; c <= '9'; c++ {
		class[c] = digit
	}
	for c := 'a'; c <= 'z'; c++ {
		class[c] = word
		class[c-'a'+'A'] = word
	}
	class['-'] = word
	return class
}()
