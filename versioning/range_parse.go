package versioning

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RangeOptions configures the parsing of ranges. The zero value is the grammar and
// the default mode of node-semver.
type RangeOptions struct {
	// IncludePrerelease treats prereleases like other versions: "1.x" then contains
	// every prerelease from 1.0.0-0 to 2.0.0-0, exclusive.
	IncludePrerelease bool
	// Lenient also accepts the spellings of Masterminds/semver: "," for AND,
	// "!=" (with x-ranges too), "=>" and "=<", leading zeros, and numbers up to
	// 64 bits. The rule for prereleases remains the rule of node-semver. "!=1.2.3"
	// means "<1.2.3 || >1.2.3".
	Lenient bool
}

// RangeError means that a text is not a range.
type RangeError struct {
	// Input is the whole text.
	Input string
	// Term is the invalid part of Input, or empty if the problem concerns the whole
	// text.
	Term string
	// Problem describes the problem in words.
	Problem string
}

func (e *RangeError) Error() string {
	if e.Term == "" {
		return fmt.Sprintf("versioning: %q is not a range: %s", clip(e.Input), e.Problem)
	}
	return fmt.Sprintf("versioning: %q is not a range: %q: %s", clip(e.Input), clip(e.Term), e.Problem)
}

// clip shortens bad input for an error message.
func clip(s string) string {
	if len(s) <= shown {
		return s
	}
	return s[:shown] + "..."
}

// ParseRange parses a range in npm syntax: comparators ("<2", ">=1.2.3"), "^1.2",
// "~1.2", x-ranges ("1.x", "*", ""), hyphen ranges ("1.2 - 2.3"), spaces for AND and
// "||" for OR. It accepts the same texts as node-semver. Numbers there have 53 bits,
// so a bound above 9007199254740991 is an error, except with Lenient of
// [RangeOptions]. Every error is a [*RangeError].
func ParseRange(s string) (Range, error) { return RangeOptions{}.Parse(s) }

// MustParseRange is [ParseRange] for constants. It panics if s is not a range.
func MustParseRange(s string) Range {
	r, err := ParseRange(s)
	if err != nil {
		panic(err)
	}
	return r
}

// Parse parses a range with the options o. Every error is a [*RangeError].
func (o RangeOptions) Parse(s string) (Range, error) {
	if len(s) > MaxRangeLength {
		return Range{}, &RangeError{s, "", fmt.Sprintf("too long (have %d bytes, want at most %d)", len(s), MaxRangeLength)}
	}
	p := rangeParser{RangeOptions: o, limit: 1<<53 - 1}
	if o.Lenient {
		p.limit = 1<<64 - 2 // one less than the largest, because upper bounds are one more
	}
	rest := collapse(s, o.Lenient)
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "||")
		start := len(p.terms)
		if problem := p.alternative(strings.Trim(part, " ")); problem != "" {
			return Range{}, &RangeError{s, p.term, problem}
		}
		p.close(start)
	}
	return Range{&conditions{text: s, terms: reduce(p.terms), include: o.IncludePrerelease}}, nil
}

// rangeParser collects the comparators of one range.
type rangeParser struct {
	RangeOptions
	limit uint64
	terms []comparator
	term  string // being parsed, for errors
	holes []comparator
}

const (
	malformed = "want a comparator such as >=1.2.3, ^1.2, ~1.2, 1.x or 1.2 - 2.3"
	tooLarge  = "a number is too large"
	tooMany   = "too many != conditions"
)

// alternative parses the text between two "||" and appends its comparators.
func (p *rangeParser) alternative(s string) (problem string) {
	p.holes = p.holes[:0]
	s = stripBuild(s)
	if from, to, found := strings.Cut(s, " - "); found {
		low, okLow := p.partial(from, true)
		high, okHigh := p.partial(strings.TrimSuffix(to, " "), true)
		if okLow && okHigh {
			p.term = s
			return p.hyphen(low, high)
		}
	}
	after := false // behind a blank that stripBuild left
	for more := true; more; {
		var token string
		token, s, more = strings.Cut(s, " ")
		token, s, more = joinOperator(token, s, more, after)
		p.term, after = token, token == ""
		if problem := p.comparator(token); problem != "" {
			return problem
		}
	}
	return p.cutHoles()
}

