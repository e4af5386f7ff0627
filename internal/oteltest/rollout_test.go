package oteltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/rolloutotel"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// plane serves ten requests a second, of which the candidate fails a share.
type plane struct {
	rec   chan *analysis.Recorder
	split chan strategies.Split
}

func (p plane) SetSplit(_ context.Context, s strategies.Split) error { p.split <- s; return nil }
func (p plane) Measure(r *analysis.Recorder)                         { p.rec <- r }

func (p plane) serve(ctx context.Context, fails map[string]bool) {
	var rec *analysis.Recorder
	var split strategies.Split
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case rec = <-p.rec:
		case split = <-p.split:
		case now := <-tick.C:
			if rec == nil {
				continue
			}
			arm := split.Arms[split.Slots()[i*37%int(strategies.Full)]].Name
			o := analysis.Observation{Class: analysis.OK, At: now, Arm: arm, Unit: fmt.Sprint(i), Generation: split.Generation, TTFT: 100 * time.Millisecond, Latency: time.Second}
			if fails[arm] {
				o.Class = analysis.Error
			}
			rec.Record(o)
		}
	}
}

func version(v string) versioning.Release {
	return versioning.Release{Version: versioning.MustParse(v)}
}

// collected returns what the reader collects, each as name{labels}=value.
func collected(t *testing.T, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != rolloutotel.ScopeName {
			t.Errorf("scope %s", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					all[m.Name+"{"+p.Attributes.Encoded(labels{})+"}"] = p.Value
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					all[m.Name+"{"+p.Attributes.Encoded(labels{})+"}"] = float64(p.Value)
				}
			default:
				t.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	return all
}

func TestGoodAndBadRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		reader := sdkmetric.NewManualReader()
		observer, err := rolloutotel.New(rolloutotel.Config{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)),
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		})
		if err != nil {
			t.Fatal(err)
		}
		p := plane{rec: make(chan *analysis.Recorder), split: make(chan strategies.Split)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.serve(ctx, map[string]bool{"1.6.0": true})
		engine, err := rollout.Open(ctx, rollout.Config{
			Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": p}, Observer: observer,
		})
		if err != nil {
			t.Fatal(err)
		}
		canary := strategies.Canary{Weights: []strategies.Weight{1000, 5000}, Bake: 10 * time.Second, Limit: time.Hour, DangerouslyPromoteUnproven: true}
		for i, candidate := range []string{"1.5.0", "1.6.0"} {
			_, err := engine.Start(ctx, rollout.Plan{
				Target: "chat", Baseline: version([]string{"1.4.0", "1.5.0"}[i]), Candidate: version(candidate),
				Strategy: canary, Analysis: analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}},
			}, rollout.Actor{Name: "ana"})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				time.Sleep(15 * time.Second) // in the second stage
				got := collected(t, reader)
				for name, want := range map[string]float64{
					"serin.rollout.weight{serin.arm=1.5.0,serin.target=chat}":                          0.5,
					"serin.rollout.weight{serin.arm=1.4.0,serin.target=chat}":                          0.5,
					"serin.rollout.phase{serin.phase=baking,serin.stage=canary 50%,serin.target=chat}": 1,
					"serin.rollout.paused{serin.target=chat}":                                          0,
					"serin.rollout.urgent{serin.target=chat}":                                          0,
					"serin.rollout.events{serin.kind=started,serin.rule=command,serin.target=chat}":    1,
				} {
					if v, ok := got[name]; !ok || v != want {
						t.Errorf("%s is %v (there: %t), want %v; all:\n%s", name, v, ok, want, strings.Join(slices.Sorted(maps.Keys(got)), "\n"))
					}
				}
				if v := got["serin.rollout.evidence{serin.metric=error rate,serin.proof=harm,serin.target=chat}"]; v < 0 || v > 0.5 {
					t.Errorf("evidence of harm %v", v)
				}
			}
			time.Sleep(10 * time.Minute)
		}
		engine.Close()
		cancel()

		type span struct{ Name, Parent, Status string }
		var got []span
		names := map[string]string{}
		for _, s := range recorder.Ended() {
			names[s.SpanContext().SpanID().String()] = s.Name()
		}
		for _, s := range recorder.Started() {
			status := ""
			if c := s.Status().Code; c != codes.Unset {
				status = c.String()
			}
			got = append(got, span{s.Name(), names[s.Parent().SpanID().String()], status})
			if s.EndTime().Before(s.StartTime()) || s.EndTime().IsZero() || len(s.Events()) == 0 {
				t.Errorf("%s from %s to %s with %d events", s.Name(), s.StartTime(), s.EndTime(), len(s.Events()))
			}
		}
		want := []span{
			{"rollout", "", "Ok"}, {"preflight", "rollout", ""}, {"baking", "rollout", ""}, {"baking", "rollout", ""}, {"baking", "rollout", ""},
			{"rollout", "", "Error"}, {"preflight", "rollout", ""}, {"baking", "rollout", ""},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
		if v := collected(t, reader)["serin.rollout.weight{serin.arm=1.6.0,serin.target=chat}"]; v != 0 {
			t.Errorf("after the rollback the candidate has %v", v)
		}
		if err := observer.Close(); err != nil {
			t.Error(err)
		}
		if got := collected(t, reader); len(got) > 0 {
			t.Errorf("after Close: %v", got)
		}
	})
}

// What is heard of only in its middle or at its end makes sense too.
func TestPartsOfRollouts(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	observer, err := rolloutotel.New(rolloutotel.Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	event := func(id rollout.ID, seq uint64, kind rollout.Kind, phase strategies.Phase) {
		at = at.Add(time.Minute)
		observer.Observe(t.Context(), rollout.Event{Rollout: id, Seq: seq, At: at, Kind: kind, Phase: phase})
	}
	event("chat/1", 7, rollout.Ended, strategies.Promoted) // nothing to show
	event("chat/2", 3, rollout.Continued, strategies.Baking)
	event("chat/3", 2, rollout.PhaseEntered, strategies.Baking) // the end of 2 was missed
	event("chat/3", 3, rollout.Ended, strategies.Promoted)
	event("code/1", 1, rollout.Started, strategies.Preflight)
	if err := observer.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range recorder.Started() {
		got = append(got, s.Name())
	}
	if diff := cmp.Diff([]string{"rollout", "baking", "rollout", "baking", "rollout", "preflight"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if started, ended := len(recorder.Started()), len(recorder.Ended()); started != ended {
		t.Errorf("%d spans started, %d ended", started, ended)
	}
}
