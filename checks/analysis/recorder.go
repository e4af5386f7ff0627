package analysis

import (
	"errors"
	"fmt"
	"slices"
)

// Recorder counts observations by arm, in memory that does not grow with their
// number: about 20 KB for each arm and metric that is not a rate; 128 KB more
// for each arm, and once, if units are counted ([Plan.Unit]); and 24 bytes for
// each request that is remembered ([Plan.Remember]), if there is a metric of
// satisfaction. It is safe for concurrent use, and recording allocates nothing.
type Recorder struct {
	plan   Plan // with defaults
	meters []meter
	arms   []*Arm // the baseline first
	stray  *Arm   // takes what belongs to none of them

	expected  expectations
	feedbacks feedbackCounts
}

// NewRecorder returns a recorder for a baseline and its candidates, of which
// there may be none if nothing is to be compared. The error joins everything
// that is wrong with the plan and the names.
func NewRecorder(p Plan, baseline string, candidates ...string) (*Recorder, error) {
	if err := validate(p, baseline, candidates); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	r := &Recorder{plan: p, stray: newArm("", nil, nil)}
	r.expected.ledgers = make([]ledger, len(candidates))
	for _, m := range p.Metrics {
		r.meters = append(r.meters, m.meter())
	}
	for _, name := range append([]string{baseline}, candidates...) {
		r.arms = append(r.arms, newArm(name, r.meters, p.Breakers))
	}
	r.prepare()
	return r, nil
}

// prepare gives the arms what the plan asks for beyond counting.
func (r *Recorder) prepare() {
	rated := slices.ContainsFunc(r.meters, func(m meter) bool { return m.source == fromScore || m.source == fromThumb })
	assigned := newUnitFilter(assignedBits)
	for _, a := range r.arms {
		a.assignedUnits = assigned
		if r.plan.Unit != PerRequest {
			a.units = newUnitFilter(countedBits)
		}
		if rated {
			a.memory = newMemory(r.plan.Remember)
		}
		for i := range a.tallies {
			if r.plan.AdjustForPrompt && r.meters[i].Kind == Amount {
				a.adjust, a.tallies[i].covs = true, new([recent]float32)
			}
		}
	}
}

// Record counts o under the arm that it names. An arm that is neither the
// baseline nor a candidate is ignored but for [Recorder.Unknown].
func (r *Recorder) Record(o Observation) { r.Arm(o.Arm).record(&o) }

// Arm returns a handle that counts observations under the named arm. The handle
// of an unknown arm ignores them but for [Recorder.Unknown].
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

// validate reports everything that is wrong with the arguments of NewRecorder.
func validate(p Plan, baseline string, candidates []string) error {
	var errs []error
	if err := p.Validate(); err != nil {
		errs = append(errs, err)
	}
	seen := make(map[string]bool)
	for i, name := range append([]string{baseline}, candidates...) {
		field := "baseline"
		if i > 0 {
			field = fmt.Sprintf("candidates[%d]", i-1)
		}
		switch {
		case name == "":
			errs = append(errs, &InvalidError{Field: field, Value: `""`, Want: "a name that is not empty"})
		case seen[name]:
			errs = append(errs, &InvalidError{Field: field, Value: name, Want: "a name that no other arm has"})
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}
