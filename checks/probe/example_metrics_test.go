package probe_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/serin-go/serin/checks/probe"
)

// text is a server that gives one text.
func text(page string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }))
}

func ExampleMetrics() {
	server := text("queue_length{model=\"chat\"} 12\nqueue_length{model=\"embed\"} 40\nup 1\n")
	defer server.Close()
	r := probe.Metrics(probe.MetricsOptions{URL: server.URL, Want: []probe.MetricRule{
		{Name: "queue_length", Labels: map[string]string{"model": "chat"}, Max: new(30.0)},
		{Name: "up", Min: new(1.0)},
	}}).Check(context.Background())
	fmt.Println(r.Status, r.Evidence[`queue_length{model="chat"}`])

	r = probe.Metrics(probe.MetricsOptions{URL: server.URL, Want: []probe.MetricRule{{Name: "queue_size"}}}).Check(context.Background())
	fmt.Println(r.Status, r.Err, "similar:", r.Evidence["similar"])
	// Output:
	// pass 12
	// unknown no value of queue_size similar: queue_length
}

func ExampleServer() {
	server := text("vllm:num_requests_running 8\nvllm:num_requests_waiting 120\nvllm:kv_cache_usage_perc 0.97\n")
	defer server.Close()
	r := probe.Server(probe.ServerOptions{URL: server.URL, Kind: "vllm", MaxWaiting: 200, MaxKVUse: 0.95}).Check(context.Background())
	fmt.Println(r.Status, r.Evidence["waiting"], r.Evidence["KV use"])
	// Output: fail 120 0.97
}

func ExampleGPU() {
	gpus := probe.GPU(probe.GPUOptions{
		MaxMemory: 0.95, MaxTemperature: 85,
		Query: func(context.Context) ([]byte, error) { // instead of nvidia-smi on this machine
			return []byte("0, 70000, 81559, 88, 61\n1, 80900, 81559, 100, 64\n"), nil
		},
	})
	fmt.Println(gpus.Check(context.Background()).Summary)
	// Output: nvidia-smi: GPU 1 has memory 99.19 %, want at most 95 %
}
