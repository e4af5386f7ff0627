package analysis

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
)

// Comparison compares one candidate of a [Recorder] with its baseline. It is
// safe for concurrent use.
type Comparison struct {
	r         *Recorder
	digest    string
	candidate int // number among the candidates

	mu         sync.Mutex
	base, cand reading
	contrasts  []contrast // by metric
	breakers   []breakerState
	tripped    string
	begun      bool // something was judged or restored

	tests tests // guarded by the recorder's settling
}

// contrast measures how much the arms differ in one metric, and how far both have
// left what the baseline was.
type contrast struct {
	contrastSums
	// taken is how much of each arm has been compared, since when nothing was.
	taken [2]cursor
	since time.Time
	// What the baseline was like, how far each arm has left that, and how much
	// of each arm has been held against it.
	profile   profileState
	drifted   driftTest // against the profile, empty while it is not known
	drift     [2]driftState
	monitored [2]cursor
	first     time.Time // when the baseline had its first value
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
		return nil, &checks.InvalidError{Package: "analysis", Field: "candidate", Value: fmt.Sprintf("%q", candidate), Want: fmt.Sprintf("one of %q", names)}
	}
	c := &Comparison{
		r: r, digest: r.plan.digest(), candidate: i, contrasts: make([]contrast, len(r.meters)),
		base:  reading{arm: r.arms[0], metrics: make([]metricReading, len(r.meters))},
		cand:  reading{arm: r.arms[i+1], metrics: make([]metricReading, len(r.meters))},
		tests: newTests(&r.layout, uint8(i+1)),
	}
	for side, rd := range []*reading{&c.base, &c.cand} {
		rd.arm.lock()
		for i := range c.contrasts {
			c.contrasts[i].taken[side] = rd.arm.tallies[i].cursor()
		}
		rd.arm.mu.Unlock()
	}
	for _, b := range r.plan.Breakers {
		i := slices.IndexFunc(r.meters, func(m meter) bool { return m.Name == b.Metric })
		c.breakers = append(c.breakers, breakerState{Breaker: b, metric: i})
	}
	r.settling.Lock()
	defer r.settling.Unlock()
	r.comparisons = append(r.comparisons, c)
	return c, nil
}

// Judge takes in what was recorded since the last call and returns the verdict
// on everything so far. Call it as often as you like, at times that do not
// depend on the outcomes: the guarantees hold however often one looks. What is
// under way counts as far as it has come by now, so call it about once a second.
// A now that is earlier than the last one counts as that.
func (c *Comparison) Judge(now time.Time) Judgement {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	c.r.settle(now)
	c.read()
	for i := range c.contrasts {
		c.monitor(i, now)
		c.take(i, now)
	}
	c.r.settling.Lock()
	c.tests.held = false
	for i := range c.contrasts {
		if c.r.meters[i].Kind == Amount && c.contrasts[i].drift[0].Alarm {
			c.tests.held = true
		}
	}
	c.trip()
	e := c.evidence()
	c.r.settling.Unlock()
	return c.r.plan.judge(e, now)
}

// Tripped returns which breaker has tripped and why, as in [Evidence.Tripped]; empty if none
// has.
func (c *Comparison) Tripped() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tripped
}

// Stage says that a stage of the rollout has begun, by its number from 1: what is to be
// proven must be proven in it, and new trouble is looked for from here on. All replicas
// number stages alike: of the evidence for safety only the part of the last stage adds up.
// A number that is not above the last one changes nothing.
func (c *Comparison) Stage(number int, now time.Time) {
	c.r.settle(now)
	c.r.settling.Lock()
	defer c.r.settling.Unlock()
	c.tests.enter(number)
}

// Warm says that a process or backend of the candidate begins: until it is warm, by
// [Plan.Warm], times do not count.
func (c *Comparison) Warm(now time.Time) {
	c.r.settle(now)
	c.r.settling.Lock()
	defer c.r.settling.Unlock()
	if !c.r.plan.Warm.none() {
		c.tests.warm, c.tests.warmed, c.tests.began = math.MaxInt64, false, 0
		c.tests.seen = c.r.arms[c.candidate+1].begun()
	}
}

// read takes a reading of both arms.
func (c *Comparison) read() {
	for side, rd := range []*reading{&c.base, &c.cand} {
		rd.read(c.r, func(i int) uint64 { return c.contrasts[i].taken[side].next })
	}
}

// take measures the difference by what is new in metric i, if both arms have
// something. While one is silent the other's requests wait for it, but not longer
// than the window: what is further apart must not be compared.
func (c *Comparison) take(i int, now time.Time) {
	t, base, cand := &c.contrasts[i], &c.base.metrics[i], &c.cand.metrics[i]
	nb, nc := base.at.n-t.taken[0].n, cand.at.n-t.taken[1].n
	if t.since.IsZero() || nb == 0 && nc == 0 {
		t.since = now
	}
	switch {
	case nb > 0 && nc > 0:
		b := block{rates: [2]rate{base.at.minus(t.taken[0]), cand.at.minus(t.taken[1])}}
		b.values[0], b.values[1] = overlap(base.fresh, cand.fresh, nb, nc)
		t.contrastSums.take(c.r.meters[i].Kind, &b)
	case now.Sub(t.since) <= c.r.plan.Window:
		return
	}
	t.taken, t.since = [2]cursor{base.at, cand.at}, now
}

// evidence returns the evidence without the encoded distributions and tests. It
// shares slices with c. The recorder is settled.
func (c *Comparison) evidence() Evidence {
	t := &c.tests
	e := Evidence{evidence{
		Format: evidenceFormat, Plan: c.digest, Baseline: c.base.evidence(), Candidate: c.cand.evidence(),
		Metrics: make([]metricEvidence, len(c.contrasts)), Harm: t.harm, Split: t.split.splitEvidence, Tripped: c.tripped,
		Stage: t.stage, Warming: !t.warmed,
		Unrandomised: int(c.base.arm.unrandomised.Load() + c.cand.arm.unrandomised.Load()),
		Assigned:     [2]int{int(t.assigned[0]), int(t.assigned[1])}, Compared: [2]int{int(t.compared[0]), int(t.compared[1])}, Unfollowed: c.r.flights.unknown(), Sampled: c.r.flights.sampled(),
	}}
	e.Units = t.few.known()
	e.Strata = t.strata.evidence()
	for i := range c.contrasts {
		x, m := &c.contrasts[i], &e.Metrics[i]
		*m = metricEvidence{
			Name: c.r.meters[i].Name, Baseline: c.base.metrics[i].sample(), Candidate: c.cand.metrics[i].sample(),
			Harm: t.perMetric[i].harm, Safe: t.perMetric[i].safe, Counted: t.perMetric[i].counted, Ceiling: t.perMetric[i].ceiling, Answered: t.perMetric[i].answered, Contrast: x.contrastSums,
			Profile: x.profile, Drift: x.drift,
		}
	}
	return e
}
