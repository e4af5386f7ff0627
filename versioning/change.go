package versioning

import "fmt"

// Change says how much a version changes what its users rely on. Changes are
// ordered, so the larger of two is max(c, d). The zero value is None.
type Change uint8

const (
	None  Change = iota // nothing that users could notice
	Patch               // mended, and nothing else
	Minor               // something added or deprecated; what worked still works
	Major               // something that worked may no longer
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
