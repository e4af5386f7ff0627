package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/serin-go/serin/internal/evalue"
)

// generations is how many generations of the split are told apart at a time: an
// assignment under one that is older than the last of so many is not counted.
const generations = 64

// assignments counts what an arm was assigned, by generation of the split. Each
// word holds the low 24 bits of the generation and a count.
type assignments [generations]atomic.Uint64

const countBits = 40

func generationTag(g uint64) uint64 { return g & (1<<(64-countBits) - 1) }

// Assign counts that the split has just assigned a request of unit to the named
// arm, under the given generation of the split: the same that the request's
// [Observation.Generation] will be. What is counted is held against
// [Recorder.Expect].
//
// Call it when the request is assigned, not when it ends: of a slow arm fewer
// requests have ended, and that is not the split's fault. Leave out what was
// assigned by a rule instead of at random. Each unit counts once, with its first
// assignment, since chance has chosen its arm once; "" is a unit of its own each
// time unless [Plan.Unit] says otherwise. Of more than about 10,000 units the later
// ones are left out. Assign allocates nothing and takes no lock.
func (r *Recorder) Assign(arm, unit string, generation uint64) {
	r.Arm(arm).Assign(unit, generation)
}

// Assign counts an assignment to this arm, as [Recorder.Assign] does.
func (a *Arm) Assign(unit string, generation uint64) {
	if (unit != "" || a.units != nil) && a.assignedUnits != nil && !a.assignedUnits.first(hashOf(unit), 0) {
		return
	}
	slot, tag := &a.assigned[generation%generations], generationTag(generation)
	for {
		old := slot.Load()
		switch age := generationTag(old>>countBits - tag); {
		case old == 0:
		case age == 0:
			// Should the slot pass to another generation meanwhile, one
			// assignment is counted under that.
			slot.Add(1)
			return
		case age < 1<<(63-countBits):
			return // the slot belongs to a later generation
		}
		if slot.CompareAndSwap(old, tag<<countBits|1) {
			return
		}
	}
}

// under returns how many assignments were counted under a generation.
func (s *assignments) under(generation uint64) uint64 {
	v := s[generation%generations].Load()
	if v>>countBits != generationTag(generation) {
		return 0
	}
	return v & (1<<countBits - 1)
}

// expectations is what a recorder knows of the splits in force, and how far the
// assignments are from them.
type expectations struct {
	mu      sync.Mutex
	splits  [generations]expected
	ledgers []ledger // by candidate
}

// expected is what was meant to happen under one generation.
type expected struct {
	known      bool
	generation uint64
	shares     []float64 // by arm
	// changed says that other shares held under this generation before. What was
	// assigned by the old ones may be counted under the new ones then.
	changed bool
}

// ledger compares one candidate's assignments with the baseline's.
type ledger struct {
	SplitEvidence
	counted  [generations][2]uint64 // what of each generation is in the evidence
	restored bool
}

// SplitEvidence is the evidence that traffic is not split as intended.
type SplitEvidence struct {
	// Baseline and Candidate count assignments; Expected is how many of them
	// were meant to be the candidate's.
	Baseline  int     `json:"baseline"`
	Candidate int     `json:"candidate"`
	Expected  float64 `json:"expected"`
	Strength
	// Sums are the log-likelihood ratios of the alternatives; those of disjoint
	// assignments add up.
	Sums []float64 `json:"sums,omitempty"`
}

