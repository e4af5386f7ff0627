package external

import (
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// Metric says what is measured, how often, and how it is judged. It is plain
// data and survives JSON. The limits are those of argo-rollouts with their
// defaults.
type Metric struct {
	// Name identifies the metric within its analysis.
	Name string `json:"name"`
	// Query is what the source is asked.
	Query string `json:"query"`
	// Success and Failure judge an answer. With both, one that neither holds of
	// is Inconclusive; if Failure holds, it is Failed whatever Success says.
	// With one, the other is its opposite. With none, every answer is a success.
	Success Condition `json:"success,omitzero"`
	Failure Condition `json:"failure,omitzero"`
	// InitialDelay is waited for before the first measurement.
	InitialDelay time.Duration `json:"initial_delay_ns,omitempty"`
	// Interval lies between the end of one measurement and the next. Zero means
	// that there is only one; after an error it is tried again in [RetryAfter].
	Interval time.Duration `json:"interval_ns,omitempty"`
	// Count is how many measurements are taken; errors do not count. Zero means
	// one without an Interval, and no end with one.
	Count int `json:"count,omitempty"`
	// FailureLimit is how many failed measurements are allowed. [NoLimit] means
	// any number.
	FailureLimit int `json:"failure_limit,omitempty"`
	// InconclusiveLimit is how many inconclusive measurements are allowed.
	InconclusiveLimit int `json:"inconclusive_limit,omitempty"`
	// ConsecutiveErrorLimit is how many errors in a row are allowed. Nil means 4.
	ConsecutiveErrorLimit *int `json:"consecutive_error_limit,omitempty"`
	// ConsecutiveSuccessLimit is how many successes in a row end the metric
	// early, as Successful. If it is not reached by Count measurements, the
	// metric is Inconclusive, or Failed if there is no FailureLimit. Zero means
	// that there is none.
	ConsecutiveSuccessLimit int `json:"consecutive_success_limit,omitempty"`
	// DryRun metrics are measured and reported, and decide nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// Keep is how many of the newest measurements are kept. Zero means 10.
	Keep int `json:"keep,omitempty"`
}

const (
	// NoLimit as a FailureLimit allows any number of failures.
	NoLimit = -1
	// RetryAfter is how long a metric without an Interval waits after an error.
	RetryAfter = 10 * time.Second

	defaultErrors = 4
	defaultKeep   = 10
)

// ValidateMetrics reports everything that is wrong with metrics, joined; each
// problem is an [*checks.InvalidError].
func ValidateMetrics(metrics []Metric) error {
	var errs []error
	if len(metrics) == 0 {
		errs = append(errs, &checks.InvalidError{Package: "external", Field: "Metrics", Value: "empty", Want: "at least one metric"})
	}
	names := make(map[string]bool)
	for i, m := range metrics {
		bad := func(field string, value any, want string) {
			errs = append(errs, &checks.InvalidError{Package: "external", Field: fmt.Sprintf("Metrics[%d].%s", i, field), Value: value, Want: want})
		}
		if m.Name == "" || names[m.Name] {
			bad("Name", fmt.Sprintf("%q", m.Name), "a name that is not empty and no other metric has")
		}
		names[m.Name] = true
		if m.Query == "" {
			bad("Query", `""`, "a query")
		}
		if m.InitialDelay < 0 {
			bad("InitialDelay", m.InitialDelay, "a duration >= 0")
		}
		if m.Interval < 0 {
			bad("Interval", m.Interval, "a duration >= 0")
		}
		if m.Count < 0 {
			bad("Count", m.Count, "a number >= 0")
		}
		if m.Count > 1 && m.Interval == 0 {
			bad("Interval", m.Interval, fmt.Sprintf("a duration > 0 for a Count of %d", m.Count))
		}
		if m.FailureLimit < NoLimit {
			bad("FailureLimit", m.FailureLimit, "a number >= 0, or -1 for none")
		}
		if m.FailureLimit == NoLimit && m.ConsecutiveSuccessLimit == 0 && !m.DryRun {
			bad("FailureLimit", m.FailureLimit, "a number >= 0: without ConsecutiveSuccessLimit the metric could not fail")
		}
		if m.InconclusiveLimit < 0 {
			bad("InconclusiveLimit", m.InconclusiveLimit, "a number >= 0")
		}
		if l := m.ConsecutiveErrorLimit; l != nil && *l < 0 {
			bad("ConsecutiveErrorLimit", *l, "a number >= 0, or nil for 4")
		}
		if m.ConsecutiveSuccessLimit < 0 {
			bad("ConsecutiveSuccessLimit", m.ConsecutiveSuccessLimit, "a number >= 0; 0 is none")
		}
		if m.Keep < 0 || m.Keep > maxKeep {
			bad("Keep", m.Keep, fmt.Sprintf("0 to %d; 0 stands for 10", maxKeep))
		}
	}
	return errors.Join(errs...)
}

// maxKeep keeps the memory of an analysis in bounds.
const maxKeep = 10_000

// bounded reports whether m ends by itself.
func (m Metric) bounded() bool { return m.Interval == 0 || m.Count > 0 }

// count returns after how many measurements m ends; 0 is never.
func (m Metric) count() int {
	if m.Count == 0 && m.Interval == 0 {
		return 1
	}
	return m.Count
}

// judge says what an answer is worth.
func (m Metric) judge(values []float64, err error) (Phase, error) {
	// A condition may be about there being no values: len(result) == 0.
	noData := errors.Is(err, ErrNoData)
	if err != nil && !noData || noData && m.Success.IsZero() && m.Failure.IsZero() {
		return Error, err
	}
	success, errSuccess := m.Success.Holds(values)
	failure, errFailure := m.Failure.Holds(values)
	if errSuccess != nil || errFailure != nil {
		return Error, errors.Join(err, errSuccess, errFailure)
	}
	switch {
	case m.Failure.IsZero():
		failure = !success && !m.Success.IsZero()
		success = !failure
	case m.Success.IsZero():
		success = !failure
	}
	switch {
	case failure:
		return Failed, nil
	case success:
		return Successful, nil
	}
	return Inconclusive, nil
}
