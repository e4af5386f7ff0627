package analysis

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/serin-go/serin/checks"
)

// Recorder counts observations by arm, and follows requests from their assignment to
// their end, in memory that does not grow with their number: about 20 KB for each
// arm and metric that is not a rate, 0.6 MB for the requests that are followed, and
// 32 bytes for each request that is remembered ([Plan.Remember]), if there is a
// metric of satisfaction. It is safe for concurrent use, and recording allocates
// nothing.
type Recorder struct {
	layout
	arms  []*Arm // the baseline first
	stray *Arm   // takes what belongs to none of them

	expected  expectations
	feedbacks feedbackCounts
	flights   flights
	grades    grades
	values    values
	stall     atomic.Int64 // how long a gap of a stream must last to count, in nanoseconds

	settling    sync.Mutex // guards what follows, and the tests of the comparisons
	comparisons []*Comparison
	past        *past
	spare       *scorer
	restored    bool
	looked      int64 // when the evidence was settled last, on a clock that never goes back
	lookedRaw   int64 // the same as the caller's clock had it
}

// NewRecorder returns a recorder for a baseline and its candidates, of which
// there may be none if nothing is to be compared. The error joins everything
// that is wrong with the plan and the names.
func NewRecorder(p Plan, baseline string, candidates ...string) (*Recorder, error) {
	if err := validate(p, baseline, candidates); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	r := &Recorder{layout: newLayout(p), stray: newArm("", nil)}
	r.stall.Store(int64(minStall))
	r.flights.layout, r.flights.stall, r.flights.grades = &r.layout, &r.stall, &r.grades
	for _, k := range p.Strata {
		r.values.on[k] = true
	}
	r.flights.tags = &r.values
	r.past = newPast(&r.layout)
	r.past.alone = len(candidates) > 1
	for i, name := range append([]string{baseline}, candidates...) {
		a := newArm(name, r.meters)
		a.index, a.flights, a.grades = uint8(i), &r.flights, &r.grades
		r.arms = append(r.arms, a)
	}
	r.arms[0].past = r.past
	rated := slices.ContainsFunc(r.meters, func(m meter) bool { return m.graded() })
	for _, a := range r.arms {
		if rated {
			a.memory = newMemory(r.plan.Remember)
		}
	}
	return r, nil
}

// Record counts o under the arm that it names, as the end of one of the requests that
// were assigned under its generation ([Recorder.Assign]); where none was, it is known
// of the request that it has ended, and of what hangs nothing. An observation of another
// arm than the baseline and the candidates only counts in [Recorder.Unknown].
func (r *Recorder) Record(o Observation) { r.Arm(o.Arm).Record(o) }

// Arm returns a handle that counts observations under the named arm. The handle
// of an unknown arm only counts them in [Recorder.Unknown].
func (r *Recorder) Arm(name string) *Arm {
	for _, a := range r.arms {
		if a.name == name {
			return a
		}
	}
	return r.stray
}

// Unknown returns how many observations belonged to no arm of the recorder.
func (r *Recorder) Unknown() int {
	r.stray.lock()
	defer r.stray.mu.Unlock()
	return r.stray.requests()
}

// maxCandidates is how many candidates may compete.
const maxCandidates = 100

// validate reports everything that is wrong with the arguments of NewRecorder.
func validate(p Plan, baseline string, candidates []string) error {
	var errs []error
	if err := p.Validate(); err != nil {
		errs = append(errs, err)
	}
	if len(candidates) > maxCandidates {
		errs = append(errs, &checks.InvalidError{Package: "analysis", Field: "candidates", Value: len(candidates), Want: fmt.Sprintf("at most %d", maxCandidates)})
	}
	seen := make(map[string]bool)
	for i, name := range append([]string{baseline}, candidates...) {
		field := "baseline"
		if i > 0 {
			field = fmt.Sprintf("candidates[%d]", i-1)
		}
		switch {
		case name == "":
			errs = append(errs, &checks.InvalidError{Package: "analysis", Field: field, Value: `""`, Want: "a name that is not empty"})
		case seen[name]:
			errs = append(errs, &checks.InvalidError{Package: "analysis", Field: field, Value: name, Want: "a name that no other arm has"})
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}
