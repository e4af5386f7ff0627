package loadotel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// ScopeName is the name of the instrumentation scope.
const ScopeName = "github.com/serin-go/serin/loadtest/loadotel"

// Config configures a [Recorder]. The zero value is valid.
type Config struct {
	// MeterProvider creates the instruments. If nil, the global provider does.
	MeterProvider metric.MeterProvider
	// Attributes are added to each measurement, such as the name of the test. Each
	// combination of values has its own time series, so use few values.
	Attributes []attribute.KeyValue
}

// Recorder records results as measurements. Make one by [New]. It is safe for
// concurrent use.
type Recorder struct {
	requests, tokens               metric.Int64Counter
	duration, ttft, tpot, schedLag metric.Float64Histogram
	common, input, output          metric.MeasurementOption
	attributes                     []attribute.KeyValue

	mu      sync.Mutex
	options map[outcome]metric.MeasurementOption // one for each outcome so far
	classes map[analysis.Class]metric.MeasurementOption
}

// outcome has the attributes of a count. There are few, since both sets are closed.
type outcome struct {
	class analysis.Class
	fault loadtest.Fault
}

// Validate returns an error that joins a [*checks.InvalidError] for each invalid
// attribute: one without a key or a value.
func (cfg Config) Validate() error {
	var errs []error
	for i, a := range cfg.Attributes {
		if !a.Valid() {
			errs = append(errs, &checks.InvalidError{Package: "loadotel", Field: fmt.Sprintf("Config.Attributes[%d]", i), Value: string(a.Key), Want: "an attribute with a key and a value"})
		}
	}
	return errors.Join(errs...)
}

// New returns a recorder. It returns the errors of [Config.Validate] and of the
// provider.
func New(cfg Config) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	meter := cfg.MeterProvider.Meter(ScopeName)
	r := &Recorder{attributes: cfg.Attributes, options: make(map[outcome]metric.MeasurementOption), classes: make(map[analysis.Class]metric.MeasurementOption)}
	r.common = r.with()
	r.input, r.output = r.with(attribute.String("gen_ai.token.type", "input")), r.with(attribute.String("gen_ai.token.type", "output"))
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	counter := func(name, unit, text string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text))
		note(err)
		return c
	}
	histogram := func(name, text string, bounds ...float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text), metric.WithExplicitBucketBoundaries(bounds...))
		note(err)
		return h
	}
	r.requests = counter("loadtest.requests", "{request}", "Number of requests")
	r.tokens = counter("loadtest.tokens", "{token}", "Number of tokens of requests and answers")
	// The bounds that the semantic conventions recommend for similar metrics.
	whole := []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	first := []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	each := []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}
	r.duration = histogram("loadtest.duration", "Time from when a request was due to the end of its answer", whole...)
	r.ttft = histogram("loadtest.time_to_first_token", "Time from when a request was due to its first token", first...)
	r.tpot = histogram("loadtest.time_per_output_token", "Mean time between the output tokens of an answer", each...)
	r.schedLag = histogram("loadtest.sched_lag", "Time from when a request was due to when it was sent", each...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("loadotel: %w", err)
	}
	return r, nil
}

func (r *Recorder) with(more ...attribute.KeyValue) metric.MeasurementOption {
	all := append(append([]attribute.KeyValue(nil), r.attributes...), more...)
	return metric.WithAttributeSet(attribute.NewSet(all...))
}

// Record records one result. It can be the OnResult of a [loadtest.Plan]. It counts
// results of the warm-up and the cool-down and omits their durations.
func (r *Recorder) Record(res loadtest.Result) {
	ctx := context.Background() // a result has no span
	count, class := r.optionsOf(outcome{res.Class, res.Fault})
	r.requests.Add(ctx, 1, count)
	if res.InputTokens > 0 {
		r.tokens.Add(ctx, int64(res.InputTokens), r.input)
	}
	if res.OutputTokens > 0 {
		r.tokens.Add(ctx, int64(res.OutputTokens), r.output)
	}
	if res.Trimmed {
		return
	}
	lag := res.SchedLag()
	r.schedLag.Record(ctx, lag.Seconds(), r.common)
	r.duration.Record(ctx, (res.Latency + lag).Seconds(), class)
	if res.Chunks > 0 {
		r.ttft.Record(ctx, (res.TTFT + lag).Seconds(), r.common)
	}
	if res.TPOT > 0 && res.Class == analysis.OK {
		r.tpot.Record(ctx, res.TPOT.Seconds(), r.common)
	}
}

// optionsOf returns the attributes of o from a cache, because creating them costs more
// than a measurement.
func (r *Recorder) optionsOf(o outcome) (count, class metric.MeasurementOption) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options[o] == nil {
		name := attribute.String("loadtest.class", o.class.String())
		r.options[o] = r.with(name, attribute.String("loadtest.fault", cmp.Or(string(o.fault), "none")))
		r.classes[o.class] = r.with(name)
	}
	return r.options[o], r.classes[o.class]
}
