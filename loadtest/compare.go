package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// Comparison tells whether a candidate took the same load worse than a
// baseline.
type Comparison struct {
	Baseline, Candidate *Report
	// Judgement is the word of sequential tests on pairs of requests, with the
	// margins and the multiplicity control of its plan.
	Judgement analysis.Judgement
	// Differences are those of quantiles, with intervals that cover all of the
	// true differences together with a probability of at least 95 %, if the
	// requests of a run are independent of each other.
	Differences []Difference
}

// Difference is how much larger a quantile of the candidate is.
type Difference struct {
	Name                string // such as "TTFT p99", corrected
	Baseline, Candidate time.Duration
	// Low and High bound Candidate - Baseline.
	Low, High time.Duration
}

// arms of comparisons.
const baselineArm, candidateArm = "baseline", "candidate"

// Compare sends the requests of p to two targets, each pair at the same
// instant, so that whatever else goes on hits both, and judges the candidate by
// the plan of the analysis; its zero value means the defaults. Each target gets
// the whole load. Thresholds of p are judged for each, but end neither run.
// OnResult and OnInterval are called for both, never concurrently.
func Compare(ctx context.Context, p Plan, candidate string, how analysis.Plan) (*Comparison, error) {
	other := p
	other.Target = candidate
	if err := errors.Join(p.Validate(), other.Validate()); err != nil {
		return nil, err
	}
	c, err := newJudge(how)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	given := p.OnResult
	both := func(arm string) func(Result) {
		return func(r Result) {
			mu.Lock()
			defer mu.Unlock()
			c.add(arm, r)
			if given != nil {
				given(r)
			}
		}
	}
	p.OnResult, other.OnResult = both(baselineArm), both(candidateArm)
	p.AbortOnBreach, other.AbortOnBreach = false, false
	if each := p.OnInterval; each != nil {
		var one sync.Mutex
		p.OnInterval = func(r *Report) {
			one.Lock()
			defer one.Unlock()
			each(r)
		}
		other.OnInterval = p.OnInterval
	}
	if p.Start.IsZero() {
		p.Start = time.Now() // or the instants of the two would differ by that of their starts
		other.Start = p.Start
	}
	var reports [2]*Report
	var errs [2]error
	var wg sync.WaitGroup
	for i, p := range []Plan{p, other} {
		wg.Go(func() { reports[i], errs[i] = Run(ctx, p) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return c.conclude(reports[0], reports[1]), nil
}

// CompareFiles compares two runs of one plan that were recorded by a [Writer] as
// JSON lines. Requests are paired by the time since their run began.
func CompareFiles(baseline, candidate io.Reader, how analysis.Plan) (*Comparison, error) {
	c, err := newJudge(how)
	if err != nil {
		return nil, err
	}
	reports := [2]*Report{newReport(Plan{LagBound: defaultLagBound}, baselineArm), newReport(Plan{LagBound: defaultLagBound}, candidateArm)}
	nextA, stopA := iter.Pull2(resultsOf(baseline))
	defer stopA()
	nextB, stopB := iter.Pull2(resultsOf(candidate))
	defer stopB()
	pull := func(i int, next func() (Result, error, bool)) (Result, bool, error) {
		r, err, ok := next()
		if ok && err == nil {
			if reports[i].Sent == 0 {
				reports[i].Began = r.Due
			}
			reports[i].add(r, chunks{})
		}
		return r, ok && err == nil, err
	}
	a, moreA, errA := pull(0, nextA)
	b, moreB, errB := pull(1, nextB)
	for (moreA || moreB) && errA == nil && errB == nil {
		sinceA, sinceB := a.Due.Sub(reports[0].Began), b.Due.Sub(reports[1].Began)
		if moreA && (!moreB || sinceA <= sinceB) {
			c.add(baselineArm, a)
			a, moreA, errA = pull(0, nextA)
		} else {
			// Moved onto the time of the baseline, or they would not be of one time.
			b.Sent = b.Sent.Add(reports[0].Began.Sub(reports[1].Began))
			b.Due = b.Due.Add(reports[0].Began.Sub(reports[1].Began))
			c.add(candidateArm, b)
			b, moreB, errB = pull(1, nextB)
		}
	}
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	for _, r := range reports {
		r.Generator.CPU = -1
		r.finish()
	}
	return c.conclude(reports[0], reports[1]), nil
}

func resultsOf(in io.Reader) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		stop := errors.New("enough")
		err := ReadResults(in, func(r Result) error {
			if !yield(r, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(Result{}, err)
		}
	}
}

// judge takes in the results of both arms as they come.
type judge struct {
	recorder   *analysis.Recorder
	comparison *analysis.Comparison
	looked     time.Time
}

func newJudge(how analysis.Plan) (*judge, error) {
	rec, err := analysis.NewRecorder(how, baselineArm, candidateArm)
	if err != nil {
		return nil, err
	}
	// Both targets are sent the same requests at the same times.
	if err := rec.Expect(0, map[string]float64{baselineArm: 1, candidateArm: 1}); err != nil {
		return nil, err
	}
	c, err := rec.Comparison(candidateArm)
	return &judge{recorder: rec, comparison: c}, err
}

func (j *judge) add(arm string, r Result) {
	if r.Trimmed {
		return
	}
	o := observe(r)
	o.Arm = arm
	j.recorder.Record(o)
	if o.At.Sub(j.looked) >= time.Second {
		j.looked = o.At
		j.comparison.Judge(o.At)
	}
}

// observe returns r as live traffic would have been recorded. Durations count
// from the instant at which the request was due: a user waits since then.
func observe(r Result) analysis.Observation {
	o := analysis.Observation{
		At: r.Sent.Add(r.Latency), ID: r.RequestID, Arm: targetArm, Class: r.Class, Latency: r.Latency + r.SchedLag(), ITL: r.TPOT,
		InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, CachedTokens: r.CachedTokens, Cost: -1, Err: r.Err,
	}
	if r.Chunks > 0 {
		o.TTFT = r.TTFT + r.SchedLag()
	}
	return o
}

func (j *judge) conclude(a, b *Report) *Comparison {
	c := &Comparison{Baseline: a, Candidate: b, Judgement: j.comparison.Judge(j.looked)}
	kinds := []struct {
		name string
		a, b *Distribution
	}{
		{"TTFT", &a.CorrectedTTFT, &b.CorrectedTTFT}, {"TPOT", &a.TPOT, &b.TPOT}, {"Latency", &a.CorrectedLatency, &b.CorrectedLatency},
	}
	quantiles := []float64{0.5, 0.9, 0.99}
	// Bonferroni: each of two intervals for each difference may miss on either
	// side with an equal share of 5 %.
	miss := 0.05 / float64(len(kinds)*len(quantiles)*4)
	for _, k := range kinds {
		if k.a.Count() == 0 || k.b.Count() == 0 {
			continue
		}
		for _, q := range quantiles {
			lowA, highA := k.a.interval(q, miss)
			lowB, highB := k.b.interval(q, miss)
			c.Differences = append(c.Differences, Difference{
				Name: fmt.Sprintf("%s p%g", k.name, 100*q), Baseline: k.a.Quantile(q), Candidate: k.b.Quantile(q), Low: lowB - highA, High: highB - lowA,
			})
		}
	}
	return c
}

// interval returns bounds of the true quantile, each of which is missed with
// the given probability. The number of durations below the true quantile is
// binomial whatever their distribution; its normal approximation with one rank
// to spare gives the ranks. Where the sample is too small for a bound, it is the
// extreme of the sample, which covers less.
func (d *Distribution) interval(q, miss float64) (low, high time.Duration) {
	n := float64(d.Count())
	z := math.Sqrt2 * math.Erfinv(1-2*miss)
	half := (z*math.Sqrt(n*q*(1-q)) + 1) / n
	return d.Quantile(q - half), d.Quantile(min(1, q+half))
}

// String returns the comparison as a text, without a final newline.
func (c *Comparison) String() string {
	var b strings.Builder
	j := c.Judgement
	fmt.Fprintf(&b, "Verdict   %v: %s\n", j.Verdict, j.Reason)
	for _, side := range c.sides() {
		fmt.Fprintf(&b, "%-9s %s requests, %.4g %% ok; generator %v\n", side.name, units.Grouped(side.r.Sent),
			100*float64(side.r.Classes[analysis.OK])/float64(max(1, side.r.Sent)), side.r.Generator)
	}
	fmt.Fprintf(&b, "%-14s%12s%12s%10s   %s\n", "", baselineArm, candidateArm, "change", "95 % interval of the difference, all together")
	for _, d := range c.Differences {
		mark := ""
		if cmp.Compare(d.Low, 0) > 0 || d.High < 0 {
			mark = " *"
		}
		fmt.Fprintf(&b, "%-14s%12v%12v%10s   %v to %v%s\n", d.Name, units.Short(d.Baseline), units.Short(d.Candidate), d.change(), units.Short(d.Low), units.Short(d.High), mark)
	}
	for _, f := range j.Metrics {
		fmt.Fprintf(&b, "%-18s %v: %s\n", f.Metric, f.Verdict, f.Reason)
	}
	return strings.TrimRight(b.String(), "\n")
}
