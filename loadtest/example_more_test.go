package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// Two processes, or two machines, can send one schedule: here one after the
// other, their reports through JSON.
func ExampleReport_Merge() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	schedule := pace.First(pace.Constant(200), 50)
	var merged *loadtest.Report
	for part := range 2 {
		report, err := loadtest.Run(context.Background(), loadtest.Plan{
			Target: server.URL, Model: "tinylm", Pacer: pace.Shard(schedule, part, 2), MaxTokens: 4,
			Workload: workload.Synthetic{Input: workload.Length{Mean: 20}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		data, err := json.Marshal(report)
		if err != nil {
			fmt.Println(err)
			return
		}
		var back loadtest.Report
		if err := json.Unmarshal(data, &back); err != nil {
			fmt.Println(err)
			return
		}
		if merged == nil {
			merged = &back
		} else {
			merged.Merge(&back)
		}
	}
	fmt.Println(merged.Sent, "requests,", merged.OutputTokens, "tokens,", merged.TTFT.Count(), "times to first token")
	// Output: 50 requests, 200 tokens, 50 times to first token
}

// Latency over throughput at three rates, and the page that shows it.
func ExampleSweep() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	curve, err := loadtest.Sweep(context.Background(), loadtest.Search{
		Plan: loadtest.Plan{Target: server.URL, Model: "tinylm", MaxTokens: 4, Duration: 200 * time.Millisecond, Workload: workload.Synthetic{Input: workload.Length{Mean: 20}}},
		From: 20, To: 80,
	}, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	page, err := os.CreateTemp("", "curve*.html")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(page.Name())
	defer page.Close()
	if err := curve.WriteHTML(page); err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range curve.Steps {
		fmt.Printf("%.0f/s ", step.Rate)
	}
	fmt.Println()
	// Output: 20/s 40/s 80/s
}

// The servers report about themselves while the client measures.
func ExampleServerMetrics_Watch() {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintln(w, "vllm:num_requests_running 3\nvllm:kv_cache_usage_perc 0.25")
	}))
	defer page.Close()

	servers := loadtest.ServerMetrics{Pages: []loadtest.MetricsPage{{URL: page.URL, Kind: "vllm"}}}
	report, err := servers.Watch(loadtest.Run)(context.Background(), loadtest.Plan{
		Target: page.URL, Model: "m", Prompts: []workload.Prompt{workload.Ask("Why?")}, Pacer: pace.Constant(10), Requests: 5,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Server)
	// Output: running 3, up to 3; KV cache 25 %, up to 25 %
}
