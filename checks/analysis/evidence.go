package analysis

import (
	"fmt"
	"math"
)

// Evidence is what a [Comparison] has gathered: sufficient statistics of some
// kilobytes, whatever the number of requests. It survives JSON and a shorter binary form.
// [Comparison.Restore] reads it, so a restarted process continues the comparison.
// [Plan.Merge] adds up the evidence of several replicas, and [Plan.Judge] judges it.
// A comparison that has not begun has the zero Evidence.
type Evidence struct {
	// The form of the evidence may change with each version of this package. JSON and the
	// binary form name the format, and evidence of another format is refused.
	evidence
}

type evidence struct {
	// Format is 2. Evidence of another format means nothing.
	Format int `json:"format,omitempty"`
	// Plan identifies the plan under which the evidence was gathered. It means
	// nothing under another one.
	Plan      string           `json:"plan,omitempty"`
	Baseline  armEvidence      `json:"baseline"`
	Candidate armEvidence      `json:"candidate"`
	Metrics   []metricEvidence `json:"metrics,omitempty"`
	// Harm is the combined evidence for harm in any gate or guard.
	Harm strength `json:"harm"`
	// Split is the evidence that traffic is not split as intended.
	Split splitEvidence `json:"split,omitzero"`
	// Tripped says which breaker has tripped and why, empty if none has.
	Tripped string `json:"tripped,omitempty"`
	// Stage is the number of the stage, 0 before the first, and Warming says that times do not
	// count yet.
	Stage   int  `json:"stage,omitempty"`
	Warming bool `json:"warming,omitempty"`
	// Assigned counts the requests that each arm was assigned, and Compared how many of
	// them take part in the tests. Unfollowed are the assigned ones that have not ended
	// and of which it is not known for how long, and Unrandomised the requests that
	// chance has not assigned.
	Assigned     [2]int `json:"assigned"`
	Compared     [2]int `json:"compared"`
	Unfollowed   int    `json:"unfollowed,omitempty"`
	Unrandomised int    `json:"unrandomised,omitempty"`
	// Sampled is the part of the requests that was followed at last, chosen by chance
	// where all were too many.
	Sampled float64 `json:"sampled,omitempty"`
	// Strata are the parts of the traffic that are compared apart. A restored comparison
	// keeps those that are harmed, and begins the others again. Merged evidence takes
	// the mean of what the replicas know of each.
	Strata []stratumEvidence `json:"strata,omitempty"`
	// Units counts units with at least five requests, where at most 200 units send
	// all traffic.
	Units *[2]int `json:"units,omitempty"`
	// Tests is the state of all tests, in a form of its own.
	Tests []byte `json:"tests,omitempty"`
}

const evidenceFormat = 2

// armEvidence counts the requests of one arm.
type armEvidence struct {
	Arm     string        `json:"arm,omitempty"`
	Classes map[Class]int `json:"classes,omitempty"`
	Invalid int           `json:"invalid,omitempty"`
	// Routes counts answers by [Observation.Route], sorted by it.
	Routes []routeEvidence `json:"routes,omitempty"`
}

// counted returns the number of requests in the population of rates.
func (a armEvidence) counted() int { return a.of(answered) }

// of returns the number of requests whose class is in s.
func (a armEvidence) of(s classes) int {
	n := 0
	for c, count := range a.Classes {
		if s.has(c) {
			n += count
		}
	}
	return n
}

// metricEvidence is the evidence in one metric.
type metricEvidence struct {
	Name      string         `json:"name"`
	Baseline  sampleEvidence `json:"baseline"`
	Candidate sampleEvidence `json:"candidate"`
	Harm      strength       `json:"harm"`
	Safe      strength       `json:"safe"`
	// Counted is what the evidence for harm of a rate rests on: requests of each arm that
	// were old enough, whether they had ended or not.
	Counted [2]Counted `json:"counted"`
	// Ceiling is the evidence about [Metric.Ceiling].
	Ceiling ceilingEvidence `json:"ceiling,omitzero"`
	// Answered is the evidence that one arm has more grades than the other, of a metric
	// of scores or ratings.
	Answered strength `json:"answered,omitzero"`
	// Contrast is how much the arms differ.
	Contrast contrastSums `json:"contrast,omitzero"`
	// Profile is what the baseline was like; Drift is how far the baseline and
	// the candidate have left that.
	Profile profileState  `json:"profile,omitzero"`
	Drift   [2]driftState `json:"drift,omitzero"`
}

// Counted counts assigned requests, and the events among them.
type Counted struct {
	N      int `json:"n"`
	Events int `json:"events,omitempty"`
}

// sampleEvidence is what one arm has shown of one metric.
type sampleEvidence struct {
	// N counts requests that have a value; Events those among them that are
	// events, if the metric is a rate.
	N      int `json:"n"`
	Events int `json:"events,omitempty"`
	// Value is the rate, the median of an amount, or the mean of a score.
	Value float64 `json:"value"`
	// Values is the distribution, encoded; empty if the metric is a rate.
	Values []byte `json:"values,omitempty"`
}

// strength is how strong evidence is: ln E, now and at its strongest. Verdicts
// of harm rest on the strongest, since Ville's inequality bounds that; Safe rests on
// the present.
type strength struct {
	LogE float64 `json:"log_e"`
	Peak float64 `json:"peak"`
}

func (s *strength) set(logE float64) { s.LogE, s.Peak = logE, max(s.Peak, logE) }

// sane reports whether sums can be such that were gathered: numbers, and not so
// large that more could not be added to them.
func sane(sums ...float64) bool {
	for _, x := range sums {
		if !(math.Abs(x) <= 1e18) {
			return false
		}
	}
	return true
}

func (s strength) check() error {
	if !sane(s.LogE, s.Peak) {
		return fmt.Errorf("ln E is %v, at its peak %v", s.LogE, s.Peak)
	}
	return nil
}

// Requests returns how many requests of the named arm were counted, those with
// [Class.Answered]. It is 0 for an arm that was not compared.
func (e Evidence) Requests(arm string) int {
	switch arm {
	case e.Baseline.Arm:
		return e.Baseline.counted()
	case e.Candidate.Arm:
		return e.Candidate.counted()
	}
	return 0
}

// Evidence returns what has been gathered up to the last [Comparison.Judge].
// Requests that are under way are not in it: a restored comparison has lost them, of
// both arms alike.
func (c *Comparison) Evidence() Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.settling.Lock()
	e := c.evidence()
	base := c.r.arms[0]
	base.mu.Lock() // it writes down its past
	e.Tests = c.tests.encode(c.r.past)
	base.mu.Unlock()
	c.r.settling.Unlock()
	e.Baseline.Routes, e.Candidate.Routes = cloneRoutes(e.Baseline.Routes), cloneRoutes(e.Candidate.Routes)
	for i := range e.Metrics {
		m := &e.Metrics[i]
		m.Drift = [2]driftState{m.Drift[0].clone(), m.Drift[1].clone()}
		m.Baseline.Values = c.base.arm.values(i)
		m.Candidate.Values = c.cand.arm.values(i)
	}
	return e
}

// values returns the encoded distribution of metric i, nil if it is a rate.
func (a *Arm) values(i int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.tallies[i].series; s != nil && s.hist.Count() > 0 {
		return s.hist.AppendTo(nil)
	}
	return nil
}
