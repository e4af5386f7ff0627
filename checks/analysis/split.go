package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/evalue"
)

// generations is how many generations of the split are known at a time: an
// assignment under one that is older takes no part.
const generations = 64

// Assign counts that the split has just assigned a request of unit to the named
// arm, under the given generation of the split: the same that the request's
// [Observation.Generation] will be. It is for those who do not hold a [Flight]; see
// [Recorder.Begin]. Its end is reported by [Recorder.Record], with the same unit and
// generation, and closes one of those that were assigned when it began.
//
// Call it when the request is assigned, not when it ends: what has not ended is
// evidence too. Leave out what was assigned by a rule instead of at random. What is
// counted is held against [Recorder.Expect]. Assign allocates nothing.
func (r *Recorder) Assign(arm, unit string, generation uint64) {
	r.Arm(arm).Assign(unit, generation)
}

// Assign counts an assignment to this arm, as [Recorder.Assign] does.
func (a *Arm) Assign(unit string, generation uint64) {
	if a.flights == nil {
		return
	}
	a.started.Add(1)
	a.flights.assign(a.index, unit, generation)
}

// expectations is what a recorder knows of the splits in force.
type expectations struct {
	mu     sync.Mutex
	splits [generations]intended
}

// intended is what was meant to happen under one generation.
type intended struct {
	known      bool
	generation uint64
	shares     []float64 // by arm
	// changed says that other shares held under this generation before. What was
	// assigned by the old ones may be counted under the new ones then.
	changed bool
}

// Expect says what share of the requests each arm is meant to be assigned under
// a generation of the split. Call it with every change of the split, before the
// split takes effect: each second, if need be. Shares are relative to their sum;
// an arm that is not named has none, and an arm that the recorder does not know
// is passed over. Called again with the same generation, new shares hold for
// what is assigned from then on; a share of 0 is not held against a request
// then, which may have been on its way.
//
// All evidence rests on these shares: under a generation that nothing was said of,
// requests are counted and compared with nothing. An error is an [*checks.InvalidError],
// and leaves what was expected before.
func (r *Recorder) Expect(generation uint64, shares map[string]float64) error {
	list := make([]float64, len(r.arms))
	var errs []error
	sum := 0.0
	for name, s := range shares {
		if !(s >= 0 && s <= math.MaxFloat64/maxArms) {
			errs = append(errs, &checks.InvalidError{Package: "analysis", Field: fmt.Sprintf("shares[%q]", name), Value: s, Want: "a finite number >= 0"})
			continue
		}
		if i := slices.IndexFunc(r.arms, func(a *Arm) bool { return a.name == name }); i >= 0 {
			list[i] = s
			sum += s
		}
	}
	if len(errs) == 0 && sum == 0 {
		errs = append(errs, &checks.InvalidError{Package: "analysis", Field: "shares", Value: shares, Want: "a share above 0 for at least one arm of the recorder"})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	x := &r.expected
	x.mu.Lock()
	defer x.mu.Unlock()
	e := &x.splits[generation%generations]
	same := e.known && e.generation == generation
	changed := same && (e.changed || !slices.Equal(e.shares, list))
	*e = intended{known: true, generation: generation, shares: list, changed: changed}
	return nil
}

const maxArms = 1 << 20 // far more than there can be; keeps sums of shares finite

// share returns the candidate's share of what it and the baseline are assigned under
// a generation, and whether anything is known of it. Sure says that it has been so
// all the time.
func (x *expectations) share(generation uint64, candidate int) (share float64, known, sure bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := &x.splits[generation%generations]
	if !e.known || e.generation != generation {
		return 0, false, false
	}
	pair := e.shares[0] + e.shares[candidate]
	if pair == 0 {
		return 0, false, false
	}
	return e.shares[candidate] / pair, true, !e.changed
}

// splitEvidence is the evidence that traffic is not split as intended.
type splitEvidence struct {
	// Baseline and Candidate count what was assigned: units once each, with their
	// first assignment, and requests without one. Expected is how many of them were
	// meant to be the candidate's.
	Baseline  int     `json:"baseline"`
	Candidate int     `json:"candidate"`
	Expected  float64 `json:"expected"`
	strength
}

// maxUnits is how many units the split is judged by.
const maxUnits = 4096

// splitTest holds assignments against the shares that were in force.
type splitTest struct {
	units firsts
	// requests counts those without a unit, by number of the share and arm.
	requests [][2]float64
	// impossible counts assignments to an arm that had no share.
	impossible int
	splitEvidence
	stale bool
}

// note takes a new assignment under a share.
func (t *splitTest) note(slot uint16, unit bool, share int, candidate bool) {
	h, side := hitBase, 0
	if candidate {
		h, side = hitCand, 1
	}
	t.stale = true
	if unit {
		t.units.note(mark{slot: slot, share: uint16(share), hit: h}, maxUnits)
		return
	}
	for len(t.requests) <= share {
		t.requests = append(t.requests, [2]float64{})
	}
	t.requests[share][side]++
}

// conclude computes the strength of the evidence.
func (t *splitTest) conclude(shares []Share) {
	if !t.stale {
		return
	}
	t.stale = false
	counts := slices.Clone(t.requests)
	for len(counts) < len(shares) {
		counts = append(counts, [2]float64{})
	}
	for _, m := range t.units.marks {
		counts[m.share][m.hit]++
	}
	var odds evalue.Odds
	var n [2]float64
	expected := 0.0
	for i, c := range counts {
		if c[0]+c[1] == 0 || shares[i].Shadow {
			continue
		}
		odds.Count(int(c[1]), int(c[0]), shares[i].Share)
		expected += shares[i].Share * (c[0] + c[1])
		n[0], n[1] = n[0]+c[0], n[1]+c[1]
	}
	odds.Count(t.impossible, 0, 0)
	t.Baseline, t.Candidate, t.Expected = int(n[0]), int(n[1])+t.impossible, expected
	t.set(odds.LogE())
}

// problem returns what makes s impossible, nil if nothing does.
func (s splitEvidence) problem() error {
	n := s.Baseline + s.Candidate
	if s.Baseline < 0 || s.Candidate < 0 || n > maxCount || !(s.Expected >= 0 && s.Expected <= float64(n)*(1+1e-9)) {
		return fmt.Errorf("%v of %d and %d assignments expected", s.Expected, s.Baseline, s.Candidate)
	}
	return s.check()
}

// maxCount is the largest count that stored evidence may have: sums of so many
// replicas do not overflow.
const maxCount = 1 << 53