// Expect says what share of the requests each arm is meant to be assigned under
// a generation of the split. Call it with every change of the split, before the
// split takes effect: each second, if need be. Shares are relative to their sum;
// an arm that is not named has none, and an arm that the recorder does not know
// is passed over. Called again with the same generation, new shares hold for
// what is assigned from then on; a share of 0 is not held against a request
// then, which may have been on its way.
//
// Assignments are compared with these shares by [Recorder.Assign]; see
// [Plan.AlphaSplit] for what comes of it. Where nothing is expected or nothing
// is assigned, nothing is compared. An error is an [*InvalidError], and leaves
// what was expected before.
func (r *Recorder) Expect(generation uint64, shares map[string]float64) error {
	list := make([]float64, len(r.arms))
	var errs []error
	sum := 0.0
	for name, s := range shares {
		if !(s >= 0 && s <= math.MaxFloat64/maxArms) {
			errs = append(errs, &InvalidError{Field: fmt.Sprintf("shares[%q]", name), Value: s, Want: "a finite number >= 0"})
			continue
		}
		if i := slices.IndexFunc(r.arms, func(a *Arm) bool { return a.name == name }); i >= 0 {
			list[i] = s
			sum += s
		}
	}
	if len(errs) == 0 && sum == 0 {
		errs = append(errs, &InvalidError{Field: "shares", Value: shares, Want: "a share above 0 for at least one arm of the recorder"})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	x := &r.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	x.count(r.arms) // under the shares that held until now
	e := &x.splits[generation%generations]
	same := e.known && e.generation == generation
	if !same {
		for i := range x.ledgers {
			x.ledgers[i].counted[generation%generations] = [2]uint64{}
		}
	}
	changed := same && (e.changed || !slices.Equal(e.shares, list))
	*e = expected{known: true, generation: generation, shares: list, changed: changed}
	return nil
}

const maxArms = 1 << 20 // far more than there can be; keeps sums of shares finite

// count takes in what was assigned since the last call. x is locked.
func (x *expectations) count(arms []*Arm) {
	for g := range x.splits {
		e := &x.splits[g]
		if !e.known {
			continue
		}
		base := arms[0].assigned.under(e.generation)
		for i := range x.ledgers {
			l := &x.ledgers[i]
			cand := arms[i+1].assigned.under(e.generation)
			nb, nc := base-l.counted[g][0], cand-l.counted[g][1]
			pair := e.shares[0] + e.shares[i+1]
			clear := !e.changed || e.shares[0] > 0 && e.shares[i+1] > 0
			if pair > 0 && nb+nc > 0 && clear {
				l.take(int(nb), int(nc), e.shares[i+1]/pair)
			}
			l.counted[g] = [2]uint64{base, cand}
		}
	}
}

// take takes in a number of assignments to each arm, each of which was meant to
// be the candidate's with probability share.
func (l *ledger) take(base, cand int, share float64) {
	odds := evalue.Odds{L: l.Sums}
	odds.Count(cand, base, share)
	l.Sums = odds.L
	l.Baseline += base
	l.Candidate += cand
	l.Expected += share * float64(base+cand)
	l.set(odds.LogE())
}

// read returns the evidence about the split between the baseline and the
// candidate arms[i+1].
func (x *expectations) read(arms []*Arm, i int) SplitEvidence {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.count(arms)
	s := x.ledgers[i].SplitEvidence
	s.Sums = slices.Clone(s.Sums)
	return s
}

// restore adds what was counted before a restart, once.
func (x *expectations) restore(i int, s SplitEvidence) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := &x.ledgers[i]; !l.restored {
		l.restored = true
		l.add(s)
		l.set(l.LogE)
		l.Peak = max(l.Peak, s.Peak)
	}
}

// add adds what was counted elsewhere, and leaves the peak as it was. o is
// valid.
func (s *SplitEvidence) add(o SplitEvidence) {
	odds := evalue.Odds{L: slices.Clone(s.Sums)}
	if odds.Merge(evalue.Odds{L: o.Sums}) != nil {
		return
	}
	s.Sums = odds.L
	s.Baseline += o.Baseline
	s.Candidate += o.Candidate
	s.Expected += o.Expected
	s.LogE = odds.LogE()
}

// problem returns what makes s impossible, nil if nothing does.
func (s SplitEvidence) problem() error {
	n := s.Baseline + s.Candidate
	if s.Baseline < 0 || s.Candidate < 0 || !(s.Expected >= 0 && s.Expected <= float64(n)*(1+1e-9)) {
		return fmt.Errorf("%v of %d and %d assignments expected", s.Expected, s.Baseline, s.Candidate)
	}
	if !sane(s.Sums...) {
		return fmt.Errorf("sums %v", s.Sums)
	}
	return errors.Join(s.check(), new(evalue.Odds).Merge(evalue.Odds{L: s.Sums}))
}
