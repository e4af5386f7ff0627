package loadtest

import (
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// targetArm is the arm of the observations of a run.
const targetArm = "target"

// Judged is a threshold and its result for a run.
type Judged struct {
	Threshold analysis.Threshold `json:"threshold"`
	Result    checks.Result      `json:"result"`
}

// A threshold can end a run after abortAfter requests. Thresholds are evaluated every
// abortEvery.
const (
	abortAfter = 50
	abortEvery = 500 * time.Millisecond
)

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
