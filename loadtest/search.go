package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/units"
	"github.com/serin-go/serin/loadtest/pace"
)

// Search describes a search for the capacity of a target: the highest rate at which
// requests keep an [SLO].
type Search struct {
	// Plan is run at each rate, with a Poisson schedule in place of its Pacer. Its
	// first SLO is the one to keep. Its Duration is required and applies to each run;
	// [FindCapacity] prolongs some runs at low rates.
	Plan Plan
	// From and To are the lowest and the highest rate in requests per second.
	From, To float64
	// Share is the share of requests that must keep the SLO. Default 0.95.
	Share float64
	// Confidence is the confidence of the bounds of a step, which has up to two runs.
	// Default 0.95. The bounds are the ones of as many independent requests as Goodput.Effective.
	Confidence float64
	// Precision is the ratio of Capacity.Broken to Capacity.Kept at which the search
	// ends, above 1 and at most 10. Default 1.1.
	Precision float64
	// Seed is the seed of the Poisson schedules.
	Seed uint64
	// Run runs the plans. If nil, the function [Run] does.
	Run Runner
	// OnStep is called after each run. If nil, steps are only returned.
	OnStep func(Step)
}

// Step is one run of a search.
type Step struct {
	Rate float64 // due, in requests per second
	// Good of Sent requests were within the SLO. Low and High are confidence bounds
	// for the true share.
	Good, Sent int
	Low, High  float64
	// Kept means that Low is at least Search.Share, Broken that High is below it.
	// If both are false, the run was too short to decide.
	Kept, Broken bool
	// Throughput is the rate of OK answers per second, within the SLO or not.
	Throughput float64
	Report     *Report
}

// Capacity is the result of a search.
type Capacity struct {
	// Kept is the highest rate that was shown to keep the SLO, or 0. Broken is the
	// lowest rate above Kept that was not shown to keep it, or 0 if all rates up to To
	// kept it.
	Kept, Broken float64
	Steps        []Step
	// Reason is the reason for the end of the search.
	Reason string
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (s Search) Validate() error {
	p := s.Plan
	p.Pacer = pace.Constant(1)
	errs := []error{checks.Within(p.Validate(), "loadtest", "Plan", "Search.Plan")}
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, invalid("Search."+field, value, want))
		}
	}
	check(len(s.Plan.SLOs) > 0, "Plan.SLOs", "[]", "at least one")
	check(s.Plan.Duration > 0, "Plan.Duration", s.Plan.Duration.String(), "more than 0")
	check(validate(pace.Constant(s.From)) == nil, "From", s.From, "requests per second, from 0.000001 to 100,000")
	check(validate(pace.Constant(s.To)) == nil && s.To > s.From, "To", s.To, "more than From, at most 100,000")
	check(s.Share >= 0 && s.Share < 1, "Share", s.Share, "0 to below 1")
	check(s.Confidence >= 0 && s.Confidence < 1, "Confidence", s.Confidence, "0 to below 1")
	check(s.Precision == 0 || s.Precision > 1 && s.Precision <= 10, "Precision", s.Precision, "above 1, at most 10")
	return errors.Join(errs...)
}

func (s Search) withDefaults() Search {
	s.Share, s.Confidence, s.Precision = or(s.Share, 0.95), or(s.Confidence, 0.95), or(s.Precision, 1.1)
	if s.Run == nil {
		s.Run = Run
	}
	return s
}

// maxSteps is more than any search needs, since each step halves the logarithm of the
// range.
const maxSteps = 40