// joinOperator appends the version to token, an operator with a blank after it. It
// deletes the same blanks as node-semver: one after each operator, but not after an
// "=" that is a second sign or follows a "v". Where build metadata was removed, two
// blanks remain; after reports such blanks before token.
func joinOperator(token, s string, more, after bool) (string, string, bool) {
	for joined := after && token == "="; more && s != "" && opensComparator(token, joined); {
		end := token[len(token)-1]
		prefix := end == '~' || end == '^'
		var next string
		next, s, more = strings.Cut(s, " ")
		joined = !prefix || next == ""
		switch {
		case token == "~>" && strings.HasPrefix(next, ">"):
			token, joined = "~", false
		case prefix && next == "" && more && startsVersion(s):
			next, s, more = strings.Cut(s, " ")
		}
		token += next
	}
	return token, s, more
}

// startsVersion reports whether s begins with a version or x-range.
func startsVersion(s string) bool {
	s = strings.TrimLeft(s, "v=")
	return s != "" && (s[0]-'0' <= 9 || s[0] == 'x' || s[0] == 'X' || s[0] == '*')
}

// opensComparator reports whether token ends in an operator that lacks its version.
func opensComparator(token string, joined bool) bool {
	if token == "" || joined {
		return false
	}
	switch token[len(token)-1] {
	case '<', '>', '^', '~':
		return true
	case '=':
		before := strings.TrimSuffix(token, "=")
		return before == "" || before[len(before)-1] != 'v' && before[len(before)-1] != '='
	}
	return false
}

// partial is a version with wildcards. n holds what is given; width counts the
// numbers before the first wildcard.
type partial struct {
	text   string // as written, with its prefix
	prefix string // signs and letters v before it
	n      [3]uint64
	wild   [3]bool
	pre    string
	plain  bool // a bare or v-prefixed version that may stand as it is
}

func (q *partial) width() int {
	for i, wild := range q.wild {
		if wild {
			return i
		}
	}
	return 3
}

// disordered reports whether a number follows a wildcard, "1.x.3".
func (q *partial) disordered() bool {
	return q.wild[0] && !q.wild[1] || q.wild[1] && !q.wild[2]
}

// partial parses "[v=]*X[.Y[.Z[-PRE]]]".
func (p *rangeParser) partial(s string, blanks bool) (q partial, ok bool) {
	i := 0
	for i < len(s) && (s[i] == 'v' || s[i] == '=' || blanks && s[i] == ' ') {
		i++
	}
	q = partial{text: s, prefix: s[:i], wild: [3]bool{true, true, true}}
	for k := range 3 {
		if k > 0 {
			if i >= len(s) || s[i] != '.' {
				return q, i == len(s)
			}
			i++
		}
		switch {
		case i < len(s) && (s[i] == 'x' || s[i] == 'X' || s[i] == '*'):
			i++
			continue
		case p.Lenient:
			for i+1 < len(s) && s[i] == '0' && s[i+1]-'0' <= 9 {
				i++
			}
		}
		n, end, reason := parseNumber(s, i)
		if end < 0 && reason == Overflow {
			for end = i; end < len(s) && s[end]-'0' <= 9; end++ {
			}
			n = 1<<64 - 1 // exceeds every limit
		} else if end < 0 {
			return q, false
		}
		q.n[k], q.wild[k], i = n, false, end
	}
	if i < len(s) && s[i] == '-' {
		end, _ := parseIdentifiers(s, i+1, true)
		if end != len(s) {
			return q, false
		}
		q.pre = s[i+1:]
		i = end
	}
	q.plain = q.prefix == "" || q.prefix == "v"
	return q, i == len(s)
}

