package strategies

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Run is a sequence of adjacent slots of one arm.
type Run struct {
	// Arm is an index into [Split].Arms.
	Arm int `json:"arm"`
	// Slots is the number of slots, at least 1.
	Slots Weight `json:"slots"`
}

// Hash is the algorithm that maps a unit to a slot. It must not change during a rollout,
// because nearly all users would move. Use the zero Hash for new rollouts. The other
// hashes assign units exactly as other tools do, so that users keep their arms in a
// migration. Then the salt is the value that the other tool hashes with the unit.
type Hash string

const (
	// XXHash is the xxHash64 of the unit, mixed with the xxHash64 of the salt.
	XXHash Hash = ""
	// Flagd2 is the fractional evaluation of flagd since its second version:
	// MurmurHash3 of salt and unit, where the salt is the name of the flag.
	Flagd2 Hash = "flagd/2"
	// Unleash is the gradual rollout of Unleash, whose group is the salt. Weights must
	// be whole percents.
	Unleash Hash = "unleash/1"
	// UnleashVariants is the selection of variants in Unleash. Weights must be
	// multiples of 0.1 %.
	UnleashVariants Hash = "unleash-variants/1"
	// GrowthBook2 is the second hash version of GrowthBook, whose seed is the
	// salt.
	GrowthBook2 Hash = "growthbook/2"
)

// step returns the resolution of the hash in slots, or 0 for an unknown hash.
func (h Hash) step() int {
	switch h {
	case XXHash, Flagd2, GrowthBook2:
		return 1
	case UnleashVariants:
		return 10
	case Unleash:
		return 100
	}
	return 0
}

// Slots returns the arm of each of the 10,000 slots as an index into Arms. If there is a
// Table, it determines the arms. Otherwise the candidates have the slots from 0 on, in
// their order, and the baseline has the rest. So with one candidate, a growing weight only
// adds slots to it, and no unit leaves the candidate. s must be valid.
func (s Split) Slots() []uint8 {
	slots := make([]uint8, 0, Full)
	runs := s.Table
	if len(runs) == 0 {
		for i, a := range s.Arms {
			if i > 0 {
				runs = append(runs, Run{i, a.Weight})
			}
		}
	}
	for _, r := range runs {
		n := max(0, min(r.Slots, Full-Weight(len(slots))))
		slots = append(slots, bytes.Repeat([]byte{uint8(r.Arm)}, int(n))...)
	}
	return slots[:Full] // the rest is zero: the baseline
}

// Follow returns s as the successor of prev in a rollout: with the salt and the hash of
// prev, and with a Table that moves as few units as possible. An arm whose weight does not
// shrink loses no unit. A growing arm gets units only from shrinking arms. Without Follow,
// three or more arms move more units, because the slots of an arm depend on the weights of
// the arms before it.
//
// Follow matches arms by name. If s has a Table, s keeps it. If s or prev is invalid, it
// changes only salt and hash. With one candidate, the result has no Table.
func (s Split) Follow(prev Split) Split {
	s.Salt, s.Hash = prev.Salt, prev.Hash
	if len(s.Table) > 0 || s.Validate() != nil || prev.Validate() != nil {
		return s
	}
	own := s.kept(prev)
	left := make([]Weight, len(s.Arms)) // slots that each arm still needs
	for i, a := range s.Arms {
		left[i] = a.Weight
	}
	for _, arm := range own {
		if arm != noArm {
			left[arm]--
		}
	}
	// The free slots go to the candidates first, from slot 0 on, as without a Table.
	next := 1
	for i, arm := range own {
		if arm != noArm {
			continue
		}
		for next < len(left) && left[next] == 0 {
			next++
		}
		if own[i] = 0; next < len(left) {
			own[i] = next
			left[next]--
		}
	}
	s.Table = runs(own)
	if plain := s.withoutTable(); slices.Equal(plain.Slots(), s.Slots()) {
		return plain
	}
	return s
}

const noArm = -1

