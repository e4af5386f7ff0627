package analysis

import (
	"fmt"
	"slices"
)

// few counts the requests of each unit while there are few of them. Where few units
// make all the traffic, no test of assignments can know much: with n units of both
// arms, nothing has a probability below 1 in n over n/2.
type few struct {
	slots map[uint16]*unitCount
	many  bool // there are more than maxFew, or requests without a unit
}

// unitCount counts the requests of a unit that are old enough, and those that failed.
type unitCount struct {
	candidate bool
	n, failed int
}

const (
	maxFew      = 200
	fewRequests = 5 // of a unit before it says something
	fewUnits    = 8 // of each arm before the verdict may be Safe
	fewDown     = 3 // of each arm before all of the candidate's may be taken for down
)

// count counts a request of a unit.
func (f *few) count(slot uint16, unit, candidate bool) {
	if !unit {
		f.many = true
	}
	if f.many {
		f.slots = nil
		return
	}
	u := f.slots[slot]
	if u == nil {
		if len(f.slots) == maxFew {
			f.many, f.slots = true, nil
			return
		}
		if f.slots == nil {
			f.slots = make(map[uint16]*unitCount)
		}
		u = &unitCount{candidate: candidate}
		f.slots[slot] = u
	}
	if u.candidate != candidate { // the unit has moved: it starts from zero
		*u = unitCount{candidate: candidate}
	}
	u.n++
}

// fail counts a request that has failed.
func (f *few) fail(slot uint16) {
	if u := f.slots[slot]; u != nil {
		u.failed++
	}
}

// units returns how many units of each arm have enough requests, and how many of
// those have failed in more than half of them.
func (f *few) units() (n, down [2]int) {
	for _, u := range f.slots {
		if u.n < fewRequests {
			continue
		}
		side := 0
		if u.candidate {
			side = 1
		}
		n[side]++
		if 2*u.failed > u.n {
			down[side]++
		}
	}
	return n, down
}

// known returns how many units of each arm have enough requests, nil if there are
// many, or none.
func (f *few) known() *[2]int {
	if len(f.slots) == 0 {
		return nil
	}
	n, _ := f.units()
	return &n
}

// down words that all units of the candidate fail and none of the baseline's, "" if
// it is not so.
func (f *few) down(baseline, candidate string) string {
	n, down := f.units()
	if min(n[0], n[1]) < fewDown || down[0] > 0 || down[1] < n[1] {
		return ""
	}
	return fmt.Sprintf("breaker: all %d units of %s fail in most of their requests, none of the %d of %s", n[1], candidate, n[0], baseline)
}

// list returns the slots in order.
func (f *few) list() []uint16 {
	list := make([]uint16, 0, len(f.slots))
	for slot := range f.slots {
		list = append(list, slot)
	}
	slices.Sort(list)
	return list
}

func (p *packer) few(f *few) {
	many := uint64(0)
	if f.many {
		many = 1
	}
	p.uint(many)
	p.uint(uint64(len(f.slots)))
	for _, slot := range f.list() {
		u := f.slots[slot]
		candidate := uint64(0)
		if u.candidate {
			candidate = 1
		}
		p.uint(uint64(slot)<<1 | candidate)
		p.uint(uint64(u.n))
		p.uint(uint64(u.failed))
	}
}

func (u *unpacker) few() (f few) {
	f.many = u.uint() == 1
	for range u.length(maxFew) {
		slot, n, failed := u.uint(), u.length(maxCount), u.length(maxCount)
		if slot>>1 >= slots || failed > n || f.many {
			u.err = errTests
			return few{}
		}
		if f.slots == nil {
			f.slots = make(map[uint16]*unitCount)
		}
		f.slots[uint16(slot>>1)] = &unitCount{candidate: slot&1 == 1, n: n, failed: failed}
	}
	return f
}

// merge adds what another replica has seen.
func (f *few) merge(o *few) {
	if f.many = f.many || o.many; f.many {
		f.slots = nil
		return
	}
	for _, slot := range o.list() {
		add := o.slots[slot]
		u := f.slots[slot]
		switch {
		case u == nil && len(f.slots) == maxFew:
			f.many, f.slots = true, nil
			return
		case u == nil:
			if f.slots == nil {
				f.slots = make(map[uint16]*unitCount)
			}
			f.slots[slot] = &unitCount{candidate: add.candidate, n: add.n, failed: add.failed}
		case u.candidate == add.candidate:
			u.n += add.n
			u.failed += add.failed
		}
	}
}