// comparator appends the comparators of one word of a range.
func (p *rangeParser) comparator(token string) (problem string) {
	if token == "" {
		return p.add(opAny, Version{})
	}
	switch {
	case token[0] == '^':
		if q, ok := p.partial(token[1:], false); ok {
			return p.caret(q)
		}
	case token[0] == '~':
		if q, ok := p.partial(strings.TrimPrefix(token[1:], ">"), false); ok {
			return p.tilde(q)
		}
	case p.Lenient && strings.HasPrefix(token, "!="):
		if q, ok := p.partial(token[2:], false); ok && !q.disordered() {
			return p.hole(q)
		}
		return malformed
	}
	op, rest := splitOperator(token, p.Lenient)
	q, ok := p.partial(rest, false)
	if ok && !q.disordered() {
		return p.primitive(op, q)
	}
	// node-semver deletes a star from an unknown word, and accepts the rest if it
	// is a comparator: "1.2.3*".
	if at := strings.IndexByte(token, '*'); at >= 0 {
		before := strings.TrimSuffix(token[:at], "=")
		if n := len(before); n > 0 && (before[n-1] == '<' || before[n-1] == '>') {
			before = before[:n-1]
		}
		token = before + token[at+1:]
		if token == "" {
			return p.add(opAny, Version{})
		}
		op, rest = splitOperator(token, p.Lenient)
		if plus := strings.IndexByte(rest, '+'); plus >= 0 {
			if end, _ := parseIdentifiers(rest, plus+1, false); end == len(rest) {
				rest = rest[:plus]
			}
		}
		if q, ok := p.partial(rest, false); ok && q.width() == 3 && q.plain {
			return p.add(op, q.version())
		}
	}
	return malformed
}

func splitOperator(s string, lenient bool) (op operator, rest string) {
	switch {
	case strings.HasPrefix(s, "<="), lenient && strings.HasPrefix(s, "=<"):
		return opLessEqual, s[2:]
	case strings.HasPrefix(s, ">="), lenient && strings.HasPrefix(s, "=>"):
		return opGreaterEqual, s[2:]
	case strings.HasPrefix(s, "<"):
		return opLess, s[1:]
	case strings.HasPrefix(s, ">"):
		return opGreater, s[1:]
	case strings.HasPrefix(s, "="):
		return opEqual, s[1:]
	}
	return opEqual, s
}

func (q *partial) version() Version {
	return Version{major: q.n[0], minor: q.n[1], patch: q.n[2], pre: q.pre}
}

// least returns the smallest version of an x-range.
func (p *rangeParser) least(q *partial) Version {
	v := Version{major: q.n[0], minor: q.n[1], patch: q.n[2]}
	if p.IncludePrerelease {
		v.pre = "0"
	}
	return v
}

// after returns the first version after all that have the same first numbers as q:
// 2.0.0-0 for 1.x, which also excludes prereleases of 2.0.0.
func after(q *partial, numbers int) Version {
	switch numbers {
	case 1:
		return Version{major: q.n[0] + 1, pre: "0"}
	case 2:
		return Version{major: q.n[0], minor: q.n[1] + 1, pre: "0"}
	}
	return Version{major: q.n[0], minor: q.n[1], patch: q.n[2] + 1, pre: "0"}
}

// exceeds reports whether a bound from q is too large.
func (p *rangeParser) exceeds(q *partial) bool {
	return slices.ContainsFunc(q.n[:q.width()], func(n uint64) bool { return n > p.limit })
}

func (p *rangeParser) caret(q partial) string {
	switch width := q.width(); {
	case width == 0:
		return p.add(opAny, Version{})
	case p.exceeds(&q):
		return tooLarge
	case width < 3:
		clear(q.n[width:])
		fixed := 1
		if width == 2 && q.n[0] == 0 {
			fixed = 2
		}
		return p.between(p.least(&q), after(&q, fixed))
	}
	fixed := 1
	if q.n[0] == 0 {
		fixed = 2
		if q.n[1] == 0 {
			fixed = 3
		}
	}
	return p.between(q.version(), after(&q, fixed))
}

func (p *rangeParser) tilde(q partial) string {
	switch width := q.width(); {
	case width == 0:
		return p.add(opAny, Version{})
	case p.exceeds(&q):
		return tooLarge
	case width < 3:
		clear(q.n[width:])
		return p.between(p.least(&q), after(&q, width))
	}
	return p.between(q.version(), after(&q, 2))
}

func (p *rangeParser) between(low, high Version) string {
	if problem := p.add(opGreaterEqual, low); problem != "" {
		return problem
	}
	return p.add(opLess, high)
}

