package trafficotel_test

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficotel"
)

func ExampleNewProducer() {
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {URL: "http://10.0.0.14:8000"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	producer, err := trafficotel.NewProducer(router, trafficotel.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A program has a periodic reader with an exporter, or the exporter for Prometheus.
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(producer))
	sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	router.Assign(context.Background(), "ana").Done(analysis.Observation{Class: analysis.OK})
	var data metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &data); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "serin.traffic.requests" {
			fmt.Println(m.Name, sum.DataPoints[0].Value)
		}
	}
	// Output: serin.traffic.requests 1
}
