package versioning

import "fmt"

// Change is the size of a change in terms of SemVer. Changes are ordered, so the
// larger of two is max(c, d). The zero value means no change.
type Change uint8

const (
	None  Change = iota // no effect on users
	Patch               // fixes only
	Minor               // additions or deprecations, backward compatible
	Major               // breaking changes
)

// String returns "none", "patch", "minor" or "major".
func (c Change) String() string {
	switch c {
	case None:
		return "none"
	case Patch:
		return "patch"
	case Minor:
		return "minor"
	case Major:
		return "major"
	}
	return fmt.Sprintf("Change(%d)", uint8(c))
}
