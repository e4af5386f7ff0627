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

	"golang.org/x/sync/errgroup"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// Comparison compares a candidate with a baseline under the same load.
type Comparison struct {
	Baseline, Candidate *Report
	// Judgement is the result of sequential tests on pairs of requests, with the
	// margins and the multiplicity control of the [analysis.Plan].
	Judgement analysis.Judgement
	// Differences has the differences of quantiles. If the requests of a run are
	// independent, the intervals cover all true differences simultaneously with a
	// probability of at least 95 %.
	Differences []Difference
}

// Difference is the difference of one quantile between candidate and baseline.
type Difference struct {
	Name                string // such as "TTFT p99"; durations are corrected
	Baseline, Candidate time.Duration
	// Low and High bound Candidate - Baseline.
	Low, High time.Duration
}

// The arms of a comparison.
const baselineArm, candidateArm = "baseline", "candidate"

// Compare sends the requests of p to two targets and judges the candidate by the plan
// of the analysis, whose zero value has defaults. Both requests of a pair are sent at
// the same instant, so that outside influences affect both. Each target receives the
// whole load. Thresholds of p are evaluated for each target and do not end the runs.
// OnResult and OnInterval are called for both, never concurrently. It returns the
// errors of [Plan.Validate] and of the analysis plan.
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
		p.Start = time.Now() // the same instants for both
		other.Start = p.Start
	}
	var reports [2]*Report
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range []Plan{p, other} {
		group.Go(func() (err error) {
			reports[i], err = Run(ctx, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return c.conclude(reports[0], reports[1]), nil
}

// CompareFiles compares two runs of one plan that a [Writer] recorded as JSON lines.
// Requests are paired by the time since the start of their run. It returns the errors
// of [ReadResults] and of the analysis plan.
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
			// Shifted to the time of the baseline, so that pairs are simultaneous.
			b.Sent = b.Sent.Add(reports[0].Began.Sub(reports[1].Began))
			b.Due = b.Due.Add(reports[0].Began.Sub(reports[1].Began))
			c.add(candidateArm, b)
			b, moreB, errB = pull(1, nextB)
		}
	}
	switch {
	case errA != nil:
		return nil, fmt.Errorf("%s: %w", baselineArm, errA)
	case errB != nil:
		return nil, fmt.Errorf("%s: %w", candidateArm, errB)
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

// judge evaluates the results of both arms while they arrive.
type judge struct {
	recorder   *analysis.Recorder
	comparison *analysis.Comparison
	judged     time.Time
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
	if o.At.Sub(j.judged) >= time.Second {
		j.judged = o.At
		j.comparison.Judge(o.At)
	}
}

// observe returns the observation of r, as for live traffic. Durations count from the
// instant at which the request was due.
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
	c := &Comparison{Baseline: a, Candidate: b, Judgement: j.comparison.Judge(j.judged)}
	kinds := []struct {
		name string
		a, b *Distribution
	}{
		{"TTFT", &a.CorrectedTTFT, &b.CorrectedTTFT}, {"TPOT", &a.TPOT, &b.TPOT}, {"Latency", &a.CorrectedLatency, &b.CorrectedLatency},
	}
	quantiles := []float64{0.5, 0.9, 0.99}
	// Bonferroni: the 5 % are divided among all differences, two intervals for each,
	// and two sides.
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

// interval returns confidence bounds of the true quantile, each with the given
// probability of error. For any distribution, the number of durations below the true
// quantile is binomial. The ranks of the bounds come from its normal approximation,
// widened by one rank. If the sample is too small for a bound, the bound is the extreme
// of the sample, which has a larger error.
func (d *Distribution) interval(q, miss float64) (low, high time.Duration) {
	n := float64(d.Count())
	z := math.Sqrt2 * math.Erfinv(1-2*miss)
	half := (z*math.Sqrt(n*q*(1-q)) + 1) / n
	return d.Quantile(q - half), d.Quantile(min(1, q+half))
}

// String returns the comparison as text without a final newline.
func (c *Comparison) String() string {
	if c.Baseline == nil || c.Candidate == nil {
		return "nothing was compared"
	}
	var b strings.Builder
	j := c.Judgement
	fmt.Fprintf(&b, "Verdict   %s\n", c.verdict())
	for _, side := range c.sides() {
		fmt.Fprintf(&b, "%-9s %s requests, %.4g %% ok; generator %v\n", side.name, units.Grouped(side.r.Sent),
			100*float64(side.r.Classes[analysis.OK])/float64(max(1, side.r.Sent)), side.r.Generator)
	}
	fmt.Fprintf(&b, "%-14s%12s%12s%10s   %s\n", "", baselineArm, candidateArm, "change", "simultaneous 95 % interval of the difference")
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

// verdict returns the verdict in one sentence. If the generator was the bottleneck of a
// side, the judgement is of both the targets and the generator.
func (c *Comparison) verdict() string {
	text := fmt.Sprintf("%v: %s", c.Judgement.Verdict, c.Judgement.Reason)
	for _, s := range c.sides() {
		if s.r.Generator.Bottleneck {
			return fmt.Sprintf("not conclusive: the generator was the bottleneck for the %s: %s; otherwise %s", s.name, s.r.Generator.reason(), text)
		}
	}
	return text
}

// change returns the relative difference as text.
func (d Difference) change() string {
	if d.Baseline <= 0 {
		return "-"
	}
	return fmt.Sprintf("%+.1f %%", 100*(float64(d.Candidate)/float64(d.Baseline)-1))
}

// side is one run of a comparison.
type side struct {
	name string
	r    *Report
}

func (c *Comparison) sides() []side {
	return []side{{baselineArm, c.Baseline}, {candidateArm, c.Candidate}}
}
