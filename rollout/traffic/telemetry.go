package traffic

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/serin-go/serin/checks/analysis"
)

// export registers instruments that read the counters when they are collected.
// Requests never wait for them: on their path there is one atomic addition.
func (r *Router) export(provider metric.MeterProvider) error {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	meter := provider.Meter(ScopeName)
	requests, err := meter.Int64ObservableCounter("serin.traffic.requests",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that have ended, by the arm they were assigned to and by class."))
	if err != nil {
		return err
	}
	fallbacks, err := meter.Int64ObservableCounter("serin.traffic.fallbacks",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that the baseline served in place of their arm."))
	if err != nil {
		return err
	}
	inFlight, err := meter.Int64ObservableUpDownCounter("serin.traffic.in_flight",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that an arm is serving."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range *r.known.Load() {
			arm := attribute.String("serin.arm", s.arm)
			for c := range s.byClass {
				if n := s.byClass[c].Load(); n > 0 {
					o.ObserveInt64(requests, int64(n), metric.WithAttributes(arm, attribute.String("serin.class", analysis.Class(c).String())))
				}
			}
			o.ObserveInt64(fallbacks, int64(s.fallbacks.Load()), metric.WithAttributes(arm))
			o.ObserveInt64(inFlight, s.inFlight.Load(), metric.WithAttributes(arm))
		}
		return nil
	}, requests, fallbacks, inFlight)
	return err
}
