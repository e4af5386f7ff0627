package analysis

import "hash/maphash"

// Unit names what the split assigns at random, for the reasons of a verdict. Tests
// do not depend on it: they count slots of the split, to which users, sessions or
// requests belong.
type Unit int

const (
	// PerRequest means that each request is assigned by itself.
	PerRequest Unit = iota
	// PerUser means that all requests of a user go to one arm, and that
	// [Observation.Unit] names the user.
	PerUser
	// PerSession means that all requests of a session or conversation go to one
	// arm, and that [Observation.Unit] names it.
	PerSession
)

var unitNames = []string{"request", "user", "session"}

// String returns "request", "user" or "session".
func (u Unit) String() string { return nameOf(u, unitNames) }

// MarshalText implements [encoding.TextMarshaler].
func (u Unit) MarshalText() ([]byte, error) { return marshalName(u, unitNames, "Plan.Unit") }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (u *Unit) UnmarshalText(text []byte) error {
	return unmarshalName(u, text, unitNames, "Plan.Unit")
}

// hashSeed makes keys of requests. It lasts as long as the process, as do all the
// tables that hold them.
var hashSeed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(hashSeed, s) }
