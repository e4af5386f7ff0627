package external

import (
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// Metric configures the measurement and evaluation of one metric. It is plain data and
// survives JSON. The limits and their defaults are the ones of argo-rollouts.
type Metric struct {
	// Name identifies the metric in its analysis.
	Name string `json:"name"`
	// Query is the query for the source.
	Query string `json:"query"`
	// Success and Failure evaluate an answer. If both are set, an answer for which
	// Failure holds is Failed, and an answer for which neither holds is Inconclusive.
	// If one is set, the other is its negation. If none is set, every answer is
	// Successful.
	Success Condition `json:"success,omitzero"`
	Failure Condition `json:"failure,omitzero"`
	// InitialDelay is the time before the first measurement.
	InitialDelay time.Duration `json:"initial_delay_ns,omitempty"`
	// Interval is the time between the end of a measurement and the next one. Zero
	// means a single measurement, which is retried 10 s after an error.
	Interval time.Duration `json:"interval_ns,omitempty"`
	// Count is the number of measurements. Errors do not count. Default one without
	// an Interval, and no end with an Interval.
	Count int `json:"count,omitempty"`
	// FailureLimit is the number of failed measurements that are allowed. [NoLimit]
	// allows any number.
	FailureLimit int `json:"failure_limit,omitempty"`
	// InconclusiveLimit is the number of inconclusive measurements that are allowed.
	InconclusiveLimit int `json:"inconclusive_limit,omitempty"`
	// ConsecutiveErrorLimit is the number of errors in a row that are allowed. If
	// nil, 4.
	ConsecutiveErrorLimit *int `json:"consecutive_error_limit,omitempty"`
	// ConsecutiveSuccessLimit is the number of successes in a row after which the
	// metric is Successful. If Count measurements do not reach it, the metric is
	// Inconclusive, or Failed if FailureLimit is NoLimit. 0 means no limit.
	ConsecutiveSuccessLimit int `json:"consecutive_success_limit,omitempty"`
	// DryRun means that the metric is measured and reported, but does not affect the
	// outcome.
	DryRun bool `json:"dry_run,omitempty"`
	// Keep is the number of measurements to keep, the newest. Default 10.
	Keep int `json:"keep,omitempty"`
}

// NoLimit as a FailureLimit allows any number of failures.
const NoLimit = -1

const (
	retryAfter    = 10 * time.Second // of a metric without an Interval, after an error
	defaultErrors = 4
	defaultKeep   = 10
)

// ValidateMetrics returns all problems of metrics, joined. Each is an
// [*checks.InvalidError].
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
			bad("Name", fmt.Sprintf("%q", m.Name), "a unique name that is not empty")
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
			bad("FailureLimit", m.FailureLimit, "a number >= 0, or -1 for no limit")
		}
		if m.FailureLimit == NoLimit && m.ConsecutiveSuccessLimit == 0 && !m.DryRun {
			bad("FailureLimit", m.FailureLimit, "a number >= 0, because the metric cannot fail without a ConsecutiveSuccessLimit")
		}
		if m.InconclusiveLimit < 0 {
			bad("InconclusiveLimit", m.InconclusiveLimit, "a number >= 0")
		}
		if l := m.ConsecutiveErrorLimit; l != nil && *l < 0 {
			bad("ConsecutiveErrorLimit", *l, "a number >= 0, or nil for 4")
		}
		if m.ConsecutiveSuccessLimit < 0 {
			bad("ConsecutiveSuccessLimit", m.ConsecutiveSuccessLimit, "a number >= 0; 0 means no limit")
		}
		if m.Keep < 0 || m.Keep > maxKeep {
			bad("Keep", m.Keep, fmt.Sprintf("0 to %d; 0 means 10", maxKeep))
		}
	}
	return errors.Join(errs...)
}

// maxKeep limits the memory of an analysis.
const maxKeep = 10_000

// bounded reports whether m ends by itself.
func (m Metric) bounded() bool { return m.Interval == 0 || m.Count > 0 }

// count returns the number of measurements after which m ends, or 0 if it has no end.
func (m Metric) count() int {
	if m.Count == 0 && m.Interval == 0 {
		return 1
	}
	return m.Count
}

// judge evaluates an answer.
func (m Metric) judge(values []float64, err error) (Phase, error) {
	// A condition may accept an answer without values: len(result) == 0.
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
