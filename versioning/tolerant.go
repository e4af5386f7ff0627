package versioning

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// ParseTolerant parses versions as people write them. In addition to [Parse], it
// accepts surrounding spaces, one leading "v", "V" or "=", missing minor and patch
// numbers, and leading zeros. It parses "v1.2", " 1 " and "01.2.3-rc.04" as 1.2.0,
// 1.0.0 and 1.2.3-rc.4. It does not search for a version in other text. Every error
// is a [*ParseError] that refers to s.
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

// parseTolerantTail parses the prerelease and the build of body from pos. It removes
// leading zeros from numeric identifiers.
func parseTolerantTail(s, body string, pos int, v Version) (Version, error) {
	if pos < len(body) && body[pos] == '-' {
		// Build metadata has the same rules as a prerelease, except that it may
		// have leading zeros and no '+' may follow.
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

// trimZeros removes leading zeros from the numeric identifiers of pre.
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

// CompareBuild is like [Version.Compare], but orders versions of equal precedence by
// their build metadata. A version without build metadata comes first. Identifiers
// are compared as in a prerelease. The specification defines no order for build
// metadata; this is the order of node-semver. A result of 0 means v == w, except for
// builds that differ only in leading zeros.
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

// Truncate returns v without the parts below c: 4.5.6-rc.2 becomes 4.0.0 for Major,
// 4.5.0 for Minor and 4.5.6 for Patch. For None it only drops build metadata.
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

// WithPrerelease returns v with the prerelease pre, "rc.1", and without build
// metadata. If pre is empty, it returns [Version.Core]. Every error is a
// [*ParseError].
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

// Diff returns the largest part in which v and w differ, in either order, and
// whether the later version is a prerelease. It ignores build metadata. The results
// agree with diff of node-semver: Major and true stand for "premajor", None and true
// for "prerelease", and None and false for null. From a prerelease to its release, the
// result is the change that the prerelease announced: from 1.0.0-rc.1 to 1.0.0 it
// is Major.
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

// NextPre returns the next prerelease after v. For Patch, Minor and Major, it is a
// prerelease of the version with that change: after 1.2.3 with Minor and "rc" comes
// 1.3.0-rc.0. For None, it increments the number of the prerelease: after 1.3.0-rc.0
// comes 1.3.0-rc.1. After a release comes the first prerelease of the next patch.
//
// If id is empty, NextPre keeps the identifiers of v, or uses only a number,
// 1.3.0-0. A different id starts again at 0. These are the rules of node-semver. As
// there, an id that sorts before the old one gives a version before v. It returns a
// [*ParseError], wrapped, if id is not a valid prerelease or a number has no
// successor.
func (v Version) NextPre(c Change, id string) (Version, error) {
	if id != "" {
		if _, err := (Version{}).WithPrerelease(id); err != nil {
			return Version{}, fmt.Errorf("versioning: prerelease id: invalid (have %q, want identifiers such as \"rc\"): %w", id, err)
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

// Scan implements database/sql.Scanner for text columns. NULL is an error; use a
// [NullVersion] for a column that may be NULL. On an error, v is unchanged.
func (v *Version) Scan(src any) error {
	switch src := src.(type) {
	case string:
		return v.UnmarshalText([]byte(src))
	case []byte:
		return v.UnmarshalText(src)
	case nil:
		return errors.New("versioning: scan: cannot scan into a Version (have NULL, want text); use a NullVersion")
	}
	return fmt.Errorf("versioning: scan: cannot scan into a Version (have %T, want text)", src)
}

// Value implements database/sql/driver.Valuer. It returns [Version.String].
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