// FindCapacity searches for the highest rate that keeps the SLO. It doubles the rate
// until the SLO is not kept, and then bisects the range between, on a logarithmic scale.
// All runs are open-loop.
//
// A rate of too few requests to show anything, all or nearly all of them good, is passed
// over on the way up. Any other step that is not kept is repeated once, for as long as
// the bounds need, and the repetition decides. It is longer than the Duration of the plan
// at a low rate, and at a high load, where requests depend on each other: up to four
// times as long there. So is each step of the bisection.
//
// The search ends if the generator was the bottleneck of both runs of a step that was
// not kept, if neither sent a request, or if requests are missing. It returns the errors of [Search.Validate] and of s.Run.
func FindCapacity(ctx context.Context, s Search) (Capacity, error) {
	if err := s.Validate(); err != nil {
		return Capacity{}, err
	}
	s = s.withDefaults()
	c := Capacity{}
	rate := s.From
	for c.Reason == "" {
		if len(c.Steps) >= maxSteps {
			c.Reason = "too many steps"
			break
		}
		step, err := s.decide(ctx, &c, rate)
		if err != nil || c.Reason != "" {
			return c, err
		}
		switch {
		case step.Kept:
			c.Kept = rate
		case c.Broken == 0 && rate < s.To && s.promising(step):
			// Higher rates have more requests in the same time.
		default:
			c.Broken = rate
		}
		rate = s.next(&c, rate)
	}
	return c, nil
}

// decide runs a step, and again if it was not kept and should be repeated. It sets the
// reason of c if the search cannot go on.
func (s Search) decide(ctx context.Context, c *Capacity, rate float64) (step Step, err error) {
	long := c.Broken > 0 || rate >= s.To
	for range 2 {
		if step, err = s.try(ctx, rate, uint64(len(c.Steps)), long, step.dependence()); err != nil {
			return step, err
		}
		c.Steps = append(c.Steps, step)
		if s.OnStep != nil {
			s.OnStep(step)
		}
		switch {
		case ctx.Err() != nil:
			c.Reason = "the search was interrupted"
			return step, nil
		case step.Report.Missing > 0:
			c.Reason = fmt.Sprintf("%s requests are missing at %.4g/s", units.Grouped(step.Report.Missing), rate)
			return step, nil
		case step.asPlanned() && (step.Kept || !long && s.promising(step)):
			return step, nil
		}
		long = long || step.reliable()
	}
	switch {
	case step.Sent == 0 && step.Report.Sent == 0:
		c.Reason = fmt.Sprintf("no request was sent at %.4g/s, so the generator was the bottleneck", rate)
	case !step.reliable():
		c.Reason = fmt.Sprintf("the generator was the bottleneck at %.4g/s: %s", rate, step.Report.Generator.reason())
	}
	return step, nil
}

// asPlanned reports whether the target had the load of the plan. A generator that was
// held up otherwise makes the target look slower than it is, never faster, so the good
// requests are good.
func (s Step) asPlanned() bool {
	return s.Report == nil || !s.Report.Late && s.Report.Missing == 0 && s.Report.Faults[faultLocal] == 0
}

// next returns the rate of the next step after the one at rate. It sets the reason of c
// at the end of the search.
func (s Search) next(c *Capacity, rate float64) float64 {
	switch {
	case c.Kept >= s.To:
		c.Reason = "all rates kept the SLO"
	case c.Broken == 0:
		return min(s.To, 2*rate)
	case c.Broken <= s.From:
		c.Reason = "the lowest rate was not shown to keep the SLO"
	case c.Kept == 0:
		return max(s.From, c.Broken/2)
	case c.Broken/c.Kept <= s.Precision:
		c.Reason = "the bounds have the required precision"
	default:
		return math.Sqrt(c.Kept * c.Broken)
	}
	return rate
}

// fewest returns the number of requests that show that the SLO is kept if all of them
// are good.
func (s Search) fewest() int {
	return 1 + sort.Search(maxFewest, func(n int) bool {
		low, _ := evalue.Wilson(float64(n+1), float64(n+1), s.confidence())
		return low >= s.Share
	})
}

// maxFewest is enough for a share of 0.9999.
const maxFewest = 1 << 17

// promising reports whether a step had too few requests to show that the SLO is kept,
// and enough good ones for the rate not to be given up.
func (s Search) promising(step Step) bool {
	return step.Sent > 0 && float64(step.Sent) < step.dependence()*float64(s.fewest()) && float64(step.Good) >= s.Share*float64(step.Sent)
}

