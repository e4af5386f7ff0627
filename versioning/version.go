package versioning

import (
	"cmp"
	"math"
	"strconv"
)

// Version is one version after SemVer 2.0.0. Its zero value is 0.0.0. Values
// come from [Parse], [MustParse], [Version.Next] or unmarshalling, so a Version
// is always valid.
//
// Two Versions are == when they were written alike, build metadata included;
// that is the right notion for map keys and for the identity of what is
// deployed. Precedence, which ignores build metadata, is [Version.Compare].
//
// As text, in JSON and everywhere else that uses encoding.TextMarshaler, a
// Version is its [Version.String].
type Version struct {
	major, minor, patch uint64
	// Validated, without the leading '-' and '+'. They share the memory of the
	// text that was parsed, which is why Parse does not allocate.
	pre, build string
}

// Major returns the first number: it grows when something breaks.
func (v Version) Major() uint64 { return v.major }

// Minor returns the second number: it grows when something is added.
func (v Version) Minor() uint64 { return v.minor }

// Patch returns the third number: it grows when something is mended.
func (v Version) Patch() uint64 { return v.patch }

// Prerelease returns what follows the hyphen, "rc.1" in 1.2.3-rc.1+b5, or "".
// A version with a prerelease comes before the same version without (§9).
func (v Version) Prerelease() string { return v.pre }

// Build returns what follows the plus sign, "b5" in 1.2.3-rc.1+b5, or "". It
// plays no part in precedence (§10).
func (v Version) Build() string { return v.build }

// Compare returns -1 when v comes before w, +1 when it comes after, and 0 when
// neither does, by the precedence of §11. Build metadata is ignored, so 0 does
// not mean that v == w. It can be handed to slices.SortFunc.
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

// comparePrerelease orders two different, non-empty prereleases. All that
// comes before their first difference is equal, so only the identifier in
// which they differ decides.
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
		// Without leading zeros the longer number is the larger, however many
		// digits it has; no integer type could hold them all.
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

// Next returns the version that follows v when c has changed. A prerelease is
// followed by the release it announced where that is enough: 1.2.0-rc.1 is
// followed by 1.2.0 for a Patch or a Minor, and by 2.0.0 for a Major. Build
// metadata does not carry over. Next(None) is v itself.
//
// The result comes after v. Should a number have no successor in 64 bits, the
// one before it moves instead; only the very largest version is followed by
// itself.
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
	default: // Major, and whatever is larger
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

// UnmarshalText sets v to what [Parse] makes of text. On an error, a
// [*ParseError], v is left as it was.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
