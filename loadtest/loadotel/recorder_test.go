package loadotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/loadotel"
	"github.com/serin-go/serin/loadtest/pace"
)

// provider is a MeterProvider that remembers what is measured; the SDK is none
// of this module's dependencies.
type provider struct {
	noop.MeterProvider
	scope string
	fail  bool

	mu     sync.Mutex
	values map[string]float64
}

func (p *provider) Meter(name string, _ ...metric.MeterOption) metric.Meter {
	p.scope = name
	return meter{p: p}
}

type meter struct {
	noop.Meter
	p *provider
}

func (p *provider) note(name string, v float64, set attribute.Set) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var labels []string
	for _, kv := range set.ToSlice() {
		labels = append(labels, fmt.Sprintf("%s=%s", kv.Key, kv.Value.AsString()))
	}
	p.values[name+"{"+strings.Join(labels, ",")+"}"] += v
}

type counter struct {
	noop.Int64Counter
	p    *provider
	name string
}

func (c counter) Add(_ context.Context, n int64, options ...metric.AddOption) {
	c.p.note(c.name, float64(n), metric.NewAddConfig(options).Attributes())
}

type histogram struct {
	noop.Float64Histogram
	p    *provider
	name string
}

func (h histogram) Record(_ context.Context, v float64, options ...metric.RecordOption) {
	h.p.note(h.name, v, metric.NewRecordConfig(options).Attributes())
}

func (m meter) Int64Counter(name string, options ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	if m.p.fail {
		return nil, errors.New("no " + name)
	}
	return counter{p: m.p, name: name + " " + metric.NewInt64CounterConfig(options...).Unit()}, nil
}

func (m meter) Float64Histogram(name string, options ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{p: m.p, name: name + " " + metric.NewFloat64HistogramConfig(options...).Unit()}, nil
}

func TestRecorder(t *testing.T) {
	p := &provider{values: make(map[string]float64)}
	r, err := loadotel.New(loadotel.Config{MeterProvider: p, Attributes: []attribute.KeyValue{attribute.String("test", "nightly")}})
	if err != nil {
		t.Fatal(err)
	}
	due := time.Unix(0, 0)
	good := loadtest.Result{Class: analysis.OK, Due: due, Sent: due.Add(time.Second), TTFT: time.Second, TPOT: time.Second / 8, Latency: 3 * time.Second, Chunks: 2, InputTokens: 5, OutputTokens: 7}
	trimmed := good
	trimmed.Trimmed = true
	for _, res := range []loadtest.Result{good, good, trimmed, {Class: analysis.Timeout, Fault: "late header", Due: due, Sent: due, Latency: time.Minute}} {
		r.Record(res)
	}
	want := map[string]float64{
		"loadtest.requests {request}{loadtest.class=ok,loadtest.fault=none,test=nightly}":             3,
		"loadtest.requests {request}{loadtest.class=timeout,loadtest.fault=late header,test=nightly}": 1,
		"loadtest.tokens {token}{gen_ai.token.type=input,test=nightly}":                               15,
		"loadtest.tokens {token}{gen_ai.token.type=output,test=nightly}":                              21,
		"loadtest.duration s{loadtest.class=ok,test=nightly}":                                         8,
		"loadtest.duration s{loadtest.class=timeout,test=nightly}":                                    60,
		"loadtest.time_to_first_token s{test=nightly}":                                                4,
		"loadtest.time_per_output_token s{test=nightly}":                                              0.25,
		"loadtest.sched_lag s{test=nightly}":                                                          2,
	}
	if diff := cmp.Diff(want, p.values); diff != "" || p.scope != loadotel.ScopeName {
		t.Errorf("scope %q, measurements (-want +got):\n%s", p.scope, diff)
	}
	if _, err := loadotel.New(loadotel.Config{MeterProvider: &provider{fail: true}}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("a provider that fails: %v", err)
	}
	if _, err := loadotel.New(loadotel.Config{}); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}

func BenchmarkRecord(b *testing.B) {
	r, err := loadotel.New(loadotel.Config{MeterProvider: noop.NewMeterProvider()})
	if err != nil {
		b.Fatal(err)
	}
	due := time.Unix(0, 0)
	res := loadtest.Result{Class: analysis.OK, Due: due, Sent: due, TTFT: time.Second, TPOT: time.Second, Latency: time.Second, Chunks: 2, InputTokens: 5, OutputTokens: 7}
	b.ReportAllocs()
	for b.Loop() {
		r.Record(res)
	}
}

func ExampleRecorder() {
	metrics, err := loadotel.New(loadotel.Config{}) // of the global provider
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := loadtest.Plan{Target: "http://127.0.0.1:8080", Model: "tinylm", Pacer: pace.Constant(1), OnResult: metrics.Record}
	fmt.Println(plan.OnResult != nil)
	// Output: true
}

func TestAttributesAreValidated(t *testing.T) {
	_, err := loadotel.New(loadotel.Config{Attributes: []attribute.KeyValue{attribute.String("test", "a"), {}, attribute.String("", "b")}})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if want := []string{"Config.Attributes[1]", "Config.Attributes[2]"}; !slices.Equal(fields, want) {
		t.Errorf("invalid fields %v, want %v", fields, want)
	}
}
