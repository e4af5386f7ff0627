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
	names := thresholdMetrics()
	for i, t := range ts {
		if err := t.Validate(); err != nil {
			errs = append(errs, checks.Within(err, "loadtest", "Threshold", fmt.Sprintf("Plan.Thresholds[%d]", i)))
		} else if !slices.Contains(names, t.Metric) {
			errs = append(errs, invalid(fmt.Sprintf("Plan.Thresholds[%d].Metric", i), t.Metric, "one of "+strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}
