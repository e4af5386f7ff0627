package traffic

import (
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/serin-go/serin/strategies"
)

// table is one split together with the arms that it names: everything that the
// choice of an arm needs, and immutable, so that a request can hold on to it.
type table struct {
	split strategies.Split
	salt  uint64
	slots []uint8 // the owner of each slot, an index into arms
	arms  []*arm  // as in split.Arms; nil for one without a backend or traffic
	rules []rule
}

// newTable binds a valid split to arms.
func newTable(split strategies.Split, arms map[string]*arm) (*table, error) {
	t := &table{split: cloneSplit(split), salt: xxhash.Sum64String(split.Salt), slots: split.Slots()}
	for _, a := range split.Arms {
		bound := arms[a.Name]
		if bound == nil && a.Weight > 0 {
			return nil, &NoBackendError{Arm: a.Name}
		}
		t.arms = append(t.arms, bound)
	}
	if len(split.Mirrors) > 0 {
		return nil, &InvalidError{Field: "Split.Mirrors", Value: len(split.Mirrors), Want: "none: the router does not copy requests"}
	}
	for _, rl := range split.Rules {
		bound := arms[rl.Arm]
		if bound == nil {
			return nil, &NoBackendError{Arm: rl.Arm}
		}
		t.rules = append(t.rules, rule{Rule: rl, arm: bound})
	}
	return t, nil
}

// place returns the arm of a request, and whether chance had no part in it: then
// a rule did it, or the split has gone stale. req is nil for work that is not a
// request.
func (t *table) place(unit string, req *http.Request, stale bool) (a *arm, fixed bool) {
	if stale && t.arms[0] != nil {
		return t.arms[0], true
	}
	for i := range t.rules {
		if t.rules[i].holds(unit, req) {
			return t.rules[i].arm, true
		}
	}
	return t.pick(unit), false
}

// pick returns the arm of a unit; "" is assigned at random.
func (t *table) pick(unit string) *arm {
	var h uint64
	if unit == "" {
		h = rand.Uint64()
	} else {
		h = t.hash(unit)
	}
	return t.arms[t.slots[strategies.Slot(h)]]
}

// hash places a unit among all units of the split's salt.
func (t *table) hash(unit string) uint64 { return mix(xxhash.Sum64String(unit) ^ t.salt) }

// baseline returns the arm that rescues, nil if it has no backend.
func (t *table) baseline() *arm { return t.arms[0] }

// mix is the 64-bit finaliser of MurmurHash3. It makes all bits of the unit's
// and the salt's hash count for the slot, so that the cohorts of two salts are
// independent although the unit is hashed but once.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h
}

func cloneSplit(s strategies.Split) strategies.Split {
	s.Arms, s.Rules, s.Mirrors = slices.Clone(s.Arms), slices.Clone(s.Rules), slices.Clone(s.Mirrors)
	return s
}
