package loadtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// targetArm is the name under which a run records its observations.
const targetArm = "target"

// Judged is a threshold and what the run says about it.
type Judged struct {
	Threshold analysis.Threshold `json:"threshold"`
	Result    checks.Result      `json:"result"`
}

// thresholdMetrics are what thresholds may speak of.
func thresholdMetrics() []analysis.Metric {
	return append(analysis.DefaultMetrics(), analysis.Timeouts(), analysis.Refusals(), analysis.EmptyOutputs(), analysis.Rejections())
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

// jury judges a run by its thresholds while it goes on.
type jury struct {
	thresholds []analysis.Threshold
	recorder   *analysis.Recorder
}

func newJury(thresholds []analysis.Threshold) (*jury, error) {
	j := &jury{thresholds: thresholds}
	if len(thresholds) == 0 {
		return j, nil
	}
	var err error
	j.recorder, err = analysis.NewRecorder(analysis.Plan{Metrics: thresholdMetrics()}, targetArm)
	return j, err
}

func (j *jury) add(r Result) {
	if j.recorder != nil {
		j.recorder.Record(observe(r))
	}
}

func (j *jury) verdicts() []Judged {
	if j.recorder == nil {
		return nil
	}
	s, err := j.recorder.Summary(targetArm)
	out := make([]Judged, len(j.thresholds))
	for i, t := range j.thresholds {
		out[i] = Judged{t, checks.Result{Err: err}}
		if err == nil {
			out[i].Result = t.Judge(s)
		}
	}
	return out
}

// abortAfter is how many finished requests there must be before a threshold
// may end a run, and abortEvery how often it is looked at.
const (
	abortAfter = 50
	abortEvery = 500 * time.Millisecond
)

// BreachError is the cause of a run that was ended by a threshold.
type BreachError struct {
	Breached []Judged
}

func (e *BreachError) Error() string {
	texts := make([]string, len(e.Breached))
	for i, b := range e.Breached {
		texts[i] = b.Result.Summary
	}
	return "loadtest: a threshold is breached: " + strings.Join(texts, "; ")
}

func breach(all []Judged) error {
	failed := slices.DeleteFunc(slices.Clone(all), func(j Judged) bool { return j.Result.Status != checks.Fail })
	if len(failed) == 0 {
		return nil
	}
	return &BreachError{failed}
}

func checkThresholds(ts []analysis.Threshold) error {
	var errs []error
	known := thresholdMetrics()
	for i, t := range ts {
		if err := t.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("loadtest: Thresholds[%d]: %w", i, err))
		} else if !slices.ContainsFunc(known, func(m analysis.Metric) bool { return m.Name == t.Metric }) {
			names := make([]string, len(known))
			for i, m := range known {
				names[i] = m.Name
			}
			errs = append(errs, &InvalidError{fmt.Sprintf("Thresholds[%d].Metric", i), t.Metric, "one of " + strings.Join(names, ", ")})
		}
	}
	return errors.Join(errs...)
}
