package loadtest

import (
	"encoding/json"
	"fmt"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/hist"
)

// tally has the metrics that thresholds and live traffic have in common: counts, and
// histograms in the layout of live traffic, so that a threshold has the same meaning
// for both. Tallies of parts of a run merge without loss. The zero value is empty.
type tally struct {
	classes [analysis.NumClasses]uint64
	// Of the requests that have them; see amounts.
	ttft, tpot, latency, speed hist.Histogram
}

// add adds one request. Durations count from the instant at which it was due. A request
// that failed on this machine says nothing of the target.
func (t *tally) add(r Result) {
	if r.Fault.local() {
		return
	}
	t.classes[r.Class]++
	for _, a := range t.amounts() {
		if v, ok := valueOf(a.metric.Name)(r); ok {
			a.values.Add(v)
		}
	}
}

func (t *tally) merge(o *tally) {
	for c, n := range o.classes {
		t.classes[c] += n
	}
	theirs := o.amounts()
	for i, a := range t.amounts() {
		a.values.Merge(theirs[i].values)
	}
}

// amount is a metric with a distribution.
type amount struct {
	metric analysis.Metric
	values *hist.Histogram
}

func (t *tally) amounts() []amount {
	return []amount{{analysis.TTFT(), &t.ttft}, {analysis.TPOT(), &t.tpot}, {analysis.Latency(), &t.latency}, {analysis.TokensPerSecond(), &t.speed}}
}

// rates are the metrics that are rates: events are the classes to count, population
// the classes to divide by.
func rates() []struct {
	metric             analysis.Metric
	population, events func(analysis.Class) bool
} {
	only := func(class analysis.Class) func(analysis.Class) bool {
		return func(c analysis.Class) bool { return c == class }
	}
	answered := analysis.Class.Answered
	orRejected := func(c analysis.Class) bool { return c.Answered() || c == analysis.Rejected }
	return []struct {
		metric             analysis.Metric
		population, events func(analysis.Class) bool
	}{
		{analysis.ErrorRate(), answered, analysis.Class.Failed},
		{analysis.Timeouts(), answered, only(analysis.Timeout)},
		{analysis.Truncations(), answered, only(analysis.Truncated)},
		{analysis.Refusals(), answered, only(analysis.Refused)},
		{analysis.EmptyOutputs(), answered, only(analysis.Empty)},
		{analysis.Rejections(), orRejected, only(analysis.Rejected)},
	}
}

// summary returns t in the form of a summary of live traffic.
func (t *tally) summary() analysis.Summary {
	s := analysis.Summary{Arm: targetArm, Classes: make(map[analysis.Class]int)}
	count := func(in func(analysis.Class) bool) (n int) {
		for c, k := range t.classes {
			if in(analysis.Class(c)) {
				n += int(k)
			}
		}
		return n
	}
	for c, n := range t.classes {
		s.Requests += int(n)
		if n > 0 {
			s.Classes[analysis.Class(c)] = int(n)
		}
	}
	for _, r := range rates() {
		m := analysis.MetricSummary{Metric: r.metric.Name, Kind: r.metric.Kind, Unit: r.metric.Unit, N: count(r.population), Events: count(r.events)}
		if m.N > 0 {
			m.Mean = float64(m.Events) / float64(m.N)
		}
		s.Metrics = append(s.Metrics, m)
	}
	for _, a := range t.amounts() {
		h := a.values
		s.Metrics = append(s.Metrics, analysis.MetricSummary{
			Metric: a.metric.Name, Kind: a.metric.Kind, Unit: a.metric.Unit, N: int(h.Count()), Mean: h.Mean(), Min: h.Min(), Max: h.Max(),
			P50: h.Quantile(0.5), P75: h.Quantile(0.75), P90: h.Quantile(0.9), P95: h.Quantile(0.95), P99: h.Quantile(0.99), P999: h.Quantile(0.999),
		})
	}
	return s
}

// tallyJSON is the JSON of a tally.
type tallyJSON struct {
	Classes map[analysis.Class]uint64 `json:"classes,omitempty"`
	Values  map[string][]byte         `json:"values,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (t *tally) MarshalJSON() ([]byte, error) {
	j := tallyJSON{make(map[analysis.Class]uint64), make(map[string][]byte)}
	for c, n := range t.classes {
		if n > 0 {
			j.Classes[analysis.Class(c)] = n
		}
	}
	for _, a := range t.amounts() {
		if a.values.Count() > 0 {
			j.Values[a.metric.Name] = a.values.AppendTo(nil)
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *tally) UnmarshalJSON(data []byte) error {
	var j tallyJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*t = tally{}
	for c, n := range j.Classes {
		t.classes[c] = n
	}
	for _, a := range t.amounts() {
		if values := j.Values[a.metric.Name]; len(values) > 0 {
			if err := a.values.UnmarshalBinary(values); err != nil {
				return fmt.Errorf("%s: %w", a.metric.Name, err)
			}
		}
	}
	return nil
}