// confidence returns the confidence of the bounds of one run. A step has up to two.
func (s Search) confidence() float64 { return 1 - (1-s.Confidence)/2 }

// leastDependence is the dependence that a run of a few hundred independent requests can
// seem to have.
const leastDependence = 2.5

// dependence returns the number of requests of the run that show as much as one
// independent request, or the least.
func (s Step) dependence() float64 {
	if s.Report == nil || s.Sent == 0 {
		return leastDependence
	}
	return max(leastDependence, float64(s.Sent)/s.Report.Goodput[0].Effective)
}

// try runs one step. A long one has twice as many requests as the bounds need.
func (s Search) try(ctx context.Context, rate float64, n uint64, long bool, dependence float64) (Step, error) {
	p := s.Plan
	p.Pacer = pace.Poisson(rate, s.Seed+n)
	if long {
		needed := func(dependence float64) time.Duration {
			return p.WarmUp + p.CoolDown + units.Seconds(2*dependence*float64(s.fewest())/rate)
		}
		p.Duration = max(p.Duration, needed(leastDependence), min(needed(dependence), 4*p.Duration))
	}
	report, err := s.Run(ctx, p)
	if err == nil && (report == nil || len(report.Goodput) == 0) {
		err = errors.New("loadtest: Search.Run returned no goodput for the first SLO of the plan")
	}
	if err != nil {
		return Step{}, err
	}
	step := s.judge(report.Goodput[0])
	step.Rate, step.Throughput, step.Report = rate, throughputOf(report), report
	return step, nil
}

// judge returns what a run shows.
func (s Search) judge(g Goodput) Step {
	step := Step{Good: g.Good, Sent: g.Sent}
	step.Low, step.High = evalue.Wilson(g.share()*g.Effective, g.Effective, s.confidence())
	step.Kept, step.Broken = step.Low >= s.Share, step.High < s.Share
	return step
}

func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// String returns the steps and the result as text without a final newline.
func (c Capacity) String() string {
	var b strings.Builder
	for _, s := range c.Steps {
		fmt.Fprintf(&b, "%v\n", s)
	}
	switch {
	case c.Kept == 0:
		b.WriteString("Capacity  none shown")
	case c.Broken == 0:
		fmt.Fprintf(&b, "Capacity  at least %.4g/s", c.Kept)
	default:
		fmt.Fprintf(&b, "Capacity  %.4g/s was kept, %.4g/s was not shown to be", c.Kept, c.Broken)
	}
	return b.String() + ": " + c.Reason
}

// String returns the step as one line.
func (s Step) String() string {
	if s.Report == nil {
		return fmt.Sprintf("%9.4g/s  not run", s.Rate)
	}
	word := "undecided"
	switch {
	case !s.reliable():
		word = "THE GENERATOR WAS THE BOTTLENECK"
		if s.Report.Missing > 0 {
			word = fmt.Sprintf("%s REQUESTS MISSING", units.Grouped(s.Report.Missing))
		}
		if s.Kept && s.asPlanned() {
			word = "kept, though " + word
		}
	case s.Sent == 0 && s.Report.Sent == 0:
		word = "NO REQUEST WAS SENT"
	case s.Kept:
		word = "kept"
	case s.Broken:
		word = "broken"
	}
	return fmt.Sprintf("%9.4g/s  %s of %s good, %.1f to %.1f %%: %s; TTFT p99 %v, TPOT p50 %v, ITL p99 %v, out %s tokens/s", s.Rate, units.Grouped(s.Good), units.Grouped(s.Sent),
		100*s.Low, 100*s.High, word, short(&s.Report.CorrectedTTFT, 0.99), short(&s.Report.TPOT, 0.5), short(&s.Report.ITL, 0.99), number(s.Report.TokenRate()))
}

// throughputOf returns the OK answers per second of a run.
func throughputOf(r *Report) float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Classes[analysis.OK]) / r.Elapsed.Seconds()
}
