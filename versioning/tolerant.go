package versioning

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"strings"
)

// ParseTolerant reads versions as people write them: spaces around, one "v",
// "V" or "=" in front, missing minor and patch numbers, and superfluous leading
// zeros, so that "v1.2", " 1 " and "01.2.3-rc.04" are 1.2.0, 1.0.0 and
// 1.2.3-rc.4. It does not search for a version in other text: what [Parse]
// would refuse for any other reason is refused here too, with a [*ParseError]
// that refers to s as given.
func ParseTolerant(s string) (Version, error) {
	if len(s) > MaxLength {
		return Version{}, &ParseError{s, MaxLength, TooLong}
	}
	pos, end := 0, len(s)
	for pos < end && asciiSpace(s[pos]) {
		pos++
	}
	for end > pos && asciiSpace(s[end-1]) {
		end--
	}
	if pos < end && (s[pos] == 'v' || s[pos] == 'V' || s[pos] == '=') {
		pos++
	}
	body := s[:end]
	var v Version
	for i, number := range [...]*uint64{&v.major, &v.minor, &v.patch} {
		if i > 0 {
			if pos >= end || body[pos] != '.' {
				break
			}
			pos++
		}
		for pos+1 < end && body[pos] == '0' && body[pos+1]-'0' <= 9 {
			pos++
		}
		n, next, reason := parseNumber(body, pos)
		if next < 0 {
			return Version{}, &ParseError{s, ^next, reason}
		}
		*number, pos = n, next
	}
	return parseTolerantTail(s, body, pos, v)
}

// parseTolerantTail reads the prerelease and the build of body from pos and
// rewrites numeric identifiers that begin with zeros.
func parseTolerantTail(s, body string, pos int, v Version) (Version, error) {
	if pos < len(body) && body[pos] == '-' {
		// The rules for build metadata are those for a prerelease but for the
		// leading zeros, and that no '+' may follow.
		stop := strings.IndexByte(body[pos:], '+')
		if stop < 0 {
			stop = len(body)
		} else {
			stop += pos
		}
		if end, reason := parseIdentifiers(body[:stop], pos+1, false); end < 0 {
			return Version{}, &ParseError{s, ^end, reason}
		}
		v.pre, pos = trimZeros(body[pos+1:stop]), stop
	}
	if pos < len(body) && body[pos] == '+' {
		end, reason := parseIdentifiers(body, pos+1, false)
		if end < 0 {
			return Version{}, &ParseError{s, ^end, reason}
		}
		v.build, pos = body[pos+1:end], end
	}
	if pos != len(body) {
		return Version{}, &ParseError{s, pos, Syntax}
	}
	return v, nil
}

// trimZeros removes superfluous zeros from the numeric identifiers of pre.
func trimZeros(pre string) string {
	changed := false
	ids := strings.Split(pre, ".")
	for i, id := range ids {
		if _, numeric := identifier(id); numeric && len(id) > 1 && id[0] == '0' {
			ids[i], changed = strings.TrimLeft(id[:len(id)-1], "0")+id[len(id)-1:], true
		}
	}
	if !changed {
		return pre
	}
	return strings.Join(ids, ".")
}

func asciiSpace(c byte) bool { return c == ' ' || c-'\t' <= '\r'-'\t' }

// FromGoModule reads the version of a Go module, "v1.2.3", which is a version
// with a "v" in front and nothing missing. "+incompatible" is build metadata.
// Errors are a [*ParseError].
func FromGoModule(s string) (Version, error) {
	if !strings.HasPrefix(s, "v") {
		return Version{}, &ParseError{s, 0, Syntax}
	}
	v, err := Parse(s[1:])
	if bad, ok := err.(*ParseError); ok {
		return Version{}, &ParseError{s, min(bad.Pos+1, len(s)), bad.Reason}
	}
	return v, nil
}

// CompareBuild is [Version.Compare], and orders versions of equal precedence by
// their build metadata: none comes first, then identifier by identifier as in a
// prerelease. The specification gives build metadata no order; this one is that
// of node-semver, and is total: 0 means v == w, but for builds such as "1" and
// "01", which differ in leading zeros alone.
func (v Version) CompareBuild(w Version) int {
	if c := v.Compare(w); c != 0 || v.build == w.build {
		return c
	}
	a, b := v.build, w.build
	for a != "" && b != "" {
		x, xNumeric := identifier(a)
		y, yNumeric := identifier(b)
		if c := compareIdentifiers(x, xNumeric, y, yNumeric); c != 0 {
			return c
		}
		a, b = strings.TrimPrefix(a[len(x):], "."), strings.TrimPrefix(b[len(y):], ".")
	}
	return cmp.Compare(len(a), len(b))
}

// compareIdentifiers orders two identifiers that may have leading zeros.
func compareIdentifiers(x string, xNumeric bool, y string, yNumeric bool) int {
	switch {
	case xNumeric && yNumeric:
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	case xNumeric:
		return -1
	case yNumeric:
		return +1
	}
	return cmp.Compare(x, y)
}

// Core returns major, minor and patch of v without prerelease and build.
func (v Version) Core() Version {
	return Version{major: v.major, minor: v.minor, patch: v.patch}
}

