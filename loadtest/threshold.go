package loadtest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// targetArm is the arm of the observations of a run.
const targetArm = "target"

// Judged is a threshold and its result for a run.
type Judged struct {
	Threshold analysis.Threshold `json:"threshold"`
	Result    checks.Result      `json:"result"`
}

// abortEvery is the time between evaluations of thresholds that can end a run.
const abortEvery = 500 * time.Millisecond

// BreachError is the error of a run whose thresholds are breached.
type BreachError struct {
	Breached []Judged
}

func (e *BreachError) Error() string {
	texts := make([]string, len(e.Breached))
	for i, b := range e.Breached {
		texts[i] = b.Result.Summary
	}
	return "loadtest: threshold breached: " + strings.Join(texts, "; ")
}

func breach(all []Judged) error {
	failed := slices.DeleteFunc(slices.Clone(all), func(j Judged) bool { return j.Result.Status != checks.Fail })
	if len(failed) == 0 {
		return nil
	}
	return &BreachError{failed}
}

// Names of the figures of a report that live traffic does not have.
const (
	nameTTFB  = "ttfb"
	nameTTFC  = "ttfc"
	nameITL   = "itl"
	nameICL   = "icl"
	nameNTPOT = "ntpot"
	nameE2E   = "e2e"
)

// figure is a kind of duration of a report with the name that it has in thresholds.
type figure struct {
	name string
	d    *Distribution
}

// figures returns the durations that only a report has. Those that depend on the
// start of a request count from the instant at which it was due.
func (r *Report) figures() []figure {
	return []figure{{nameTTFB, &r.CorrectedTTFB}, {nameTTFC, &r.CorrectedTTFC}, {nameITL, &r.ITL}, {nameICL, &r.ICL}, {nameNTPOT, &r.CorrectedNTPOT}, {nameE2E, &r.CorrectedE2E}}
}

// waits are the durations of requests that wait for each other.
var waits = [...]string{analysis.TTFT().Name, analysis.TPOT().Name, analysis.Latency().Name, nameTTFB, nameTTFC, nameNTPOT, nameE2E}

// dependence returns the number of requests that show as much of a metric as one
// independent request, by the logarithms of the durations; see [batches].
func (r *Report) dependence(metric string) float64 {
	switch metric {
	case analysis.TokensPerSecond().Name, nameITL, nameICL:
		metric = analysis.TPOT().Name // of the same gaps
	}
	if i := slices.Index(waits[:], metric); i >= 0 {
		return r.waits[i].dependence()
	}
	return 1
}

// valueOf returns the function that returns a request's value of an amount, and whether
// it has one.
func valueOf(name string) func(Result) (float64, bool) {
	switch name {
	case analysis.TTFT().Name:
		return func(r Result) (float64, bool) { return seconds(r.Chunks > 0 && r.Class.Begun(), r.TTFT+r.SchedLag()) }
	case analysis.TPOT().Name:
		return func(r Result) (float64, bool) { return seconds(r.Class.Begun(), r.TPOT) }
	case analysis.TokensPerSecond().Name:
		return func(r Result) (float64, bool) {
			return float64(time.Second) / float64(max(1, r.TPOT)), r.Class.Begun() && r.TPOT > 0
		}
	case analysis.Latency().Name:
		return func(r Result) (float64, bool) { return seconds(r.Class.Complete(), r.Latency+r.SchedLag()) }
	case nameTTFB:
		return func(r Result) (float64, bool) { return seconds(r.Status != 0, r.TTFB+r.SchedLag()) }
	case nameTTFC:
		return func(r Result) (float64, bool) { return seconds(r.TTFC > 0, r.TTFC+r.SchedLag()) }
	case nameNTPOT:
		return func(r Result) (float64, bool) {
			return seconds(r.complete() && r.Chunks > 0 && r.NTPOT > 0, r.NTPOT+r.SchedLag()/time.Duration(max(1, r.OutputTokens)))
		}
	case nameE2E:
		return func(r Result) (float64, bool) { return seconds(r.complete() && r.Chunks > 0, r.E2E+r.SchedLag()) }
	}
	return func(Result) (float64, bool) { return 0, false }
}

func seconds(some bool, d time.Duration) (float64, bool) { return d.Seconds(), some && d > 0 }

// metricNames returns the names of the metrics that thresholds can have.
func metricNames() (names []string) {
	for _, m := range new(Report).Summary().Metrics {
		names = append(names, m.Metric)
	}
	return names
}

