package traffic_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// meters is a MeterProvider with one Meter. It keeps the callback it is given
// and, as an Observer, what that reports.
type meters struct {
	noop.MeterProvider
	noop.Observer
	scope    string
	callback metric.Callback
	seen     []string
}

func (m *meters) Meter(name string, _ ...metric.MeterOption) metric.Meter {
	m.scope = name
	return meter{m: m}
}

type meter struct {
	noop.Meter
	m *meters
}

type counter struct {
	noop.Int64ObservableCounter
	name string
}

type gauge struct {
	noop.Int64ObservableUpDownCounter
	name string
}

func (meter) Int64ObservableCounter(name string, _ ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return counter{name: name}, nil
}

func (meter) Int64ObservableUpDownCounter(name string, _ ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	return gauge{name: name}, nil
}

func (m meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.m.callback = f
	return noop.Registration{}, nil
}

func (m *meters) ObserveInt64(o metric.Int64Observable, value int64, opts ...metric.ObserveOption) {
	name := ""
	switch o := o.(type) {
	case counter:
		name = o.name
	case gauge:
		name = o.name
	}
	set := metric.NewObserveConfig(opts).Attributes()
	m.seen = append(m.seen, fmt.Sprint(name, " ", set.Encoded(attribute.DefaultEncoder()), " ", value))
}

func TestTelemetry(t *testing.T) {
	m := &meters{}
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) { c.MeterProvider = m })
	ctx := context.Background()
	r.Assign(ctx, "a").Done(analysis.Observation{Class: analysis.OK})
	r.Assign(ctx, "b").Done(analysis.Observation{Class: analysis.Refused})
	r.Assign(ctx, "c")
	if err := m.callback(ctx, m); err != nil {
		t.Fatal(err)
	}
	slices.Sort(m.seen)
	want := []string{
		"serin.traffic.fallbacks serin.arm=new 0",
		"serin.traffic.fallbacks serin.arm=old 0",
		"serin.traffic.in_flight serin.arm=new 1",
		"serin.traffic.in_flight serin.arm=old 0",
		"serin.traffic.requests serin.arm=new,serin.class=ok 1",
		"serin.traffic.requests serin.arm=new,serin.class=refused 1",
	}
	if diff := cmp.Diff(want, m.seen); diff != "" || m.scope != traffic.ScopeName {
		t.Errorf("scope %q, (-want +got):\n%s", m.scope, diff)
	}
}
