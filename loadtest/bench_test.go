package loadtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// BenchmarkRun tells what one request of 64 chunks costs the generator itself:
// scheduling, measuring and collecting, without a network.
func BenchmarkRun(b *testing.B) {
	parts := []part{{data: role}}
	for range 64 {
		parts = append(parts, part{data: content(strings.Repeat("word ", 4))})
	}
	s := script{parts: append(parts, part{data: finish + usage + done})}
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) { return s.RoundTrip(r) }))
	p.Pacer, p.Requests, p.Workers = pace.Constant(100_000), b.N, 2
	b.ReportAllocs()
	report, err := Run(b.Context(), p)
	if err != nil || report.Sent != b.N || report.Chunks != 64*b.N {
		b.Fatal(report, err)
	}
}

// BenchmarkConcurrentStreams holds 2,000 streams at once, over loopback and with
// the server in the same process.
func BenchmarkConcurrentStreams(b *testing.B) {
	model, err := modeltest.New(modeltest.Config{Seed: 1, TTFT: time.Second, TimePerToken: 250 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(model)
	defer server.Close()
	for b.Loop() {
		report, err := Run(b.Context(), Plan{Target: server.URL, Model: modeltest.DefaultModel, MaxTokens: 20, Requests: 2000,
			Prompts: []workload.Prompt{workload.Ask("What is light?")}, Pacer: pace.Constant(1000)})
		if err != nil || report.Classes[analysis.OK] != 2000 {
			b.Fatal(report, err)
		}
		most := 0.0
		for _, i := range report.Series() {
			most = max(most, i.Active)
		}
		b.ReportMetric(most, "streams")
		b.ReportMetric(report.ITL.Quantile(0.5).Seconds()*1000, "itl-p50-ms")
		b.ReportMetric(report.Generator.CPU, "cpu")
	}
}
