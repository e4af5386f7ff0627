package rolloutotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/serin-go/serin/checks/analysis"
)

// export registers the instruments; what they show is read when it is collected.
func (o *Observer) export(meter metric.Meter) error {
	var errs []error
	gauge := func(name, unit, description string) metric.Float64ObservableGauge {
		g, err := meter.Float64ObservableGauge("serin.rollout."+name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	counter := func(name, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter("serin.rollout."+name, metric.WithUnit("{event}"), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	weight := gauge("weight", "1", "Share of the traffic that an arm is to have, 0 to 1.")
	phase := gauge("phase", "1", "1 for the phase that the rollout is in.")
	paused := gauge("paused", "1", "1 while the rollout is paused.")
	evidence := gauge("evidence", "1", "An e-value over its limit: 1 decides.")
	requests := gauge("requests", "{request}", "Requests that the newest judgement rests on.")
	events := counter("events", "Events of the audit trail.")
	urgent := counter("urgent", "Events that people should be woken for.")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	collect := func(_ context.Context, to metric.Observer) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		for name, t := range o.targets {
			labels := func(more ...attribute.KeyValue) metric.MeasurementOption {
				return metric.WithAttributes(append(more, attribute.String("serin.target", name))...)
			}
			for _, a := range t.last.Split.Arms {
				to.ObserveFloat64(weight, share(a.Weight), labels(attribute.String("serin.arm", a.Name)))
			}
			to.ObserveFloat64(phase, 1, labels(attribute.String("serin.phase", t.last.Phase.String()), attribute.String("serin.stage", t.last.Name)))
			on := 0.0
			if t.last.Paused {
				on = 1
			}
			to.ObserveFloat64(paused, on, labels())
			for k, n := range t.events {
				to.ObserveInt64(events, n, labels(attribute.String("serin.kind", string(k.kind)), attribute.String("serin.rule", k.rule)))
			}
			to.ObserveInt64(urgent, t.urgent, labels())
			if j := t.last.Judgement; j != nil {
				for _, c := range []analysis.ArmCount{j.Baseline, j.Candidate} {
					to.ObserveFloat64(requests, float64(c.Requests), labels(attribute.String("serin.arm", c.Arm)))
				}
				for _, f := range j.Metrics {
					for proof, p := range map[string]analysis.Proof{"harm": f.Harm, "safe": f.Safe} {
						if p.Limit > 0 {
							to.ObserveFloat64(evidence, p.Now/p.Limit, labels(attribute.String("serin.metric", f.Metric), attribute.String("serin.proof", proof)))
						}
					}
				}
			}
		}
		return nil
	}
	registration, err := meter.RegisterCallback(collect, weight, phase, paused, evidence, requests, events, urgent)
	o.registration = registration
	return err
}
