package rolloutotel

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/serin-go/serin/rollout"
)

// ScopeName is the name of the OpenTelemetry instrumentation scope.
const ScopeName = "github.com/serin-go/serin/rollout/rolloutotel"

// Config says where spans and measurements go. The zero Config is ready to use.
type Config struct {
	// TracerProvider and MeterProvider receive the spans and the measurements. Nil
	// means the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Observer is a rollout.Observer. It is safe for concurrent use, by several
// engines and for several targets.
type Observer struct {
	tracer       trace.Tracer
	registration metric.Registration

	mu      sync.Mutex
	targets map[string]*target
}

// target is what is known of a target's newest rollout. The counts are of all.
type target struct {
	last   rollout.Event // Rollout "" before the first
	spans  spans
	events map[eventKind]int64
	urgent int64
}

type eventKind struct {
	kind rollout.Kind
	rule string
}

// New returns an Observer and registers its instruments. It returns the error of the
// provider.
func New(cfg Config) (*Observer, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	o := &Observer{tracer: cfg.TracerProvider.Tracer(ScopeName), targets: make(map[string]*target)}
	if err := o.export(cfg.MeterProvider.Meter(ScopeName)); err != nil {
		return nil, fmt.Errorf("rolloutotel: %w", err)
	}
	return o, nil
}

// Observe implements rollout.Observer.
func (o *Observer) Observe(ctx context.Context, ev rollout.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := ev.Rollout.Target()
	t := o.targets[name]
	if t == nil {
		t = &target{events: make(map[eventKind]int64)}
		o.targets[name] = t
	}
	t.events[eventKind{ev.Kind, ev.Rule}]++
	if ev.Urgent {
		t.urgent++
	}
	if ev.Judgement == nil && ev.Rollout == t.last.Rollout {
		ev.Judgement = t.last.Judgement // still the newest word
	}
	t.spans.follow(ctx, o.tracer, t.last, ev)
	t.last = ev
}

// Close ends the spans that are open, without a status, and the export of
// measurements. It is for before the providers are shut down; what is observed
// afterwards is lost.
func (o *Observer) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.targets {
		t.spans.close()
	}
	if err := o.registration.Unregister(); err != nil {
		return fmt.Errorf("rolloutotel: %w", err)
	}
	return nil
}
