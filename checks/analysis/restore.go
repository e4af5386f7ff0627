package analysis

import (
	"errors"
	"fmt"

	"github.com/serin-go/serin/internal/hist"
)

// Restore gives c the evidence that an earlier comparison of the same arms
// under the same plan has gathered. Call it before the first request is
// recorded. The zero Evidence changes nothing. If the error is not nil, c is
// unchanged.
func (c *Comparison) Restore(e Evidence) error {
	if e.Plan == "" && len(e.Metrics) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := e.check(c.r.plan); err != nil {
		return err
	}
	switch {
	case e.Baseline.Arm != c.base.arm.name:
		return badEvidence("Baseline.Arm", e.Baseline.Arm, c.base.arm.name)
	case e.Candidate.Arm != c.cand.arm.name:
		return badEvidence("Candidate.Arm", e.Candidate.Arm, c.cand.arm.name)
	case c.begun:
		return badEvidence("Candidate.Arm", e.Candidate.Arm, "a comparison that has not begun")
	}
	var past [2]past
	for i, m := range e.Metrics {
		t := &c.tests[i]
		t.harm, t.safe = m.Harm.Strength, m.Safe.Strength
		t.contrast, t.profile, t.drift = m.Contrast, m.Profile, [2]Drift{m.Drift[0].clone(), m.Drift[1].clone()}
		// What was checked above can be loaded.
		_ = t.contest.load(m)
		_ = past[0].add(m.Baseline)
		_ = past[1].add(m.Candidate)
	}
	c.base.arm.restore(e.Baseline, past[0])
	c.cand.arm.restore(e.Candidate, past[1])
	c.r.expected.restore(c.candidate, e.Split)
	c.harm, c.tripped, c.begun = e.Harm, e.Tripped, true
	c.read()
	return nil
}

func badEvidence(field string, value any, want string) error {
	return &InvalidError{Field: "Evidence." + field, Value: value, Want: want}
}

// check reports whether e can be evidence of p, which has its defaults.
func (e Evidence) check(p Plan) error {
	switch {
	case e.Plan != p.digest():
		return badEvidence("Plan", fmt.Sprintf("%q", e.Plan), fmt.Sprintf("%q, which this plan has", p.digest()))
	case len(e.Metrics) != len(p.Metrics):
		return badEvidence("Metrics", len(e.Metrics), fmt.Sprintf("%d metrics", len(p.Metrics)))
	case e.Harm.check() != nil:
		return badEvidence("Harm", e.Harm, "finite numbers")
	case e.Split.problem() != nil:
		return badEvidence("Split", e.Split.problem(), "what was stored")
	}
	for side, a := range []ArmEvidence{e.Baseline, e.Candidate} {
		if err := a.checkRoutes(); err != nil {
			return badEvidence([...]string{"Baseline", "Candidate"}[side]+".Routes", err, "what was stored")
		}
	}
	for i := range e.Metrics {
		if err := e.Metrics[i].check(i, p.Metrics[i]); err != nil {
			return err
		}
	}
	return nil
}

// check reports whether e can be the evidence in m, metric i of its plan.
func (e *MetricEvidence) check(i int, m Metric) error {
	field := fmt.Sprintf("Metrics[%d]", i)
	if e.Name != m.Name {
		return badEvidence(field+".Name", e.Name, m.Name)
	}
	if err := errors.Join(e.Harm.check(), e.Safe.check(), e.Contrast.check(), e.Profile.check(), e.Drift[0].check(), e.Drift[1].check()); err != nil {
		return badEvidence(field, err, "finite numbers, as stored")
	}
	if err := newContest(m).load(*e); err != nil {
		return badEvidence(field, err, "the sums of a "+m.Kind.String())
	}
	for side, s := range []Sample{e.Baseline, e.Candidate} {
		if err := new(past).add(s); err != nil {
			return badEvidence(field+[...]string{".Baseline", ".Candidate"}[side], err, "what was stored")
		}
	}
	return nil
}

// past is what an arm has counted before a restart, by metric.
type past struct {
	rates []rate
	hists []*hist.Histogram
}

func (p *past) add(s Sample) error {
	if s.N < 0 || s.Events < 0 || s.Events > s.N {
		return fmt.Errorf("%d events of %d", s.Events, s.N)
	}
	var h *hist.Histogram
	if len(s.Values) > 0 {
		h = new(hist.Histogram)
		if err := h.UnmarshalBinary(s.Values); err != nil {
			return err
		}
	}
	p.rates = append(p.rates, rate{n: uint64(s.N), events: uint64(s.Events)})
	p.hists = append(p.hists, h)
	return nil
}

// restore adds what was counted before a restart, once: the baseline takes part
// in several comparisons, and each brings the same.
func (a *Arm) restore(e ArmEvidence, p past) {
	a.lock()
	defer a.mu.Unlock()
	if a.restored {
		return
	}
	a.restored = true
	for c, n := range e.Classes {
		if c < NumClasses && n > 0 {
			a.classes[c] += uint64(n)
			a.past[c] += uint64(n)
		}
	}
	a.invalid += uint64(max(e.Invalid, 0))
	a.distinct += uint64(max(e.Units, 0))
	a.restoreRoutes(e.Routes)
	for i := range a.tallies {
		t := &a.tallies[i]
		t.past = p.rates[i]
		if h := p.hists[i]; h != nil && t.series != nil {
			t.series.hist.Merge(h)
		}
	}
}
