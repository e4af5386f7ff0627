package analysis

import (
	"fmt"

	"github.com/serin-go/serin/checks"
)

// Summary is what an arm has shown so far, in plain data that survives JSON:
// for people, for [Threshold]s and for load tests.
type Summary struct {
	Arm string `json:"arm"`
	// Requests is how many observations were recorded, of any class.
	Requests int           `json:"requests"`
	Classes  map[Class]int `json:"classes"`
	// Invalid counts values that no request can have, which were left out:
	// negative durations, scores above 1, NaN.
	Invalid int `json:"invalid,omitempty"`
	// Metrics are in the order of the plan.
	Metrics []MetricSummary `json:"metrics"`
}

// MetricSummary is the distribution of one metric. Durations are in seconds.
type MetricSummary struct {
	Metric string `json:"metric"`
	Kind   Kind   `json:"kind"`
	Unit   string `json:"unit,omitempty"`
	// N counts the requests that have a value. If it is 0 so is all the rest.
	N int `json:"n"`
	// Events counts those that are events, if the metric is a rate; its Mean is
	// the rate, and the rest is 0.
	Events int     `json:"events,omitempty"`
	Mean   float64 `json:"mean"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Quantiles are off by at most 1.6 %.
	P50  float64 `json:"p50"`
	P75  float64 `json:"p75"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// Metric returns the summary of the named metric, or false if s does not have it.
func (s Summary) Metric(name string) (MetricSummary, bool) {
	for _, m := range s.Metrics {
		if m.Metric == name {
			return m, true
		}
	}
	return MetricSummary{}, false
}

// Summary returns what the named arm has shown so far. An unknown arm is an
// [*checks.InvalidError].
func (r *Recorder) Summary(arm string) (Summary, error) {
	a := r.Arm(arm)
	if a == r.stray {
		return Summary{}, &checks.InvalidError{Package: "analysis", Field: "arm", Value: fmt.Sprintf("%q", arm), Want: "an arm of the recorder"}
	}
	a.lock()
	defer a.mu.Unlock()
	s := Summary{Arm: a.name, Requests: a.requests(), Classes: make(map[Class]int), Invalid: int(a.invalid)}
	for c, n := range a.classes {
		if n > 0 {
			s.Classes[Class(c)] = int(n)
		}
	}
	for i, m := range r.meters {
		s.Metrics = append(s.Metrics, a.tallies[i].summary(m))
	}
	return s, nil
}

func (t *tally) summary(m meter) MetricSummary {
	s := MetricSummary{
		Metric: m.Name, Kind: m.Kind, Unit: m.Unit,
		N: int(t.n + t.past.n), Events: int(t.events + t.past.events),
	}
	if t.series == nil {
		if s.N > 0 {
			s.Mean = float64(s.Events) / float64(s.N)
		}
		return s
	}
	h := &t.series.hist
	s.Mean, s.Min, s.Max = h.Mean(), h.Min(), h.Max()
	for _, q := range []struct {
		q  float64
		to *float64
	}{{0.5, &s.P50}, {0.75, &s.P75}, {0.9, &s.P90}, {0.95, &s.P95}, {0.99, &s.P99}, {0.999, &s.P999}} {
		*q.to = h.Quantile(q.q)
	}
	return s
}
