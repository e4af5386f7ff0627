package analysis

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// Comparison compares one candidate of a [Recorder] with its baseline. It is
// safe for concurrent use.
type Comparison struct {
	r         *Recorder
	digest    string
	candidate int // number among the candidates

	mu         sync.Mutex
	base, cand reading
	tests      []test // by metric
	breakers   []breakerState
	harm       Strength
	split      SplitEvidence
	tripped    string
	begun      bool // something was judged or restored
}

// test is the state of one metric's comparison.
type test struct {
	contest    contest
	contrast   Contrast
	harm, safe Strength
	// taken is how much of each arm the contest has been given, since when
	// nothing was.
	taken [2]cursor
	since time.Time
	// What the baseline was like, how far each arm has left that, and how much
	// of each arm has been held against it.
	profile Profile
	drifted driftTest // against the profile, empty while it is not known
	drift   [2]Drift
	watched [2]cursor
}

// Comparison returns a comparison of the named candidate with the baseline. It
// covers what is recorded from now on. Each comparison judges on its own, so
// one suffices for each candidate.
func (r *Recorder) Comparison(candidate string) (*Comparison, error) {
	i := slices.IndexFunc(r.arms[1:], func(a *Arm) bool { return a.name == candidate })
	if i < 0 {
		names := make([]string, len(r.arms)-1)
		for j, a := range r.arms[1:] {
			names[j] = a.name
		}
		return nil, &InvalidError{Field: "candidate", Value: fmt.Sprintf("%q", candidate), Want: fmt.Sprintf("one of %q", names)}
	}
	c := &Comparison{
		r: r, digest: r.plan.digest(), candidate: i,
		base: reading{arm: r.arms[0], metrics: make([]metricReading, len(r.meters))},
		cand: reading{arm: r.arms[i+1], metrics: make([]metricReading, len(r.meters))},
	}
	for _, m := range r.meters {
		c.tests = append(c.tests, test{contest: newContest(m.Metric)})
	}
	for side, rd := range []*reading{&c.base, &c.cand} {
		rd.arm.lock()
		for i := range c.tests {
			c.tests[i].taken[side] = rd.arm.tallies[i].cursor()
		}
		rd.arm.mu.Unlock()
	}
	for _, b := range r.plan.Breakers {
		i := slices.IndexFunc(r.meters, func(m meter) bool { return m.Name == b.Metric })
		from := c.tests[i].taken
		c.breakers = append(c.breakers, breakerState{Breaker: b, metric: i, looks: []look{{from[0].n, from[1].n}}})
	}
	return c, nil
}

// Judge takes in what was recorded since the last call and returns the verdict
// on everything so far. Call it as often as you like, at times that do not
// depend on the outcomes: the guarantees hold however often one looks. What is
// recorded between two calls is compared as one block; so call it whenever the
// split changes, and at least once in a [Plan.Window].
func (c *Comparison) Judge(now time.Time) Judgement {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	c.read()
	for i := range c.tests {
		c.watch(i) // before take, which lets new values become part of the past
		c.take(i, now)
	}
	logE, weights := make([]float64, 0, len(c.tests)), make([]float64, 0, len(c.tests))
	for i := range c.tests {
		if m := c.r.meters[i]; m.Role != Report {
			logE, weights = append(logE, c.tests[i].harm.LogE), append(weights, m.Weight)
		}
	}
	c.harm.set(evalue.Average(logE, weights))
	c.trip()
	return c.r.plan.judge(c.evidence(), now)
}

// read takes a reading of both arms.
func (c *Comparison) read() {
	for side, rd := range []*reading{&c.base, &c.cand} {
		rd.read(c.r, func(i int) uint64 { return c.tests[i].taken[side].next })
	}
	c.split = c.r.expected.read(c.r.arms, c.candidate)
}

// take gives metric i's contest what is new, if both arms have something. While
// one is silent the other's requests wait for it, but not longer than the
// window: what is further apart must not be compared.
func (c *Comparison) take(i int, now time.Time) {
	t, base, cand := &c.tests[i], &c.base.metrics[i], &c.cand.metrics[i]
	nb, nc := base.at.n-t.taken[0].n, cand.at.n-t.taken[1].n
	if t.since.IsZero() || nb == 0 && nc == 0 {
		t.since = now
	}
	switch {
	case nb > 0 && nc > 0:
		b := block{rates: [2]rate{base.at.minus(t.taken[0]), cand.at.minus(t.taken[1])}}
		b.values[0], b.values[1] = overlap(base.fresh, cand.fresh, nb, nc)
		for side, m := range []*metricReading{base, cand} {
			if len(m.covs) > 0 {
				b.covs[side] = m.covs[len(m.covs)-len(b.values[side]):]
			}
		}
		t.contest.take(b)
		t.contrast.take(c.r.meters[i].Kind, &b)
		harm, safe := t.contest.logE()
		t.harm.set(harm)
		t.safe.set(safe)
	case now.Sub(t.since) <= c.r.plan.Window:
		return
	}
	t.taken, t.since = [2]cursor{base.at, cand.at}, now
}

// evidence returns the evidence without the encoded distributions. It shares
// slices with c.
func (c *Comparison) evidence() Evidence {
	e := Evidence{
		Plan: c.digest, Baseline: c.base.evidence(), Candidate: c.cand.evidence(),
		Metrics: make([]MetricEvidence, len(c.tests)), Harm: c.harm, Split: c.split, Tripped: c.tripped,
	}
	for i := range c.tests {
		t, m := &c.tests[i], &e.Metrics[i]
		*m = MetricEvidence{
			Name: c.r.meters[i].Name, Baseline: c.base.metrics[i].sample(), Candidate: c.cand.metrics[i].sample(),
			Harm: Test{Strength: t.harm}, Safe: Test{Strength: t.safe}, Contrast: t.contrast,
			Profile: t.profile, Drift: t.drift,
		}
		t.contest.save(m)
	}
	return e
}
