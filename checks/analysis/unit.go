package analysis

import (
	"hash/maphash"
	"sync/atomic"
)

// Unit is what the split assigns at random, and so what is counted. Requests of
// one user share a fate: ten failures of one user are not ten users that fail.
// Counted as if they were, they find harm in candidates that are no worse, with
// five requests a user in nearly half of all rollouts.
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

// unitFilter remembers which units have been counted: a Bloom filter with three
// bits for each unit and metric. It never takes a unit for new that is not; it takes
// some for known that are not, and those are left out, whatever they would have
// shown. With countedBits that is about 1 in 10 after 40,000 units with five
// metrics, 1 in 2 after 100,000. It is safe for concurrent use.
type unitFilter []atomic.Uint64

const (
	countedBits  = 20 // 128 KB, for what is counted by unit
	assignedBits = 15 // 4 KB, for assignments: the first 10,000 units show how traffic is split
)

func newUnitFilter(bits int) unitFilter { return make(unitFilter, 1<<(bits-6)) }

// first reports whether unit was not seen before in metric.
func (f unitFilter) first(unit uint64, metric int) (first bool) {
	// The finaliser of splitmix64.
	h := unit + uint64(metric+1)*0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	for range 3 {
		at := h & uint64(len(f)*64-1)
		word, bit := &f[at>>6], uint64(1)<<(at&63)
		if word.Load()&bit == 0 && word.Or(bit)&bit == 0 {
			first = true
		}
		h >>= countedBits
	}
	return first
}

// clear forgets all units.
func (f unitFilter) clear() {
	for i := range f {
		f[i].Store(0)
	}
}

// hashSeed makes keys of units and requests. It lasts as long as the process, as
// do all the tables that hold them.
var hashSeed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(hashSeed, s) }