// checkThresholds returns an error that joins one for each threshold that cannot be
// judged.
func checkThresholds(ts []analysis.Threshold) error {
	var errs []error
	names := metricNames()
	for i, t := range ts {
		if err := t.Validate(); err != nil {
			errs = append(errs, checks.Within(err, "loadtest", "Threshold", fmt.Sprintf("Plan.Thresholds[%d]", i)))
		} else if !slices.Contains(names, t.Metric) {
			errs = append(errs, invalid(fmt.Sprintf("Plan.Thresholds[%d].Metric", i), t.Metric, "one of "+strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

// Summary returns the metrics that an [analysis.Threshold] can have: the metrics of the
// summary of live traffic (rates, TTFT, TPOT, latency and tokens per second) and the
// other durations of r, named as in the text of the report in lower case. ITL is of
// all gaps together. Durations count from the instant at which requests were due.
func (r *Report) Summary() analysis.Summary {
	s := r.tally.summary()
	for _, f := range r.figures() {
		q := func(q float64) float64 { return f.d.Quantile(q).Seconds() }
		s.Metrics = append(s.Metrics, analysis.MetricSummary{
			Metric: f.name, Kind: analysis.Amount, Unit: "s", N: int(f.d.Count()), Mean: f.d.Mean().Seconds(), Min: q(0), Max: q(1),
			P50: q(0.5), P75: q(0.75), P90: q(0.9), P95: q(0.95), P99: q(0.99), P999: q(0.999),
		})
	}
	return s
}

// Judge evaluates ts, which may differ from the plan's thresholds, and sets r.Judged.
//
// A threshold passes if the figure of r keeps it and the class of at least one request is
// OK. It fails if the figure exceeds it, and for a rate or a quantile of requests if chance is
// no explanation: if the target kept all of ts, one of them would fail with a
// probability of at most 5 %, however often they are evaluated while a run goes on.
// Otherwise it is [checks.Unknown]. [Run] also wants proof for means and for quantiles of
// gaps, from 50 requests on; a report that is read back does not have it.
//
// A rate or a quantile passes with any number of requests, but too few of them cannot
// show much: one slow or failed request has to keep it, so that "ttft p99" needs 100
// requests and "error rate <= 1%" as many. With fewer, the summary of the result names
// the number needed, and the verdict of the report is limited to the requests sent.
func (r *Report) Judge(ts ...analysis.Threshold) {
	r.Judged = nil
	s := r.Summary()
	for _, t := range ts {
		result := t.Judge(s)
		var unknown *checks.InvalidError
		if errors.As(result.Err, &unknown) && unknown.Field == "Threshold.Metric" {
			result.Err = invalid("Threshold.Metric", t.Metric, "one of "+strings.Join(metricNames(), ", "))
		}
		switch {
		case result.Status == checks.Fail && !r.shows(t, len(ts)):
			result.Status = checks.Unknown
			result.Summary += ", which may be chance"
		case result.Status == checks.Pass && s.Classes[analysis.OK] == 0:
			result.Status = checks.Unknown
			result.Summary += ", but no request succeeded"
		case result.Status == checks.Pass:
			if n, want := enough(s, t); n < want {
				result.Summary += fmt.Sprintf(", too few to show it: %s or more can", units.Grouped(want))
			}
		}
		r.Judged = append(r.Judged, Judged{t, result})
	}
}

// enough returns the number of values that t was judged by, and the smallest number of
// which one may exceed t, or 0 if t allows no share of the values to exceed it.
func enough(s analysis.Summary, t analysis.Threshold) (n, want int) {
	m, ok := s.Metric(t.Metric)
	if !ok || m.N == 0 {
		return 0, 0
	}
	share, shared := allowed(t)
	if m.Kind == analysis.Rate {
		share, shared = t.Limit, true
		if t.AtLeast {
			share = 1 - t.Limit
		}
	}
	if !shared || !(share > 0) || share >= 1 {
		return m.N, 0
	}
	return m.N, int(min(math.Ceil(1/share-1e-9/share), math.MaxInt32))
}

// few reports whether one of the thresholds of r was judged by too few values.
func (r *Report) few() bool {
	s := r.Summary()
	return slices.ContainsFunc(r.Judged, func(j Judged) bool {
		n, want := enough(s, j.Threshold)
		return n < want
	})
}

// shows reports whether the requests of r show that t, one of so many thresholds, does
// not hold. A figure that does not count requests needs no proof.
func (r *Report) shows(t analysis.Threshold, of int) bool {
	events, n, share := 0, 0, t.Limit
	open := r.UnderWay + r.Classes[analysis.Cancelled] + r.Classes[analysis.Abandoned] // their ends are not known
	for _, m := range r.tally.summary().Metrics {
		if m.Metric == t.Metric && m.Kind == analysis.Rate {
			events, n = m.Events, m.N
			if t.AtLeast {
				events, share = m.N-m.Events, 1-t.Limit
			}
			return exceeds(events, n+open, share, 1, of)
		}
	}
	share, shared := allowed(t)
	if !shared || t.Metric == nameITL || t.Metric == nameICL {
		return true
	}
	for _, a := range r.tally.amounts() {
		if a.metric.Name == t.Metric {
			n, events = int(a.values.Count()), int(math.Round(a.values.CountAbove(t.Limit)))
		}
	}
	for _, f := range r.figures() {
		if f.name == t.Metric {
			n = int(f.d.Count())
			events = n - int(f.d.AtMost(units.Seconds(t.Limit)))
		}
	}
	if t.AtLeast {
		events = n - events
	}
	return share == 0 || exceeds(events, n+open, share, r.dependence(t.Metric), of)
}
