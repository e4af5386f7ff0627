package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/external"
	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/kayenta"
)

// judge is a way to judge one rollout.
type judge interface {
	// look takes in what was served since the look before, and what monitoring
	// makes of it. It returns how many of the candidate's requests of this look
	// had been served when it called for a rollback, or 0 if it did not.
	look(l *look, seen readings) int
}

// witness is an optional interface of a judge. If implemented, the judge sees what the
// baseline has served before the rollout.
type witness interface {
	before(alone []request)
}

// readings are what a monitoring system shows of the requests that have ended since the
// look before: for the candidate and the baseline, the share of errors, and the 99th
// percentile of latency over the healthy one.
type readings struct {
	errors, p99         float64
	baseErrors, baseP99 float64
}

// read computes readings; buf is room for the latencies of an arm.
func (l *look) read(buf []float64, healthy float64) (r readings) {
	of := func(candidate bool) (errors, p99 float64) {
		buf = buf[:0]
		for _, q := range l.ended {
			if q.candidate != candidate {
				continue
			}
			buf = append(buf, q.latency)
			if q.failed {
				errors++
			}
		}
		if len(buf) == 0 {
			return 0, 0
		}
		slices.Sort(buf)
		return errors / float64(len(buf)), kayenta.Percentile(buf, 99) / healthy
	}
	r.errors, r.p99 = of(true)
	r.baseErrors, r.baseP99 = of(false)
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
	tight, loose := thresholds{errors: 0.02, p99: 1.2}, thresholds{errors: 0.05, p99: 1.5}
	return []method{
		{"Serin", "#0a8a4a", "", func() (judge, error) { return newSerin(perLook) }},
		{"Serin, looking every 10", "#0a8a4a", "2 3", func() (judge, error) { return newSerin(10) }},
		{"by completed request", "#6b7280", "", func() (judge, error) { return &completed{errors: evalue.NewTwoByTwo(errorRate)}, nil }},
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

// serin follows each request and judges after every so many of the candidate's.
type serin struct {
	every      int
	recorder   *analysis.Recorder
	comparison *analysis.Comparison
	flights    map[int]analysis.Flight // by the number of the request
	began      time.Time
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
	for generation, share := range []float64{0, 0.5} {
		if err := rec.Expect(uint64(generation), map[string]float64{"1.4.0": 1 - share, "1.5.0": share}); err != nil {
			return nil, err
		}
	}
	return &serin{
		every: every, recorder: rec, comparison: comparison, flights: map[int]analysis.Flight{},
		began: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, nil
}

func (s *serin) at(seconds float64) time.Time {
	return s.began.Add(time.Duration(seconds * float64(time.Second)))
}

func (s *serin) begin(q request, generation uint64) {
	a := analysis.Assigned{Arm: "1.4.0", Generation: generation, At: s.at(q.began)}
	if q.candidate {
		a.Arm = "1.5.0"
	}
	if q.user > 0 {
		a.Unit = fmt.Sprint("user", q.user)
	}
	s.flights[q.number] = s.recorder.Begin(a)
}

func (s *serin) end(q request) {
	o := analysis.Observation{Class: analysis.OK, Latency: time.Duration(q.latency * float64(time.Second)), Cost: -1, At: s.at(q.ends())}
	if q.failed {
		o.Class = analysis.Error
	}
	s.flights[q.number].Done(o)
	delete(s.flights, q.number)
}

func (s *serin) before(alone []request) {
	var open []request
	for i, q := range alone {
		s.begin(q, 0)
		open = append(open, q)
		if i%perLook < perLook-1 {
			continue
		}
		now := q.began
		open = slices.DeleteFunc(open, func(q request) bool {
			ended := q.ends() <= now
			if ended {
				s.end(q)
			}
			return ended
		})
		s.comparison.Judge(s.at(now))
	}
	for _, q := range open {
		if q.ends() <= 0 {
			s.end(q)
		}
	}
}

func (s *serin) look(l *look, _ readings) int {
	ended := l.ended
	for i, q := range l.cand {
		for len(ended) > 0 && ended[0].ends() <= q.began {
			s.end(ended[0])
			ended = ended[1:]
		}
		s.begin(l.base[i], 1)
		s.begin(q, 1)
		if (i+1)%s.every != 0 {
			continue
		}
		if s.comparison.Judge(s.at(q.began)).Verdict == analysis.Harmed {
			return i + 1
		}
	}
	for _, q := range ended {
		s.end(q)
	}
	return 0
}

// completed counts requests when they have ended, as if each were independent of all
// others: what Serin did before it followed requests from their assignment. Errors are
// compared in blocks of what has ended in the same time, and latencies in pairs, in the
// order in which they come.
type completed struct {
	errors     *evalue.TwoByTwo
	latency    evalue.Pairs
	base, cand []float64 // latencies that have no partner yet
}

func (c *completed) look(l *look, _ readings) int {
	const every = 10
	ended := l.ended
	for i := every; i <= len(l.cand); i += every {
		now := math.Inf(1)
		if i < len(l.cand) {
			now = l.cand[i].began
		}
		var n, events [2]int
		for ; len(ended) > 0 && ended[0].ends() <= now; ended = ended[1:] {
			arm, latencies := 0, &c.base
			if ended[0].candidate {
				arm, latencies = 1, &c.cand
			}
			n[arm]++
			if ended[0].failed {
				events[arm]++
				continue
			}
			*latencies = append(*latencies, ended[0].latency)
		}
		c.errors.Block(events[0], n[0], events[1], n[1])
		for len(c.base) > 0 && len(c.cand) > 0 {
			c.latency.Add(c.base[0], c.cand[0], 1)
			c.base, c.cand = c.base[1:], c.cand[1:]
		}
		const limit = 20 // 1 over the risk of 5 %
		if (math.Exp(c.errors.LogE())+math.Exp(c.latency.LogE()))/2 >= limit {
			return i
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
