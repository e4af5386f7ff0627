package versioning

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// MaxLength is the length in bytes of the longest text that [Parse] accepts.
// The specification sets no limit and calls 255 bytes overkill in its FAQ.
const MaxLength = 256

// Reason says in which way a text is not a version.
type Reason uint8

const (
	// Syntax: a byte that the grammar does not allow there, or the end of the
	// text where more was due.
	Syntax Reason = iota
	// LeadingZero: a number written with a superfluous zero in front (§2, §9).
	LeadingZero
	// Overflow: major, minor or patch is larger than 18446744073709551615. The
	// grammar allows such numbers; 64 bits do not hold them.
	Overflow
	// TooLong: more than [MaxLength] bytes.
	TooLong
)

// String describes the reason in a few words.
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

// ParseError says what is wrong with a text that should have been a version.
type ParseError struct {
	// Input is the whole text.
	Input string
	// Pos is the byte of Input at which the trouble begins; it is len(Input)
	// when the text ended too early.
	Pos int
	// Reason is the kind of trouble.
	Reason Reason
}

// shown bounds how much of a bad input an error message repeats.
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

// Parse reads s as a version after SemVer 2.0.0 and accepts nothing else: no
// leading "v", no missing number, no spaces, no leading zeros. Every error is
// a [*ParseError]. The result shares the memory of s; Parse itself does not
// allocate unless it fails.
func Parse(s string) (Version, error) {
	// Most versions are three short numbers. They are read here, without calls,
	// and everything else, errors included, below.
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

// digits reads the number that begins at i, which overflows when it is long.
func digits(s string, i int) (n uint64, end int) {
	for i < len(s) && s[i]-'0' <= 9 {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	return n, i
}

// short reports whether s[start:end] are digits of which 64 bits hold any, with
// no superfluous zero in front.
func short(s string, start, end int) bool {
	return uint(end-start-1) < safe && (s[start] != '0' || end == start+1)
}

// safe is how many digits always fit into 64 bits.
const safe = 19

// parse is Parse, which says what is wrong.
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

// parseTail reads what follows the three numbers.
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

// MustParse is [Parse] for versions that are written into the program. It
// panics when s is not a version.
func MustParse(s string) Version {
	v, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return v
}

// parseNumber reads the digits of s from pos. On success end is the index of
// the first byte after them; on failure it is the complement of the position
// at which the trouble is, hence negative.
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

// parseIdentifiers reads dot-separated identifiers of s from pos up to the end
// or a '+'. In a prerelease, numbers must not begin with a superfluous zero. It
// returns like [parseNumber].
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

// classOf tells which bytes may stand in an identifier (§9, §10): digits, and
// letters or hyphens, one of which makes the identifier a word.
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
