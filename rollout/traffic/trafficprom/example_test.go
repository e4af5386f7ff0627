package trafficprom_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficprom"
)

func ExampleExporter() {
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {URL: "http://10.0.0.14:8000"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	metrics := trafficprom.New(router) // serve it, for example by mux.Handle("GET /metrics", metrics)

	router.Assign(context.Background(), "ana").Done(analysis.Observation{
		Route: "POST /v1/chat/completions", Model: "chat", Class: analysis.OK, Latency: time.Second, InputTokens: 12, OutputTokens: 80,
	})
	var page strings.Builder
	if _, err := metrics.WriteTo(&page); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "serin_traffic_requests_total") || strings.HasPrefix(line, "serin_traffic_weight") {
			fmt.Print(line)
		}
	}
	// Output:
	// serin_traffic_requests_total{serin_arm="1.4.0",serin_class="ok"} 1
	// serin_traffic_weight{serin_arm="1.4.0"} 1
}
