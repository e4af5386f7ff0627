package loadtest

import (
	"context"
	"fmt"
	"strconv"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// Gate returns a check that runs p and judges the outcome by the thresholds,
// to which those of the plan are added. A rollout names it among its preflight
// checks, so that a version meets its load before it meets its users.
//
// The check fails when a threshold is breached, which ends the run at once. It
// is [checks.Unknown], and so opens nothing, when there is no threshold, when
// the plan is not valid, when the run was interrupted, when requests are missing,
// when something that a threshold asks for was not measured, and when the
// generator was the bottleneck: then the figures are the generator's, not the
// server's.
//
// It sends load each time it is asked. Plans without an end run until the
// context of the check ends, and are Unknown.
func Gate(p Plan, slo ...analysis.Threshold) checks.Check { return Runner(Run).Gate(p, slo...) }

// Runner carries out plans. [Run] is one; a coordinator of several machines has
// another.
type Runner func(ctx context.Context, p Plan) (*Report, error)

// Gate returns the check that [Gate] does, of runs by run.
func (run Runner) Gate(p Plan, slo ...analysis.Threshold) checks.Check {
	p.Thresholds = append(append([]analysis.Threshold(nil), p.Thresholds...), slo...)
	p.AbortOnBreach = true
	return checks.Func(func(ctx context.Context) checks.Result {
		if len(p.Thresholds) == 0 {
			return checks.Result{Summary: "nothing to judge the load test by", Err: invalid("Plan.Thresholds", "[]", "at least one threshold")}
		}
		report, err := run(ctx, p)
		if err != nil {
			return checks.Result{Summary: "the load test cannot be run", Err: err}
		}
		return report.Verdict()
	})
}

// Verdict judges the run by the thresholds of its plan, as [Gate] does.
func (r *Report) Verdict() checks.Result {
	result := checks.Result{Evidence: map[string]string{
		"target": r.Target, "requests": strconv.Itoa(r.Sent), "rate": fmt.Sprintf("%.4g/s", r.SentRate),
		"p99 lag": units.Short(r.SchedLag.Quantile(0.99)).String(),
	}}
	for _, j := range r.Judged {
		if result.Summary != "" {
			result.Summary += "; "
		}
		result.Summary += j.Result.Summary
		result.Evidence[j.Threshold.String()] = j.Result.Status.String()
	}
	failure := breach(r.Judged)
	switch {
	case len(r.Judged) == 0:
		result.Summary = "no thresholds were set"
	case r.Generator.Bottleneck:
		// Thresholds that hold despite a late generator hold all the more, but
		// the load asked for was not applied; ones that are breached may be its
		// own fault.
		result.Summary = "the generator was the bottleneck: " + r.Generator.reason()
	case failure != nil:
		result.Status, result.Err = checks.Fail, failure
	case r.Interrupted:
		result.Summary = "the run was interrupted; " + result.Summary
	case r.Missing > 0:
		result.Summary = fmt.Sprintf("of %d requests nothing is known; %s", r.Missing, result.Summary)
	default:
		result.Status = checks.Pass
		for _, j := range r.Judged {
			if !j.Result.Status.Opens() {
				result.Status = checks.Unknown
			}
		}
	}
	return result
}