// Truncate returns v with everything below c set to nothing: 4.5.6-rc.2 is
// 4.0.0 for Major, 4.5.0 for Minor, 4.5.6 for Patch, and unchanged, but for its
// build metadata, for None.
func (v Version) Truncate(c Change) Version {
	switch c {
	case None:
		v.build = ""
		return v
	case Patch:
		return v.Core()
	case Minor:
		return Version{major: v.major, minor: v.minor}
	}
	return Version{major: v.major}
}

// WithPrerelease returns v announced by pre, "rc.1", in place of whatever
// prerelease and build metadata it had. An empty pre is [Version.Core]. Errors
// are a [*ParseError].
func (v Version) WithPrerelease(pre string) (Version, error) {
	core := v.Core()
	if pre == "" {
		return core, nil
	}
	text := core.String() + "-" + pre
	if plus := strings.IndexByte(text, '+'); plus >= 0 {
		return Version{}, &ParseError{text, plus, Syntax}
	}
	return Parse(text)
}

// Diff names the largest part in which v and w differ, in either direction, and
// whether the later of them is a prerelease. Build metadata is ignored. These
// are the answers of node-semver: its "premajor" is Major and true, its
// "prerelease" None and true, and its null None and false. From a prerelease to
// the release it announced is the change that was announced: from 1.0.0-rc.1
// to 1.0.0 is Major.
func (v Version) Diff(w Version) (c Change, prerelease bool) {
	order := v.Compare(w)
	if order == 0 {
		return None, false
	}
	low, high := v, w
	if order > 0 {
		low, high = w, v
	}
	prerelease = high.pre != ""
	if low.pre != "" && !prerelease {
		switch {
		case low.patch == 0 && low.minor == 0:
			return Major, false
		case low.Core() == high.Core() && low.patch == 0:
			return Minor, false
		case low.Core() == high.Core():
			return Patch, false
		}
	}
	switch {
	case v.major != w.major:
		return Major, prerelease
	case v.minor != w.minor:
		return Minor, prerelease
	case v.patch != w.patch:
		return Patch, prerelease
	}
	return None, prerelease
}

// NextPre returns the prerelease that comes after v. For Patch, Minor and Major
// it announces a change of that size: 1.2.3 with Minor and "rc" is followed by
// 1.3.0-rc.0. For None it counts on: 1.3.0-rc.0 is followed by 1.3.0-rc.1, and
// a release by the first prerelease of its next patch.
//
// An empty id counts with a number alone, 1.3.0-0, or goes on with the
// identifiers that v has. A different id starts again at 0. These are the rules
// of node-semver; as there, a new id that sorts before the old one gives a
// version that comes before v. An id that is not made of identifiers, or a
// number that has no successor, is a [*ParseError].
func (v Version) NextPre(c Change, id string) (Version, error) {
	if id != "" {
		if _, err := (Version{}).WithPrerelease(id); err != nil {
			return Version{}, fmt.Errorf("versioning: %q cannot identify a prerelease, want identifiers such as \"rc\": %w", id, err)
		}
	}
	core := v.Core()
	switch {
	case c == None && v.pre == "":
		core = core.Next(Patch)
	case c == Patch:
		core = core.Next(Patch)
	case c == Minor:
		core = core.Next(Minor)
	case c >= Major:
		core = core.Next(Major)
	}
	pre := "0"
	if c == None && v.pre != "" {
		pre = countOn(v.pre)
	}
	if id != "" {
		rest, continues := strings.CutPrefix(pre, id+".")
		first, numeric := identifier(rest)
		if !continues || !numeric || first == "" {
			pre = id + ".0"
		}
	}
	return Parse(core.String() + "-" + pre)
}

// countOn adds one to the last numeric identifier of pre, or appends a 0.
func countOn(pre string) string {
	ids := strings.Split(pre, ".")
	for i := len(ids) - 1; i >= 0; i-- {
		if _, numeric := identifier(ids[i]); numeric {
			ids[i] = increment(ids[i])
			return strings.Join(ids, ".")
		}
	}
	return pre + ".0"
}

// increment adds one to a decimal number of any length.
func increment(digits string) string {
	b := []byte(digits)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}

// Scan implements database/sql.Scanner for columns of text. NULL is an error,
// as 0.0.0 is a version like any other: scan into a [NullVersion] where a column
// may be NULL. On an error v is left as it was.
func (v *Version) Scan(src any) error {
	switch src := src.(type) {
	case string:
		return v.UnmarshalText([]byte(src))
	case []byte:
		return v.UnmarshalText(src)
	case nil:
		return fmt.Errorf("versioning: cannot scan NULL into a Version, want text; scan into a NullVersion")
	}
	return fmt.Errorf("versioning: cannot scan a %T into a Version, want text", src)
}

// Value implements database/sql/driver.Valuer: [Version.String].
func (v Version) Value() (driver.Value, error) { return v.String(), nil }

// NullVersion is a [Version] that may be NULL in a database. Its zero value is
// NULL.
type NullVersion struct {
	Version Version
	Valid   bool // false for NULL
}

// Scan implements database/sql.Scanner.
func (n *NullVersion) Scan(src any) error {
	if src == nil {
		*n = NullVersion{}
		return nil
	}
	if err := n.Version.Scan(src); err != nil {
		return err
	}
	n.Valid = true
	return nil
}

// Value implements database/sql/driver.Valuer.
func (n NullVersion) Value() (driver.Value, error) {
	if !n.Valid {
		return nil, nil
	}
	return n.Version.Value()
}
