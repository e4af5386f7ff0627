package traffic

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/serin-go/serin/strategies"
)

// table is one split together with the arms that it names: everything that the
// choice of an arm needs, and immutable, so that a request can hold on to it.
type table struct {
	split  strategies.Split
	hash   hasher
	slots  []uint8 // the owner of each slot, an index into arms
	arms   []*arm  // as in split.Arms; nil for one without a backend or traffic
	rules  []rule
	out    []bool  // which arms are killed; nil if none is
	layers []layer // nil if the baseline has no traffic
	units  bool    // there are rules about units

	sticky Sticky
	// all are the arms that there are, in the split or not. pinned reports whether
	// they have more than one account, and apart whether those that serve have.
	all           map[string]*arm
	pinned, apart bool
	// mirrors are the arms that receive copies.
	mirrors []mirror

	inFlight atomic.Int64 // requests that were assigned under it
}

// newTable binds a valid split to arms.
func newTable(split strategies.Split, arms map[string]*arm) (*table, error) {
	t := &table{split: cloneSplit(split), hash: newHasher(split.Hash, split.Salt), slots: split.Slots()}
	for _, a := range split.Arms {
		bound := arms[a.Name]
		if bound == nil && a.Weight > 0 {
			return nil, &NoBackendError{Arm: a.Name}
		}
		t.arms = append(t.arms, bound)
	}
	for _, m := range split.Mirrors {
		bound := arms[m.Arm]
		if bound == nil {
			return nil, &NoBackendError{Arm: m.Arm}
		}
		t.mirrors = append(t.mirrors, mirror{arm: bound, share: int(m.Share), hash: newHasher(strategies.XXHash, "mirror:"+m.Arm+":"+split.Salt)})
	}
	for _, rl := range split.Rules {
		bound := arms[rl.Arm]
		if bound == nil {
			return nil, &NoBackendError{Arm: rl.Arm}
		}
		t.rules = append(t.rules, newRule(rl, bound))
		t.units = t.units || rl.Unit != ""
	}
	return t, nil
}

// bind puts a split in force with the arms, the layers and the killed arms that
// there are. The caller holds r.mu, or has the Router to itself.
func (r *Router) bind(split strategies.Split) error {
	t, err := newTable(split, r.arms)
	if err != nil {
		return err
	}
	t.sticky = r.sticky
	if split.Arms[0].Weight > 0 {
		t.layers = r.layers
	}
	for i, a := range split.Arms {
		if i > 0 && r.killed[a.Name] && t.arms[0] != nil {
			if t.out == nil {
				t.out = make([]bool, len(split.Arms))
			}
			t.out[i] = true
		}
	}
	t.mirrors = slices.DeleteFunc(t.mirrors, func(m mirror) bool { return r.killed[m.arm.name] })
	if t.out != nil {
		t.rules = slices.DeleteFunc(t.rules, func(rl rule) bool { return r.killed[rl.arm.name] && rl.arm != t.arms[0] })
	}
	t.bindPins(maps.Clone(r.arms))
	if before := r.table.Swap(t); before != nil {
		r.past = append(r.past, before)
		r.retire(before.split, split)
	}
	r.past = slices.DeleteFunc(r.past, func(t *table) bool { return t.inFlight.Load() == 0 })
	return nil
}

// placement is the arm of a request, and why it is that one.
type placement struct {
	arm        *arm
	why        Reason
	slot       uint16 // of the unit, or drawn, if chance has decided; else 0
	generation uint64 // of the split that has assigned the unit
}

// to returns the placement at an arm for a reason other than chance.
func (t *table) to(a *arm, why Reason) placement {
	return placement{arm: a, why: why, generation: t.split.Generation}
}

// place returns the arm of a request.
func (t *table) place(s *subject, stale bool) placement {
	base := t.arms[0]
	if stale && base != nil {
		return t.to(base, ByExpiry)
	}
	for i := range t.rules {
		if t.rules[i].holds(s) {
			return t.to(t.rules[i].arm, ByRule)
		}
	}
	if len(t.layers) > 0 && base != nil && !t.admits(s.unit) {
		return t.to(base, ByLayer)
	}
	i, p := t.due(s.unit, s.keep)
	if t.out != nil && t.out[i] {
		return t.to(base, ByKill)
	}
	p.arm = t.arms[i]
	return p
}

// named returns the arm of that name, nil if the split has none that can serve.
func (t *table) named(name string) *arm {
	for i, a := range t.arms {
		if a != nil && a.name == name && (t.out == nil || !t.out[i]) {
			return a
		}
	}
	return nil
}

// slot returns the slot of a unit under h. "" has a random slot.
func (t *table) slot(h *hasher, unit string) int {
	if unit == "" {
		return strategies.Slot(rand.Uint64())
	}
	return h.slot(unit)
}

// baseline returns the arm that requests fall back to, or nil if it has no backend.
func (t *table) baseline() *arm { return t.arms[0] }

func cloneSplit(s strategies.Split) strategies.Split {
	s.Arms, s.Table, s.Rules, s.Mirrors = slices.Clone(s.Arms), slices.Clone(s.Table), slices.Clone(s.Rules), slices.Clone(s.Mirrors)
	return s
}
