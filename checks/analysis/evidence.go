package analysis

import (
	"fmt"
	"math"
)

// Evidence is what a [Comparison] has gathered: sufficient statistics, a few
// kilobytes of plain data, whatever the number of requests. Stored and given
// back by [Comparison.Restore], it lets a restarted process go on as if it had
// never stopped. The zero Evidence is that of a comparison that has not begun.
type Evidence struct {
	// Plan identifies the plan under which the evidence was gathered. It means
	// nothing under another one.
	Plan      string           `json:"plan,omitempty"`
	Baseline  ArmEvidence      `json:"baseline"`
	Candidate ArmEvidence      `json:"candidate"`
	Metrics   []MetricEvidence `json:"metrics,omitempty"`
	// Harm is the combined evidence for harm in any gate or guard.
	Harm Strength `json:"harm"`
	// Split is the evidence that traffic is not split as intended.
	Split SplitEvidence `json:"split,omitzero"`
	// Tripped says which breaker has tripped and why, empty if none has.
	Tripped string `json:"tripped,omitempty"`
}

// ArmEvidence counts the requests of one arm.
type ArmEvidence struct {
	Arm string `json:"arm,omitempty"`
	// Units counts units, if the plan's unit is not the request.
	Units   int           `json:"units,omitempty"`
	Classes map[Class]int `json:"classes,omitempty"`
	Invalid int           `json:"invalid,omitempty"`
	// Routes counts answers by [Observation.Route], sorted by it.
	Routes []RouteEvidence `json:"routes,omitempty"`
}

// counted returns the number of requests in the population of rates.
func (a ArmEvidence) counted() int { return a.of(answered) }

// of returns the number of requests whose class is in s.
func (a ArmEvidence) of(s classes) int {
	n := 0
	for c, count := range a.Classes {
		if s.has(c) {
			n += count
		}
	}
	return n
}

// MetricEvidence is the evidence in one metric.
type MetricEvidence struct {
	Name      string `json:"name"`
	Baseline  Sample `json:"baseline"`
	Candidate Sample `json:"candidate"`
	Harm      Test   `json:"harm"`
	Safe      Test   `json:"safe"`
	// Tail is where the tail of an amount begins.
	Tail Level `json:"tail,omitzero"`
	// Contrast is how much the arms differ.
	Contrast Contrast `json:"contrast,omitzero"`
	// Profile is what the baseline was like; Drift is how far the baseline and
	// the candidate have left that.
	Profile Profile  `json:"profile,omitzero"`
	Drift   [2]Drift `json:"drift,omitzero"`
}

// Sample is what one arm has shown of one metric.
type Sample struct {
	// N counts requests that have a value; Events those among them that are
	// events, if the metric is a rate.
	N      int `json:"n"`
	Events int `json:"events,omitempty"`
	// Value is the rate, the median of an amount, or the mean of a score.
	Value float64 `json:"value"`
	// Values is the distribution, encoded; empty if the metric is a rate.
	Values []byte `json:"values,omitempty"`
}

// Test is the state of one sequential test.
type Test struct {
	Strength
	// Sums are the sufficient statistics of the test. For a rate: the
	// baseline's events and requests, then the log-likelihood ratio of each
	// alternative. For an amount: pairs won and lost, and for harm those of the
	// rate beyond [MetricEvidence.Tail]. For a score: the number
	// of pairs, the sum of their differences and of the squares of those, and
	// the log of the wealth. Those of disjoint data add up.
	Sums []float64 `json:"sums,omitempty"`
}

// Strength is how strong evidence is: ln E, now and at its strongest. Verdicts
// rest on the strongest, since Ville's inequality bounds that.
type Strength struct {
	LogE float64 `json:"log_e"`
	Peak float64 `json:"peak"`
}

func (s *Strength) set(logE float64) { s.LogE, s.Peak = logE, max(s.Peak, logE) }

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

func (s Strength) check() error {
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
// Requests that could not be compared yet, because the other arm was silent,
// are in the counts, but a restored comparison does not take them up.
func (c *Comparison) Evidence() Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.evidence()
	e.Baseline.Routes, e.Candidate.Routes = cloneRoutes(e.Baseline.Routes), cloneRoutes(e.Candidate.Routes)
	for i := range e.Metrics {
		m := &e.Metrics[i]
		m.Drift = [2]Drift{m.Drift[0].clone(), m.Drift[1].clone()}
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
