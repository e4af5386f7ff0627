package analysis

import (
	"errors"
	"fmt"

	"github.com/serin-go/serin/checks"
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
	t, p, err := c.r.decodeTests(e.Tests)
	if err != nil {
		return badEvidence("Tests", err, "what was stored")
	}
	var past [2]counted
	for i, m := range e.Metrics {
		x := &c.contrasts[i]
		x.contrastSums, x.profile, x.drift = m.Contrast, m.Profile, [2]driftState{m.Drift[0].clone(), m.Drift[1].clone()}
		t.perMetric[i] = metricStrength{harm: m.Harm, safe: m.Safe, counted: m.Counted, ceiling: m.Ceiling, answered: m.Answered}
		// What was checked above can be loaded.
		_ = past[0].add(m.Baseline)
		_ = past[1].add(m.Candidate)
	}
	c.base.arm.restore(e.Baseline, past[0])
	c.cand.arm.restore(e.Candidate, past[1])
	c.tripped, c.begun = e.Tripped, true
	c.r.settling.Lock()
	defer c.r.settling.Unlock()
	t.strata.kept = named(e.Strata)
	t.candidate, t.harm, t.split.splitEvidence = uint8(c.candidate+1), e.Harm, e.Split
	c.tests = t
	if !c.r.restored {
		c.r.restored = true
		base := c.r.arms[0]
		base.mu.Lock()
		c.r.past.restore(p)
		base.mu.Unlock()
	}
	c.read()
	return nil
}

func badEvidence(field string, value any, want string) error {
	return &checks.InvalidError{Package: "analysis", Field: "Evidence." + field, Value: value, Want: want}
}

// check reports whether e can be evidence of p, which has its defaults.
func (e Evidence) check(p Plan) error { return e.checkAs(p, p.digest()) }

// checkAs is check where the digest of p is known.
func (e *Evidence) checkAs(p Plan, digest string) error {
	switch {
	case e.Format != evidenceFormat:
		return badEvidence("Format", e.Format, fmt.Sprintf("%d: how requests are counted has changed, so older evidence means nothing", evidenceFormat))
	case e.Plan != digest:
		return badEvidence("Plan", fmt.Sprintf("%q", e.Plan), fmt.Sprintf("%q, which this plan has", digest))
	case len(e.Metrics) != len(p.Metrics):
		return badEvidence("Metrics", len(e.Metrics), fmt.Sprintf("%d metrics", len(p.Metrics)))
	case min(e.Assigned[0], e.Assigned[1], e.Unfollowed, e.Unrandomised, e.Stage) < 0 || max(e.Assigned[0], e.Assigned[1], e.Unfollowed, e.Unrandomised) > maxCount:
		return badEvidence("Assigned", e.Assigned, "counts")
	case !(e.Sampled >= 0 && e.Sampled <= 1):
		return badEvidence("Sampled", e.Sampled, "a share")
	case e.Harm.check() != nil:
		return badEvidence("Harm", e.Harm, "finite numbers")
	case e.Split.problem() != nil:
		return badEvidence("Split", e.Split.problem(), "what was stored")
	}
	for side, a := range []armEvidence{e.Baseline, e.Candidate} {
		if err := a.check(); err != nil {
			return badEvidence([...]string{"Baseline", "Candidate"}[side]+".Classes", err, "what was stored")
		}
		if err := a.checkRoutes(); err != nil {
			return badEvidence([...]string{"Baseline", "Candidate"}[side]+".Routes", err, "what was stored")
		}
	}
	if err := e.checkStrata(); err != nil {
		return badEvidence("Strata", err, "what was stored")
	}
	for i := range e.Metrics {
		if err := e.Metrics[i].check(i, p.Metrics[i]); err != nil {
			return err
		}
	}
	return nil
}

// check reports whether the counts are possible.
func (a armEvidence) check() error {
	for c, n := range a.Classes {
		if c >= NumClasses || n < 0 || n > maxCount {
			return fmt.Errorf("%d %s", n, c)
		}
	}
	if a.Invalid < 0 || a.Invalid > maxCount {
		return fmt.Errorf("%d invalid values", a.Invalid)
	}
	return nil
}

// check reports whether e can be the evidence in m, metric i of its plan.
func (e *metricEvidence) check(i int, m Metric) error {
	field := fmt.Sprintf("Metrics[%d]", i)
	if e.Name != m.Name {
		return badEvidence(field+".Name", e.Name, m.Name)
	}
	if err := errors.Join(e.Harm.check(), e.Safe.check(), e.Answered.check(), e.Contrast.check(), e.Profile.check(), e.Drift[0].check(), e.Drift[1].check()); err != nil {
		return badEvidence(field, err, "finite numbers, as stored")
	}
	if err := e.Ceiling.check(m.Ceiling); err != nil {
		return badEvidence(field+".Ceiling", err, "what was stored")
	}
	for _, c := range e.Counted {
		if c.Events < 0 || c.N < c.Events || c.N > maxCount {
			return badEvidence(field+".Counted", c, "what was stored")
		}
	}
	for side, s := range []sampleEvidence{e.Baseline, e.Candidate} {
		if err := s.check(); err != nil {
			return badEvidence(field+[...]string{".Baseline", ".Candidate"}[side], err, "what was stored")
		}
	}
	return nil
}

// counted is what an arm has counted before a restart, by metric.
type counted struct {
	rates []rate
	hists []*hist.Histogram
}

// check reports whether s can be what an arm has shown.
func (s *sampleEvidence) check() error {
	if s.N < 0 || s.N > maxCount || s.Events < 0 || s.Events > s.N {
		return fmt.Errorf("%d events of %d", s.Events, s.N)
	}
	if len(s.Values) == 0 {
		return nil
	}
	return hist.Check(s.Values)
}

func (p *counted) add(s sampleEvidence) error {
	if err := s.check(); err != nil {
		return err
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
func (a *Arm) restore(e armEvidence, p counted) {
	a.lock()
	defer a.mu.Unlock()
	if a.restored {
		return
	}
	a.restored = true
	for c, n := range e.Classes {
		if c < NumClasses && n > 0 {
			a.classes[c] += uint64(n)
			a.restoredClasses[c] += uint64(n)
		}
	}
	a.invalid += uint64(max(e.Invalid, 0))
	a.restoreRoutes(e.Routes)
	for i := range a.tallies {
		t := &a.tallies[i]
		t.past = p.rates[i]
		if h := p.hists[i]; h != nil && t.series != nil {
			t.series.hist.Merge(h)
		}
	}
}
