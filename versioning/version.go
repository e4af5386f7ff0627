package versioning

import (
	"cmp"
	"math"
	"strconv"
)

// Version is a version as SemVer 2.0.0 defines it. The zero value is 0.0.0. A
// Version is always valid, because only this package can make one.
//
// Two Versions are == if all parts are equal, including build metadata. Use this as
// a map key and for the identity of deployed releases. [Version.Compare] orders
// versions by precedence, and ignores build metadata.
//
// A Version marshals to text and JSON as [Version.String].
type Version struct {
	major, minor, patch uint64
	// Without the leading '-' and '+'. They share the memory of the parsed text, so
	// that Parse does not allocate.
	pre, build string
}

// Major returns the first number. It grows with breaking changes.
func (v Version) Major() uint64 { return v.major }

// Minor returns the second number. It grows with additions.
func (v Version) Minor() uint64 { return v.minor }

// Patch returns the third number. It grows with fixes.
func (v Version) Patch() uint64 { return v.patch }

// Prerelease returns the identifiers after the hyphen, "rc.1" in 1.2.3-rc.1+b5, or
// "". A prerelease comes before the release (§9).
func (v Version) Prerelease() string { return v.pre }

// Build returns the build metadata after the plus sign, "b5" in 1.2.3-rc.1+b5, or
// "". It does not affect precedence (§10).
func (v Version) Build() string { return v.build }

// Compare returns -1 if v comes before w, +1 if it comes after w, and 0 if they have
// equal precedence (§11). It ignores build metadata, so 0 does not mean that v == w.
// Use it with slices.SortFunc.
func (v Version) Compare(w Version) int {
	switch {
	case v.major != w.major:
		return cmp.Compare(v.major, w.major)
	case v.minor != w.minor:
		return cmp.Compare(v.minor, w.minor)
	case v.patch != w.patch:
		return cmp.Compare(v.patch, w.patch)
	case v.pre == w.pre:
		return 0
	case v.pre == "":
		return +1
	case w.pre == "":
		return -1
	}
	return comparePrerelease(v.pre, w.pre)
}

// comparePrerelease orders two different, non-empty prereleases. The first
// identifier in which they differ decides.
func comparePrerelease(a, b string) int {
	short := min(len(a), len(b))
	at, start := 0, 0
	for at < short && a[at] == b[at] {
		if a[at] == '.' {
			start = at + 1
		}
		at++
	}
	switch {
	case at == len(a) && b[at] == '.':
		return -1 // a larger set of fields comes later (§11.4.4)
	case at == len(b) && a[at] == '.':
		return +1
	}
	x, xNumeric := identifier(a[start:])
	y, yNumeric := identifier(b[start:])
	switch {
	case xNumeric && yNumeric && len(x) != len(y):
		// Without leading zeros, the longer number is larger. It may exceed every
		// integer type.
		return cmp.Compare(len(x), len(y))
	case xNumeric != yNumeric:
		if xNumeric {
			return -1 // numbers come before words (§11.4.3)
		}
		return +1
	}
	return cmp.Compare(x, y)
}

// identifier returns the first dot-separated identifier of s and whether it
// consists of digits only.
func identifier(s string) (id string, numeric bool) {
	numeric = true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			return s[:i], numeric
		case c < '0' || c > '9':
			numeric = false
		}
	}
	return s, numeric
}

// Next returns the version after v for a change of size c. After a prerelease comes
// its release if that is large enough: after 1.2.0-rc.1 comes 1.2.0 for a Patch or a
// Minor, and 2.0.0 for a Major. Next drops build metadata. Next(None) returns v.
//
// The result comes after v. If a number has no successor in 64 bits, the number
// before it grows instead. Only the largest version has no successor, and Next
// returns it unchanged.
func (v Version) Next(c Change) Version {
	announced := v.pre != ""
	switch c {
	case None:
		return v
	case Patch:
		if announced {
			return Version{major: v.major, minor: v.minor, patch: v.patch}
		}
		if v.patch < math.MaxUint64 {
			return Version{major: v.major, minor: v.minor, patch: v.patch + 1}
		}
		fallthrough
	case Minor:
		if announced && v.patch == 0 {
			return Version{major: v.major, minor: v.minor}
		}
		if v.minor < math.MaxUint64 {
			return Version{major: v.major, minor: v.minor + 1}
		}
		fallthrough
	default: // Major or larger
		if announced && v.minor == 0 && v.patch == 0 {
			return Version{major: v.major}
		}
		if v.major < math.MaxUint64 {
			return Version{major: v.major + 1}
		}
		return v
	}
}

// String returns v as it was parsed: "1.2.3-rc.1+b5".
func (v Version) String() string {
	var room [64]byte
	return string(v.append(room[:0]))
}

// AppendText appends [Version.String] to b. The error is always nil.
func (v Version) AppendText(b []byte) ([]byte, error) { return v.append(b), nil }

// MarshalText returns [Version.String]. The error is always nil.
func (v Version) MarshalText() ([]byte, error) { return v.append(nil), nil }

func (v Version) append(b []byte) []byte {
	b = strconv.AppendUint(b, v.major, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, v.minor, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, v.patch, 10)
	if v.pre != "" {
		b = append(b, '-')
		b = append(b, v.pre...)
	}
	if v.build != "" {
		b = append(b, '+')
		b = append(b, v.build...)
	}
	return b
}

// UnmarshalText sets v to the result of [Parse]. On an error, a [*ParseError], v is
// unchanged.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
