package autoscale_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/strategies"
)

// Four model servers have 45 waiting requests each, where 30 are wanted.
func ExampleScaler_Next() {
	scaler := autoscale.Scaler{Min: 2, Max: 20}
	decision, state := scaler.Next(autoscale.Input{
		At: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Ready: 4, Desired: 4, Busy: 4,
		Signals: []autoscale.Signal{
			{Name: "waiting", Sum: 180, Known: 4, Target: 30},
			{Name: "KV cache", Sum: 2.88, Known: 4, Target: 0.6},
		},
	}, autoscale.State{})
	fmt.Println(decision.Replicas, "replicas, because of", decision.By)
	_ = state // for the next call
	// Output: 6 replicas, because of waiting
}

// A candidate shall get 20 % of 100 requests a second, of which one replica serves 10.
func ExampleFloors() {
	split := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(80)}, {Name: "1.5.0", Weight: strategies.Percent(20)}}}
	floors := autoscale.Floors(split, 100, map[string]float64{"1.4.0": 10, "1.5.0": 10}, true)
	fmt.Println(floors["1.4.0"], floors["1.5.0"])
	// Output: 10 2
}

// Two servers of vLLM, of which one has a queue. The other one is of an older version,
// which has another name for the use of its KV cache.
func ExampleMetrics() {
	serve := func(page string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }))
	}
	newer := serve("vllm:num_requests_waiting 70\nvllm:kv_cache_usage_perc 0.9\n")
	defer newer.Close()
	older := serve("vllm:num_requests_waiting 8\nvllm:gpu_cache_usage_perc 0.3\n")
	defer older.Close()

	source, err := autoscale.NewMetrics(autoscale.MetricsConfig{
		Kind: "vllm", Waiting: 30, KVUse: 0.6,
		Replicas: func(context.Context, string) ([]string, error) { return []string{newer.URL, older.URL}, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := source.Measure(context.Background(), "1.5.0")
	for _, s := range in.Signals {
		fmt.Println(s.Name, s.Sum, "on", s.Known, "replicas", err)
	}
	decision, _ := autoscale.Scaler{}.Next(in, autoscale.State{})
	fmt.Println(decision.Replicas, "replicas, because of", decision.By)
	// Output:
	// waiting 78 on 2 replicas <nil>
	// KV use 1.2 on 2 replicas <nil>
	// 3 replicas, because of waiting
}
