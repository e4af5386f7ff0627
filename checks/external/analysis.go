package external

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
)

// Config configures an [Analysis]. Source and Metrics are required.
type Config struct {
	Source  Source
	Metrics []Metric
	// Timeout is the timeout of one query. Default 30 s.
	Timeout time.Duration `env:"TIMEOUT"`
	// Observe is called with each measurement, sequentially, in the goroutine of
	// [Analysis.Run]. If nil, it is not called.
	Observe func(metric string, m Measurement)
	// Logger logs each measurement that is an Error. If nil, nothing is logged.
	Logger *slog.Logger `env:", noinit"`
}

// Analysis measures and evaluates metrics. It is a [checks.Check]. It keeps no state
// between runs and is safe for concurrent use.
type Analysis struct {
	cfg Config
}

var _ checks.Check = (*Analysis)(nil)

// Validate returns all problems of cfg, joined. Each is an [*checks.InvalidError].
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Source == nil {
		errs = append(errs, &checks.InvalidError{Package: "external", Field: "Config.Source", Value: "nil", Want: "a source"})
	}
	if cfg.Timeout < 0 {
		errs = append(errs, &checks.InvalidError{Package: "external", Field: "Config.Timeout", Value: cfg.Timeout, Want: "a duration >= 0; 0 stands for 30s"})
	}
	return errors.Join(append(errs, checks.Within(ValidateMetrics(cfg.Metrics), "external", "Metrics", "Config.Metrics"))...)
}

// New returns an analysis. It returns the errors of [Config.Validate].
func New(cfg Config) (*Analysis, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Metrics = slices.Clone(cfg.Metrics)
	return &Analysis{cfg: cfg}, nil
}

// Check runs the analysis until it ends. Successful is Pass, Failed is Fail, and any other
// phase is Unknown with an error. If a metric has no end, Check immediately returns
// Unknown; use a [Guard] for such metrics.
func (a *Analysis) Check(ctx context.Context) checks.Result {
	for _, m := range a.cfg.Metrics {
		if !m.bounded() {
			return checks.Result{Err: &checks.InvalidError{Package: "external", Field: fmt.Sprintf("Count of metric %q", m.Name), Value: 0, Want: "a number > 0, because the check would not end"}}
		}
	}
	return a.Run(ctx).result()
}

// result converts r to a result of package checks.
func (r Report) result() checks.Result {
	res := checks.Result{Evidence: make(map[string]string)}
	for _, m := range r.Metrics {
		res.Evidence[m.Name] = fmt.Sprintf("%v: %d successful, %d failed, %d inconclusive, %d errors",
			m.Phase, m.Successful, m.Failed, m.Inconclusive, m.Errors)
	}
	switch r.Phase {
	case Successful:
		res.Status = checks.Pass
		res.Summary = fmt.Sprintf("%d of %d metrics successful", r.Summary.Successful, r.Summary.Count)
		if r.Summary.Count == 0 { // no metric counts
			res.Status, res.Summary = checks.Unknown, "all metrics are dry runs"
		}
	case Failed:
		res.Status, res.Summary = checks.Fail, r.Message
	default:
		res.Err = errors.New("external: " + r.Phase.String())
		if r.Message != "" {
			res.Err = errors.New("external: " + r.Message)
		}
	}
	return res
}

// answer is a measurement of the metric with index i.
type answer struct {
	i int
	m Measurement
}

// Run measures until every metric has ended, one metric has ended badly, or ctx ends.
// Then it cancels queries in flight, and does not count them. Its goroutines end with
// their queries. If the source ignores its context, this can be after Run has returned.
func (a *Analysis) Run(ctx context.Context) Report { return a.run(ctx, nil) }

// run is [Analysis.Run], and calls each with every change of the report.
func (a *Analysis) run(ctx context.Context, each func(Report)) Report {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	metrics := a.cfg.Metrics
	tallies := make([]Tally, len(metrics))
	answers := make(chan answer, len(metrics)) // one in flight for each, so that none blocks
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var r Report
	for {
		r = AssessAll(metrics, tallies, false)
		if r.Phase.Done() || ctx.Err() != nil {
			break
		}
		if each != nil {
			each(r)
		}
		wait := time.Duration(-1)
		for i, m := range metrics {
			due, ok := m.Due(tallies[i], began)
			if !ok {
				continue
			}
			if d := time.Until(due); d > 0 {
				if wait < 0 || d < wait {
					wait = d
				}
				continue
			}
			tallies[i].InFlight = true
			go func() { answers <- answer{i, a.measure(ctx, m)} }()
		}
		var ready <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			ready = timer.C
		}
		select {
		case got := <-answers:
			if ctx.Err() != nil {
				break // cancelled
			}
			m := metrics[got.i]
			tallies[got.i] = m.Record(tallies[got.i], got.m)
			if got.m.Phase == Error {
				a.cfg.Logger.WarnContext(ctx, "external: measurement failed; it does not count", "metric", m.Name, "error", got.m.Message)
			}
			if a.cfg.Observe != nil {
				a.cfg.Observe(m.Name, got.m)
			}
		case <-ready:
		case <-ctx.Done():
		}
	}
	for i := range tallies {
		tallies[i].InFlight = false
	}
	end := AssessAll(metrics, tallies, true)
	if r.Phase.bad() { // the cause, not the metrics that it stopped
		end.Phase, end.Message = r.Phase, r.Message
	}
	return end
}

// measure queries the source once. It converts a panic of the source to an error.
func (a *Analysis) measure(ctx context.Context, m Metric) (ms Measurement) {
	ms.Began = time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, a.cfg.Timeout,
		fmt.Errorf("external: query: no answer within %v: %w", a.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	type reply struct {
		values []float64
		err    error
	}
	done := make(chan reply, 1)
	go func() {
		r := reply{err: errors.New("external: source: called runtime.Goexit instead of returning")}
		defer func() {
			if v := recover(); v != nil {
				r = reply{err: &checks.PanicError{Value: v, Stack: string(debug.Stack())}}
			}
			done <- r
		}()
		r.values, r.err = a.cfg.Source.Query(ctx, m.Query)
	}()
	var r reply
	select {
	case r = <-done:
	case <-ctx.Done(): // a source that ignores its context is abandoned
		r.err = context.Cause(ctx)
	}
	if r.err == nil && len(r.values) == 0 {
		r.err = ErrNoData
	}
	ms.Values = slices.Clone(r.values)
	phase, err := m.judge(r.values, r.err)
	ms.Phase, ms.Ended = phase, time.Now()
	if err != nil {
		ms.Message = err.Error()
	}
	return ms
}
