package rolloutotel_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/rolloutotel"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// names stands for the provider of an SDK: it prints the names of spans.
type names struct{ embedded.TracerProvider }

func (names) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{} }

type tracer struct{ noop.Tracer }

func (t tracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	fmt.Println("span", name)
	return t.Tracer.Start(ctx, name, o...)
}

type plane struct{}

func (plane) SetSplit(context.Context, strategies.Split) error { return nil }

// A rollout whose preflight check fails is a trace of two spans.
func Example() {
	ctx := context.Background()
	observer, err := rolloutotel.New(rolloutotel.Config{TracerProvider: names{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer observer.Close()
	ended := make(chan struct{})
	engine, err := rollout.Open(ctx, rollout.Config{
		Store:   new(memstore.Store),
		Targets: map[string]rollout.Splitter{"chat": plane{}},
		Checks:  map[string]checks.Check{"evaluation": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Fail} })},
		Observer: rollout.Tee(observer, rollout.ObserverFunc(func(_ context.Context, ev rollout.Event) {
			if ev.Kind == rollout.Ended {
				close(ended)
			}
		})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	_, err = engine.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
		Preflight: []string{"evaluation"},
	}, rollout.Actor{Name: "ana"})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-ended
	// Output:
	// span rollout
	// span preflight
}