// primitive appends an operator with a version or an x-range.
func (p *rangeParser) primitive(op operator, q partial) string {
	width := q.width()
	switch {
	case width == 0 && (op == opLess || op == opGreater):
		return p.add(opLess, Version{pre: "0"}) // no version is beyond all versions
	case width == 0:
		return p.add(opAny, Version{})
	case p.exceeds(&q):
		return tooLarge
	case width == 3 && !q.plain:
		return malformed
	case width == 3 && q.prefix != "":
		return p.keep(op, q.version())
	case width == 3:
		return p.add(op, q.version())
	}
	clear(q.n[width:])
	switch op {
	case opGreater:
		v := after(&q, width)
		if !p.IncludePrerelease {
			v.pre = ""
		}
		return p.add(opGreaterEqual, v)
	case opLessEqual:
		return p.add(opLess, after(&q, width))
	case opLess:
		v := q.version()
		v.pre = "0"
		return p.add(opLess, v)
	case opGreaterEqual:
		return p.add(opGreaterEqual, p.least(&q))
	}
	return p.between(p.least(&q), after(&q, width))
}

func (p *rangeParser) hyphen(low, high partial) string {
	lowWidth, highWidth := low.width(), high.width()
	if p.exceeds(&low) || p.exceeds(&high) {
		return tooLarge
	}
	if lowWidth == 3 && !low.plain || highWidth == 3 && !high.plain && high.pre == "" && !p.IncludePrerelease {
		return malformed
	}
	switch {
	case lowWidth == 0 && highWidth == 0:
		return p.add(opAny, Version{})
	case lowWidth > 0:
		clear(low.n[lowWidth:])
		v := low.version()
		if lowWidth < 3 {
			v.pre = ""
		}
		if p.IncludePrerelease && v.pre == "" {
			v.pre = "0"
		}
		add := p.add
		if lowWidth == 3 && low.prefix != "" {
			add = p.keep
		}
		if problem := add(opGreaterEqual, v); problem != "" {
			return problem
		}
	}
	switch {
	case highWidth == 0:
		return ""
	case highWidth < 3 || high.pre == "" && p.IncludePrerelease:
		clear(high.n[highWidth:])
		return p.add(opLess, after(&high, highWidth))
	}
	return p.add(opLessEqual, high.version())
}

// add appends one comparator to the current conjunction. A comparator that every
// version satisfies becomes opAny. node-semver recognises it in the text, and not
// after a "v": see keep.
func (p *rangeParser) add(op operator, v Version) (problem string) {
	least := Version{}
	if p.IncludePrerelease {
		least.pre = "0"
	}
	if op == opGreaterEqual && v == least {
		op, v = opAny, Version{}
	}
	return p.keep(op, v)
}

// keep appends one comparator as it is.
func (p *rangeParser) keep(op operator, v Version) (problem string) {
	if max(v.major, v.minor, v.patch) > p.limit {
		return tooLarge
	}
	if v.pre != "" && len(v.pre) > MaxLength-len("0.0.0-") && len(v.String()) > MaxLength {
		return fmt.Sprintf("a version of more than %d bytes", MaxLength)
	}
	if p.terms == nil {
		p.terms = make([]comparator, 0, 2)
	}
	p.terms = append(p.terms, comparator{v: v, op: op})
	return ""
}

// collapse replaces every run of blanks, and of commas in lenient mode, by one space.
func collapse(s string, lenient bool) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c < utf8.RuneSelf && !(c-'\t' <= '\r'-'\t') && !(lenient && c == ',') && !(c == ' ' && i+1 < len(s) && s[i+1] == ' ')
	}
	if plain {
		return strings.Trim(s, " ")
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return blank(r) || lenient && r == ','
	}), " ")
}

// blank reports whether r is white space in ECMAScript.
func blank(r rune) bool {
	return r == 0xfeff || r != 0x85 && unicode.IsSpace(r)
}

// stripBuild removes all build metadata from s.
func stripBuild(s string) string {
	at := strings.IndexByte(s, '+')
	if at < 0 {
		return s
	}
	b := []byte(s[:at])
	for at < len(s) {
		if s[at] != '+' {
			b = append(b, s[at])
			at++
			continue
		}
		end := at + 1
		for end < len(s) && classOf[s[end]] != 0 {
			end++
			if end+1 < len(s) && s[end] == '.' && classOf[s[end+1]] != 0 {
				end++
			}
		}
		if end == at+1 {
			b = append(b, '+')
		}
		at = end
	}
	return string(b)
}
