package rolloutotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// spans are the open spans of one rollout. They are nil if the rollout has ended.
type spans struct {
	root, phase trace.Span
}

// follow brings the spans from the event prev to ev. All times are the events' times,
// not the times at which they were received.
func (s *spans) follow(ctx context.Context, tracer trace.Tracer, prev, ev rollout.Event) {
	at := trace.WithTimestamp(ev.At)
	fresh := ev.Rollout != prev.Rollout || s.root == nil
	if fresh {
		s.close() // a rollout whose end was not seen here
		if ev.Kind == rollout.Ended && ev.Seq > 1 {
			return // it was over before anybody looked
		}
		_, s.root = tracer.Start(ctx, "rollout", at, trace.WithNewRoot(), trace.WithAttributes(about(ev)...))
	}
	if !fresh && (ev.Phase != prev.Phase || ev.Stage != prev.Stage) && s.phase != nil {
		s.phase.End(at)
		s.phase = nil
	}
	if s.phase == nil && !ev.Phase.Terminal() {
		_, s.phase = tracer.Start(trace.ContextWithSpan(ctx, s.root), ev.Phase.String(), at, trace.WithAttributes(about(ev)...),
			trace.WithAttributes(attribute.String("serin.stage", ev.Name), attribute.Int("serin.stage.index", ev.Stage)))
	}
	in := s.phase
	if in == nil {
		in = s.root
	}
	in.AddEvent(string(ev.Kind), at, trace.WithAttributes(details(ev)...))
	if ev.Phase.Terminal() {
		if ev.Phase == strategies.Promoted {
			s.root.SetStatus(codes.Ok, "")
		} else {
			s.root.SetStatus(codes.Error, ev.Reason)
		}
		s.root.SetAttributes(attribute.String("serin.outcome", ev.Phase.String()))
		s.root.End(at)
		s.root = nil
	}
}

// close ends the spans that are open.
func (s *spans) close() {
	for _, span := range []trace.Span{s.phase, s.root} {
		if span != nil {
			span.End()
		}
	}
	s.phase, s.root = nil, nil
}

// about says whose span it is.
func about(ev rollout.Event) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("serin.rollout", string(ev.Rollout)),
		attribute.String("serin.target", ev.Rollout.Target()),
		attribute.String("serin.baseline", ev.Split.Baseline()),
	}
	var candidates []string
	for i, a := range ev.Split.Arms {
		if i > 0 {
			candidates = append(candidates, a.Name)
		}
	}
	if len(candidates) == 1 {
		return append(all, attribute.String("serin.candidate", candidates[0]))
	}
	return append(all, attribute.StringSlice("serin.candidates", candidates))
}

// details say what happened.
func details(ev rollout.Event) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.Int64("serin.seq", int64(ev.Seq)),
		attribute.String("serin.reason", ev.Reason),
		attribute.String("serin.by", ev.By.Name),
	}
	if ev.Rule != "" {
		all = append(all, attribute.String("serin.rule", ev.Rule))
	}
	for i, a := range ev.Split.Arms {
		if i > 0 {
			all = append(all, attribute.Float64("serin.weight."+a.Name, share(a.Weight)))
		}
	}
	if ev.Judgement != nil {
		all = append(all, attribute.String("serin.verdict", ev.Judgement.Verdict.String()))
	}
	return all
}

func share(w strategies.Weight) float64 { return float64(w) / float64(strategies.Full) }
