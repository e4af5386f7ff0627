package analysis

import "fmt"

// Sum adds up the evidence of replicas as [Plan.Merge] does, for a caller that merges
// again and again and keeps the sums of the parts that have not changed. The result is
// the same up to rounding. [Plan.Sum] returns an empty one. A Sum takes about half a
// megabyte, whatever the number of its parts. It must not be used concurrently.
type Sum struct {
	m *merger
}

// Sum returns an empty sum of evidence that was gathered under p. The error is an
// [*checks.InvalidError] for a plan that cannot be used.
func (p Plan) Sum() (*Sum, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	return &Sum{newMerger(newLayout(p), p.digest())}, nil
}

// Another returns an empty sum of the same plan. It is cheaper than [Plan.Sum].
func (s *Sum) Another() *Sum { return &Sum{newMerger(s.m.layout, s.m.sum.Plan)} }

// Add adds the evidence of one replica. It returns the errors of [Plan.Merge]; after one,
// the sum must not be used any more.
func (s *Sum) Add(e Evidence) error {
	if e.Plan == "" && len(e.Metrics) == 0 {
		return nil
	}
	if want := s.m.sum.Plan; e.Plan != want {
		return &PlanError{Have: e.Plan, Want: want}
	}
	err := e.checkAs(s.m.layout.plan, s.m.sum.Plan)
	if err == nil {
		err = s.m.add(e)
	}
	if err != nil {
		return fmt.Errorf("analysis: evidence: %w", err)
	}
	return nil
}

// AddSum adds what o has added up, which is of the same plan, and leaves o as it is.
func (s *Sum) AddSum(o *Sum) error {
	if have, want := o.m.sum.Plan, s.m.sum.Plan; have != want {
		return &PlanError{Have: have, Want: want}
	}
	return s.m.addSum(o.m)
}

// Evidence returns the sum. It is called once, after the last Add; the sum must not be
// used any more.
func (s *Sum) Evidence() Evidence { return s.m.evidence() }
