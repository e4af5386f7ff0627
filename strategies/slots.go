package strategies

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Run is a stretch of neighbouring slots with one owner.
type Run struct {
	// Arm is the owner, as an index into [Split].Arms.
	Arm int `json:"arm"`
	// Slots is how many slots the stretch has, at least 1.
	Slots Weight `json:"slots"`
}

// Hash names the algorithm that maps a unit to a slot. It never changes within a
// rollout, since nearly everybody would move; nor does an algorithm behind its
// name. The zero Hash is the one to use. The others place units exactly as other
// tools do, so that a team can move to this one with no user noticing; the
// salt is then what the other tool hashes besides the unit.
type Hash string

const (
	// XXHash is xxHash64 of the unit, mixed with that of the salt.
	XXHash Hash = ""
	// Flagd2 is the fractional evaluation of flagd since its second version:
	// MurmurHash3 of salt and unit, where the salt is the name of the flag.
	Flagd2 Hash = "flagd/2"
	// Unleash is the gradual rollout of Unleash, whose group is the salt. It
	// knows only whole percents.
	Unleash Hash = "unleash/1"
	// UnleashVariants is how Unleash picks a variant: it knows only tenths of a
	// percent.
	UnleashVariants Hash = "unleash-variants/1"
	// GrowthBook2 is the second hash version of GrowthBook, whose seed is the
	// salt.
	GrowthBook2 Hash = "growthbook/2"
)

// step returns how many slots the hash cannot tell apart, 0 for an unknown hash.
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

// Slots returns the owner of each of the 10,000 slots as an index into Arms. Where
// there is a Table, it decides. Without one the candidates lie from slot 0
// upwards in their order, and the baseline has the rest; so with one candidate a
// growing weight only ever adds slots to it, and a unit that has met the
// candidate stays with it. s must be valid.
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
		for range min(r.Slots, Full-Weight(len(slots))) {
			slots = append(slots, uint8(r.Arm))
		}
	}
	return slots[:Full] // what is left is zero: the baseline
}

// Follow returns s for a rollout in which it takes the place of prev: with the
// salt and the hash of prev, and with a Table that moves as few units as the
// weights allow. An arm whose weight does not shrink loses nobody, one that grows
// takes from those that shrink, and so the units that move are exactly the sum of
// what the shrinking arms give up. Without Follow, three arms or more move more
// than that: each one's place depends on the weights of those before it.
//
// Arms are recognised by their names. Equal inputs give equal outputs. A split
// that has a Table keeps it. Of two splits one of which is not valid, s comes back
// with salt and hash alone; Validate says what is wrong. With one candidate the
// result needs no Table and has none.
func (s Split) Follow(prev Split) Split {
	s.Salt, s.Hash = prev.Salt, prev.Hash
	if len(s.Table) > 0 || s.Validate() != nil || prev.Validate() != nil {
		return s
	}
	own := s.kept(prev)
	left := make([]Weight, len(s.Arms)) // what each arm is still to be given
	for i, a := range s.Arms {
		left[i] = a.Weight
	}
	for _, arm := range own {
		if arm != nobody {
			left[arm]--
		}
	}
	// The free slots go to the candidates first, from slot 0 upwards, where they
	// lie without a Table.
	next := 1
	for i, arm := range own {
		if arm != nobody {
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

const nobody = -1

// kept returns which arm of s keeps which slot that it had in prev. An arm that
// shrinks gives up its end, the baseline its beginning: that is where the
// neighbours are.
func (s Split) kept(prev Split) []int {
	own := make([]int, Full)
	had := make([]Weight, len(s.Arms))
	for slot, arm := range prev.Slots() {
		own[slot] = slices.IndexFunc(s.Arms, func(a Arm) bool { return a.Name == prev.Arms[arm].Name })
		if own[slot] != nobody {
			had[own[slot]]++
		}
	}
	release := func(slot, arm int) {
		if had[arm] > s.Arms[arm].Weight {
			had[arm]--
			own[slot] = nobody
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

// runs encodes the owners of all slots.
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

// InOrder returns s with a Table in which the named arms lie from slot 0 upwards
// in the order given, and behind them the others in the order of Arms. That is
// how other tools lay out what they list; see [Hash]. Names that no arm has are
// ignored.
func (s Split) InOrder(names ...string) Split {
	var order []int
	for _, name := range names {
		i := slices.IndexFunc(s.Arms, func(a Arm) bool { return a.Name == name })
		if i != nobody && !slices.Contains(order, i) {
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

// Digest returns 16 hexadecimal digits that stand for who is served by whom: two
// splits have the same digest if hash, salt and the owners of all slots are the
// same. Rules, mirrors and the generation have no part in it. s must be valid.
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

// slotProblems reports what is wrong with the table and the hash of s, whose arms
// are valid.
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
				bad("Split.Arms", fmt.Sprintf("a border at slot %d", i), fmt.Sprintf("a multiple of %d, as %s cannot tell finer", step, s.Hash))
				return
			}
		}
	}
}