// kept returns the arm of s that keeps each slot of prev, or noArm. A shrinking arm gives
// up its last slots, and the baseline its first slots, next to the other arms.
func (s Split) kept(prev Split) []int {
	own := make([]int, Full)
	had := make([]Weight, len(s.Arms))
	for slot, arm := range prev.Slots() {
		own[slot] = slices.IndexFunc(s.Arms, func(a Arm) bool { return a.Name == prev.Arms[arm].Name })
		if own[slot] != noArm {
			had[own[slot]]++
		}
	}
	release := func(slot, arm int) {
		if had[arm] > s.Arms[arm].Weight {
			had[arm]--
			own[slot] = noArm
		}
	}
	for slot, arm := range own {
		if arm == 0 {
			release(slot, arm)
		}
	}
	for slot, arm := range slices.Backward(own) {
		if arm > 0 {
			release(slot, arm)
		}
	}
	return own
}

// runs encodes the arms of all slots.
func runs(own []int) []Run {
	var rs []Run
	for _, arm := range own {
		if n := len(rs); n > 0 && rs[n-1].Arm == arm {
			rs[n-1].Slots++
		} else {
			rs = append(rs, Run{arm, 1})
		}
	}
	return rs
}

func (s Split) withoutTable() Split {
	s.Table = nil
	return s
}

// InOrder returns s with a Table in which the named arms come first, from slot 0 on, and
// then the others in the order of Arms. Other tools use such an order; see [Hash]. It
// ignores unknown names.
func (s Split) InOrder(names ...string) Split {
	var order []int
	for _, name := range names {
		i := slices.IndexFunc(s.Arms, func(a Arm) bool { return a.Name == name })
		if i != noArm && !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	s.Table = nil
	for i := range s.Arms {
		if !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	for _, i := range order {
		if w := s.Arms[i].Weight; w > 0 {
			s.Table = append(s.Table, Run{i, w})
		}
	}
	return s
}

// Digest returns 16 hexadecimal digits that identify the assignment of units to arms. Two
// splits have the same digest if hash, salt and the arms of all slots are the same. It does
// not depend on rules, mirrors or the generation. s must be valid.
func (s Split) Digest() string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q", s.Hash, s.Salt) // a hash does not fail
	own := make([]int, 0, Full)
	for _, arm := range s.Slots() {
		own = append(own, int(arm))
	}
	for _, r := range runs(own) {
		_, _ = fmt.Fprintf(h, " %q:%d", s.Arms[r.Arm].Name, r.Slots)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// slotProblems reports the problems of the table and the hash of s, whose arms are valid.
func (s Split) slotProblems(bad func(field string, value any, want string)) {
	step := s.Hash.step()
	if step == 0 {
		bad("Split.Hash", fmt.Sprintf("%q", s.Hash), fmt.Sprintf("%q, %q, %q, %q or %q", XXHash, Flagd2, Unleash, UnleashVariants, GrowthBook2))
	}
	held := make([]uint64, len(s.Arms))
	for i, r := range s.Table {
		field := fmt.Sprintf("Split.Table[%d]", i)
		switch {
		case r.Arm < 0 || r.Arm >= len(s.Arms):
			bad(field+".Arm", r.Arm, fmt.Sprintf("an index into the %d arms", len(s.Arms)))
			return
		case r.Slots == 0 || r.Slots > Full:
			bad(field+".Slots", uint32(r.Slots), fmt.Sprintf("1 to %d", Full))
			return
		}
		held[r.Arm] += uint64(r.Slots)
	}
	for i, a := range s.Arms {
		if len(s.Table) > 0 && held[i] != uint64(a.Weight) {
			bad("Split.Table", fmt.Sprintf("%d slots for arm %s", held[i], a.Name), fmt.Sprintf("as many as its weight, %d", a.Weight))
			return
		}
	}
	if step > 1 {
		slots := s.Slots()
		for i := 1; i < len(slots); i++ {
			if i%step != 0 && slots[i] != slots[i-1] {
				bad("Split.Arms", fmt.Sprintf("a border at slot %d", i), fmt.Sprintf("a multiple of %d, the resolution of %s", step, s.Hash))
				return
			}
		}
	}
}
