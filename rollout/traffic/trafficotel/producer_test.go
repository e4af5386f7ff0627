package trafficotel_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
)

// collect returns what a reader of the SDK collects from a producer, by name.
func collect(t testing.TB, r *traffic.Router, cfg trafficotel.Config) map[string]metricdata.Metrics {
	t.Helper()
	producer, err := trafficotel.NewProducer(r, cfg)
	if err != nil {
		t.Fatal(err)
	}
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(producer))
	sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]metricdata.Metrics)
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != trafficotel.ScopeName {
			t.Errorf("scope %s", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			if _, twice := all[m.Name]; twice || m.Description == "" {
				t.Errorf("%s: %q, twice: %t", m.Name, m.Description, twice)
			}
			all[m.Name] = m
		}
	}
	return all
}

// served returns a router with requests of the given times to their first token.
func served(t testing.TB, ttfts ...time.Duration) *traffic.Router {
	t.Helper()
	r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a": {URL: "https://api.mistral.ai"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ttfts {
		r.Assign(context.Background(), "").Done(analysis.Observation{
			Route: "POST /v1/chat/completions", Model: "m", Class: analysis.OK, TTFT: d, Latency: 2 * d, ITL: d / 10, InputTokens: 16, OutputTokens: 1,
		})
	}
	return r
}

func TestNames(t *testing.T) {
	common := []string{
		"serin.traffic.cost{currency}", "serin.traffic.fallbacks{request}", "serin.traffic.in_flight{request}", "serin.traffic.requests{request}",
		"serin.traffic.stale{request}", "serin.traffic.time_per_output_tokens", "serin.traffic.unpriced{attempt}", "serin.traffic.weight",
	}
	for names, want := range map[trafficotel.Names][]string{
		trafficotel.Current: {
			"gen_ai.client.inference.durations", "gen_ai.client.inference.operation.input_tokens{token}", "gen_ai.client.inference.operation.output_tokens{token}",
			"gen_ai.client.inference.time_to_first_chunks", "gen_ai.client.inference.usage.cache_read.input_tokens{token}", "gen_ai.client.inference.usage.cache_write.input_tokens{token}",
			"gen_ai.client.inference.usage.input_tokens{token}", "gen_ai.client.inference.usage.output_tokens{token}", "gen_ai.client.inference.usage.reasoning.output_tokens{token}",
		},
		trafficotel.Legacy: {"gen_ai.client.operation.durations", "gen_ai.client.operation.time_to_first_chunks", "gen_ai.client.token.usage{token}"},
	} {
		var got []string
		for name, m := range collect(t, served(t, time.Second), trafficotel.Config{Names: names}) {
			got = append(got, name+m.Unit)
		}
		slices.Sort(got)
		want = append(want, common...)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("names %d: %s\nwant %s", names, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}

func TestExplicitBuckets(t *testing.T) {
	r := served(t, 10*time.Millisecond, 11*time.Millisecond, 20*time.Millisecond, 300*time.Millisecond, 100*time.Second)
	h := collect(t, r, trafficotel.Config{})["gen_ai.client.inference.time_to_first_chunk"].Data.(metricdata.Histogram[float64]).DataPoints[0]
	want := []uint64{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}
	if !slices.Equal(h.BucketCounts, want) || h.Count != 5 || math.Abs(h.Sum-100.341) > 1e-9 {
		t.Errorf("%v, %d, %v; want %v", h.BucketCounts, h.Count, h.Sum, want)
	}
	if got, want := h.Bounds, []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}; !slices.Equal(got, want) {
		t.Errorf("bounds %v", got)
	}
}

// Each value lies in the bucket of an exponential histogram that counts it, or is not
// farther from it than a bucket of the router is wide. Less than a microsecond counts as one.
func TestExponentialBuckets(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, spread := range []float64{0.01, 1, 4, 20} {
		var values []float64
		var durations []time.Duration
		for range 500 {
			d := time.Duration(float64(10*time.Millisecond) * math.Exp(spread*(rnd.Float64()-0.5)))
			values, durations = append(values, max(1e-6, d.Seconds())), append(durations, d)
		}
		slices.Sort(values)
		m := collect(t, served(t, durations...), trafficotel.Config{Exponential: true})["gen_ai.client.inference.time_to_first_chunk"]
		h := m.Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
		if n := len(h.PositiveBucket.Counts); n > 160 || h.Scale > 5 || h.Count != 500 || h.PositiveBucket.Counts[0] == 0 || h.PositiveBucket.Counts[n-1] == 0 {
			t.Fatalf("spread %v: %d buckets of the scale %d", spread, n, h.Scale)
		}
		var seen int
		for i, n := range h.PositiveBucket.Counts {
			low := math.Exp2(math.Ldexp(float64(h.PositiveBucket.Offset)+float64(i), -int(h.Scale)))
			high := math.Exp2(math.Ldexp(float64(h.PositiveBucket.Offset)+float64(i)+1, -int(h.Scale)))
			for range n {
				if v := values[seen]; v < low/1.016 || v > high*1.016 {
					t.Fatalf("spread %v: %v is counted from %v to %v", spread, v, low, high)
				}
				seen++
			}
		}
		if seen != len(values) {
			t.Errorf("spread %v: %d values", spread, seen)
		}
	}
}

// Answers without an output token, such as embeddings, have a count of their own.
func TestExponentialZeros(t *testing.T) {
	m := newModel(t, 200)
	m.answer = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]}],"usage":{"prompt_tokens":7,"total_tokens":7}}`
	r := routerTo(t, m.URL, m.URL, nil)
	shapes["RoundTripper"](t, trafficotel.Tracing{}, r, "/v1/embeddings", http.Header{})
	all := collect(t, r, trafficotel.Config{Exponential: true})
	zeros := all["gen_ai.client.inference.operation.output_tokens"].Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	if zeros.ZeroCount != 1 || zeros.Count != 1 || len(zeros.PositiveBucket.Counts) != 0 {
		t.Errorf("output %+v", zeros)
	}
	some := all["gen_ai.client.inference.operation.input_tokens"].Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	if some.ZeroCount != 0 || some.Count != 1 || len(some.PositiveBucket.Counts) != 1 || some.Sum != 7 {
		t.Errorf("input %+v", some)
	}
}

func TestBadProducers(t *testing.T) {
	for field, f := range map[string]func() (*trafficotel.Producer, error){
		"router": func() (*trafficotel.Producer, error) { return trafficotel.NewProducer(nil, trafficotel.Config{}) },
		"Config.Names": func() (*trafficotel.Producer, error) {
			return trafficotel.NewProducer(served(t), trafficotel.Config{Names: 2})
		},
	} {
		p, err := f()
		if invalid := (*checks.InvalidError)(nil); p != nil || !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	p, err := trafficotel.NewProducer(served(t), trafficotel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if all, err := p.Produce(ctx); all != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", all, err)
	}
}
