package trafficotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/internal/metrics"
)

// ScopeName is the name of the instrumentation scope.
const ScopeName = "github.com/serin-go/serin/rollout/traffic/trafficotel"

// Names says which names the metrics of requests have. The zero value is Current.
type Names uint8

const (
	// Current are the names of the OpenTelemetry repository semantic-conventions-genai,
	// v0.1.0. They are in development there, and may change.
	Current Names = iota
	// Legacy are the names of the semantic conventions v1.37 to v1.41.
	Legacy
)

// Config says how metrics are exported. The zero Config is valid.
type Config struct {
	// Names are the names of the metrics; never both kinds are exported.
	Names Names
	// Exponential exports exponential histograms, which Prometheus stores as native
	// ones, of at most 160 buckets. The default is explicit buckets with the bounds of the
	// conventions.
	Exponential bool
}

// Validate returns a [*checks.InvalidError] if cfg has a value that is not defined.
func (cfg Config) Validate() error {
	if cfg.Names > Legacy {
		return &checks.InvalidError{Package: "trafficotel", Field: "Config.Names", Value: cfg.Names, Want: "Current or Legacy"}
	}
	return nil
}

// Producer gives the metrics of a router to readers of the OpenTelemetry SDK. It is safe
// for concurrent use, keeps nothing, and reads the router at each collection. Make one
// with [NewProducer].
type Producer struct {
	router *traffic.Router
	cfg    Config
	began  time.Time
}

var _ sdkmetric.Producer = (*Producer)(nil)

// NewProducer returns a Producer of a router's metrics. It returns the error of
// [Config.Validate], and a [*checks.InvalidError] if router is nil.
func NewProducer(router *traffic.Router, cfg Config) (*Producer, error) {
	if router == nil {
		return nil, &checks.InvalidError{Package: "trafficotel", Field: "router", Value: "nil", Want: "a router"}
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Producer{router: router, cfg: cfg, began: time.Now()}, nil
}

// Produce implements [sdkmetric.Producer]. All sums are cumulative since NewProducer was
// called, or earlier if the router had requests before. It returns the error of ctx.
func (p *Producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: ScopeName}}
	for _, f := range metrics.Of(p.router, metrics.Names(p.cfg.Names)) {
		scope.Metrics = append(scope.Metrics, metricdata.Metrics{Name: f.Name, Description: f.Help, Unit: f.Unit, Data: p.data(&f, now)})
	}
	return []metricdata.ScopeMetrics{scope}, nil
}

func (p *Producer) data(f *metrics.Family, now time.Time) metricdata.Aggregation {
	switch {
	case f.Kind == metrics.Histogram && p.cfg.Exponential:
		h := metricdata.ExponentialHistogram[float64]{Temporality: metricdata.CumulativeTemporality}
		for _, point := range f.Points {
			d := exponential(point.Values)
			d.Attributes, d.StartTime, d.Time = attributes(point.Labels), p.began, now
			h.DataPoints = append(h.DataPoints, d)
		}
		return h
	case f.Kind == metrics.Histogram:
		h := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
		for _, point := range f.Points {
			h.DataPoints = append(h.DataPoints, metricdata.HistogramDataPoint[float64]{
				Attributes: attributes(point.Labels), StartTime: p.began, Time: now, Count: point.Values.Count, Sum: point.Values.Sum,
				Bounds: f.Bounds, BucketCounts: explicit(point.Values, f.Bounds),
			})
		}
		return h
	case f.Kind == metrics.Gauge:
		return metricdata.Gauge[float64]{DataPoints: points(f, func(v float64) float64 { return v }, p.began, now)}
	case f.Whole:
		return metricdata.Sum[int64]{
			DataPoints:  points(f, func(v float64) int64 { return int64(v) }, p.began, now),
			Temporality: metricdata.CumulativeTemporality, IsMonotonic: f.Kind == metrics.Counter,
		}
	}
	return metricdata.Sum[float64]{
		DataPoints:  points(f, func(v float64) float64 { return v }, p.began, now),
		Temporality: metricdata.CumulativeTemporality, IsMonotonic: f.Kind == metrics.Counter,
	}
}

func points[N int64 | float64](f *metrics.Family, number func(float64) N, began, now time.Time) []metricdata.DataPoint[N] {
	all := make([]metricdata.DataPoint[N], len(f.Points))
	for i, p := range f.Points {
		all[i] = metricdata.DataPoint[N]{Attributes: attributes(p.Labels), StartTime: began, Time: now, Value: number(p.Value)}
	}
	return all
}

func attributes(labels []metrics.Label) attribute.Set {
	all := make([]attribute.KeyValue, len(labels))
	for i, l := range labels {
		all[i] = attribute.String(l.Name, l.Value)
	}
	return attribute.NewSet(all...)
}

// explicit returns the count of each bucket between bounds, the last of which is open.
func explicit(h traffic.Histogram, bounds []float64) []uint64 {
	counts := make([]uint64, len(bounds)+1)
	var before uint64
	for i, bound := range bounds {
		n := h.AtMost(bound)
		counts[i], before = n-before, n
	}
	counts[len(bounds)] = h.Count - before
	return counts
}
