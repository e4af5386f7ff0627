package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/external"
	"github.com/serin-go/serin/internal/kayenta"
)

// judge is a way to judge one rollout.
type judge interface {
	// look takes in what was served since the look before, and what monitoring
	// makes of it. It returns how many of the candidate's requests of this look
	// had been served when it called for a rollback, or 0 if it did not.
	look(l *look, seen readings) int
}

// readings are what a monitoring system shows of one look: for the candidate
// and the baseline, the share of errors and the 99th percentile of latency.
type readings struct {
	errors, p99         float64
	baseErrors, baseP99 float64
}

// read computes readings; buf is room for the latencies of an arm.
func (l *look) read(buf []float64) (r readings) {
	of := func(rs []request) (errors, p99 float64) {
		buf = buf[:0]
		for _, q := range rs {
			buf = append(buf, q.latency)
			if q.failed {
				errors += 1 / float64(len(rs))
			}
		}
		slices.Sort(buf)
		return errors, kayenta.Percentile(buf, 99)
	}
	r.errors, r.p99 = of(l.cand)
	r.baseErrors, r.baseP99 = of(l.base)
	return r
}

// method is a named way to judge rollouts.
type method struct {
	name   string
	colour string // in plots
	dashes string // of its line, as SVG has them
	start  func() (judge, error)
}

// methods are in the order of the table.
func methods() []method {
	tight, loose := thresholds{errors: 0.02, p99: 1.2 * p99}, thresholds{errors: 0.05, p99: 1.5 * p99}
	return []method{
		{"Serin", "#0a8a4a", "", func() (judge, error) { return newSerin(perLook) }},
		{"Serin, looking every 10", "#0a8a4a", "2 3", func() (judge, error) { return newSerin(10) }},
		{"argo, tight, failureLimit 0", "#d1651b", "2 3", func() (judge, error) { return newArgo(tight, 0) }},
		{"argo, tight, failureLimit 3", "#d1651b", "", func() (judge, error) { return newArgo(tight, 3) }},
		{"argo, loose, failureLimit 3", "#d1651b", "8 4", func() (judge, error) { return newArgo(loose, 3) }},
		{"flagger, tight, threshold 5", "#9b4dca", "", func() (judge, error) { return &flagger{thresholds: tight, limit: 5}, nil }},
		{"flagger, loose, threshold 5", "#9b4dca", "8 4", func() (judge, error) { return &flagger{thresholds: loose, limit: 5}, nil }},
		{"Kayenta, every look", "#2f6fb0", "", func() (judge, error) { return newKayenta(1), nil }},
		{"Kayenta, every 10 looks", "#2f6fb0", "8 4", func() (judge, error) { return newKayenta(10), nil }},
		{"Kayenta, once at the end", "#2f6fb0", "2 3", func() (judge, error) { return newKayenta(looks), nil }},
	}
}

// serin records each request and judges after every so many of the candidate's.
type serin struct {
	every      int
	recorder   *analysis.Recorder
	comparison *analysis.Comparison
	now        time.Time
}

func newSerin(every int) (*serin, error) {
	// What the others see as well, and no breaker: statistics alone.
	plan := analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate(), analysis.Latency()}, Breakers: []analysis.Breaker{}}
	rec, err := analysis.NewRecorder(plan, "1.4.0", "1.5.0")
	if err != nil {
		return nil, err
	}
	comparison, err := rec.Comparison("1.5.0")
	if err != nil {
		return nil, err
	}
	if err := rec.Expect(1, map[string]float64{"1.4.0": 0.5, "1.5.0": 0.5}); err != nil {
		return nil, err
	}
	return &serin{
		every: every, recorder: rec, comparison: comparison,
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, nil
}

func (s *serin) look(l *look, _ readings) int {
	record := func(arm string, q request) {
		o := analysis.Observation{Class: analysis.OK, Latency: time.Duration(q.latency * float64(time.Second)), Cost: -1}
		if q.failed {
			o.Class = analysis.Error
		}
		o.At = s.now.Add(o.Latency)
		s.recorder.Begin(analysis.Assigned{Arm: arm, Generation: 1, At: s.now}).Done(o)
	}
	for i := range l.cand {
		s.now = s.now.Add(time.Minute / perLook)
		record("1.4.0", l.base[i])
		record("1.5.0", l.cand[i])
		if (i+1)%s.every != 0 {
			continue
		}
		if s.comparison.Judge(s.now).Verdict == analysis.Harmed {
			return i + 1
		}
	}
	return 0
}

// thresholds are limits on what the candidate shows in one look.
type thresholds struct{ errors, p99 float64 }

// argo applies each threshold as a metric of argo-rollouts with a limit on
// failed measurements.
type argo struct {
	metrics []external.Metric
	tallies []external.Tally
}

func newArgo(t thresholds, failureLimit int) (*argo, error) {
	metric := func(name string, most float64) external.Metric {
		return external.Metric{
			Name: name, Query: name, Interval: time.Minute, Count: looks, FailureLimit: failureLimit,
			Success: external.MustCondition(fmt.Sprintf("result[0] <= %g", most)),
		}
	}
	a := &argo{
		metrics: []external.Metric{metric("error rate", t.errors), metric("p99", t.p99)},
		tallies: make([]external.Tally, 2),
	}
	return a, external.ValidateMetrics(a.metrics)
}

func (a *argo) look(l *look, seen readings) int {
	for i, value := range []float64{seen.errors, seen.p99} {
		m := external.Measurement{Phase: external.Failed}
		if ok, _ := a.metrics[i].Success.Holds([]float64{value}); ok {
			m.Phase = external.Successful
		}
		a.tallies[i] = a.metrics[i].Record(a.tallies[i], m)
	}
	if external.AssessAll(a.metrics, a.tallies, false).Phase == external.Failed {
		return len(l.cand)
	}
	return 0
}

// flagger counts looks in which any check fails, and rolls back at the limit.
type flagger struct {
	thresholds
	limit, failed int
}

func (f *flagger) look(l *look, seen readings) int {
	if seen.errors > f.errors || seen.p99 > f.p99 {
		f.failed++
	}
	if f.failed >= f.limit {
		return len(l.cand)
	}
	return 0
}

// kayentaJudge gives all looks so far to Kayenta's judge, each as one point.
type kayentaJudge struct {
	every   int
	metrics []kayenta.Metric
	cand    [2][]float64
	base    [2][]float64
}

// passing is the score from which on a canary passes; with two metrics of equal
// weight, either may fail it.
const passing = 75

func newKayenta(every int) *kayentaJudge {
	metric := func(name string) kayenta.Metric {
		return kayenta.Metric{Name: name, Groups: []string{name}, Direction: kayenta.Increase}
	}
	return &kayentaJudge{every: every, metrics: []kayenta.Metric{metric("error rate"), metric("p99")}}
}

func (k *kayentaJudge) look(l *look, seen readings) int {
	for i, v := range [][2]float64{{seen.errors, seen.baseErrors}, {seen.p99, seen.baseP99}} {
		k.cand[i], k.base[i] = append(k.cand[i], v[0]), append(k.base[i], v[1])
	}
	if n := l.number + 1; n < 5 || n%k.every != 0 {
		return 0
	}
	var results []kayenta.Result
	for i, m := range k.metrics {
		results = append(results, m.Classify(k.cand[i], k.base[i]))
	}
	if score, _ := kayenta.Score(results, nil); score < passing {
		return len(l.cand)
	}
	return 0
}
