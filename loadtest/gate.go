package loadtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// Gate returns a check that runs p and evaluates thresholds: the thresholds of p and
// slo. As a preflight check of a rollout, it tests a candidate under load before the
// candidate receives users.
//
// The check fails if a threshold is breached, which ends the run immediately. Requests
// under way are then neither good nor bad. A target that keeps all thresholds fails with
// a probability of at most 5 %, however often the check looks; see [Report.Judge].
//
// It is [checks.Unknown], which does not open a gate, in these cases: there is no
// threshold, the plan is not valid, the run was interrupted, requests are missing, a
// metric of a threshold was not measured, a threshold was exceeded and chance may be
// the cause, no request succeeded, or the generator was the bottleneck.
//
// Every evaluation of the check runs the plan. A plan without an end runs until the
// context of the check ends, and is Unknown.
func Gate(p Plan, slo ...analysis.Threshold) checks.Check { return Runner(Run).Gate(p, slo...) }

// Runner runs plans, such as [Run], or on several machines the Run of a coordinator of
// package cluster.
type Runner func(ctx context.Context, p Plan) (*Report, error)

// Gate returns the check of the function [Gate] with plans run by run.
func (run Runner) Gate(p Plan, slo ...analysis.Threshold) checks.Check {
	p.Thresholds = append(append([]analysis.Threshold(nil), p.Thresholds...), slo...)
	p.AbortOnBreach = true
	return checks.Func(func(ctx context.Context) checks.Result {
		if len(p.Thresholds) == 0 {
			return checks.Result{Summary: "load test not run: no thresholds", Err: invalid("Plan.Thresholds", "[]", "at least one threshold")}
		}
		report, err := run(ctx, p)
		if err != nil {
			return checks.Result{Summary: "load test not run", Err: err}
		}
		return report.Verdict()
	})
}

// Verdict returns the result of the run for its thresholds, as [Gate] does.
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
		result.Summary = "no thresholds"
	case r.Generator.Bottleneck:
		// If thresholds hold, the load was lower than planned. If they are
		// breached, the generator may be the cause.
		result.Summary = "the generator was the bottleneck: " + r.Generator.reason()
	case failure != nil:
		result.Status, result.Err = checks.Fail, failure
	case r.Aborted != "": // by what was known before the last requests ended
		result.Status, result.Err = checks.Fail, errors.New(r.Aborted)
	case r.Incomplete != "":
		result.Summary = "the results are incomplete: " + r.Incomplete + "; " + result.Summary
	case r.Interrupted:
		result.Summary = "the run was interrupted; " + result.Summary
	case r.Missing > 0:
		result.Summary = fmt.Sprintf("%d requests are missing; %s", r.Missing, result.Summary)
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
