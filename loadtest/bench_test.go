package loadtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/tinylm"
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
	p.Pacer, p.Requests, p.Workers = Constant(maxRate), b.N, 2
	b.ReportAllocs()
	report, err := Run(b.Context(), p)
	if err != nil || report.Sent != b.N || report.Chunks != 64*b.N {
		b.Fatal(report, err)
	}
}

// BenchmarkShortResponses compares what one short request costs this package
// and vegeta's own attack, in processor time of the whole process, the server
// included: the differences are those of the clients.
func BenchmarkShortResponses(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	defer server.Close()
	const workers = 16
	b.Run("loadtest", func(b *testing.B) {
		began := processCPU()
		report, err := Run(b.Context(), Plan{Target: server.URL, Workload: HTTP("", "", nil), Pacer: Constant(maxRate), Requests: b.N, Workers: workers})
		if err != nil || report.Classes[analysis.OK] != b.N {
			b.Fatal(report, err)
		}
		b.ReportMetric((processCPU()-began)*1e6/float64(b.N), "cpu-µs/req")
	})
	b.Run("vegeta", func(b *testing.B) {
		began := processCPU()
		attacker := vegeta.NewAttacker(vegeta.MaxWorkers(workers), vegeta.Connections(workers), vegeta.MaxBody(0))
		pacer, release := newSchedule(b.Context(), Plan{Pacer: Constant(maxRate), Requests: b.N}, time.Now())
		defer release()
		var m vegeta.Metrics
		for r := range attacker.Attack(vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: server.URL}), pacer, 0, "") {
			pacer.take(r.Seq)
			m.Add(r)
		}
		m.Close()
		if m.Success != 1 || m.Requests != uint64(b.N) {
			b.Fatal(m.Requests, m.Success)
		}
		b.ReportMetric((processCPU()-began)*1e6/float64(b.N), "cpu-µs/req")
	})
}

// BenchmarkConcurrentStreams holds 2,000 streams at once, over loopback and with
// the server in the same process.
func BenchmarkConcurrentStreams(b *testing.B) {
	model, err := tinylm.New(tinylm.Config{Seed: 1, TTFT: time.Second, TimePerToken: 250 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(model)
	defer server.Close()
	for b.Loop() {
		report, err := Run(b.Context(), Plan{Target: server.URL, Model: tinylm.DefaultModel, MaxTokens: 20, Requests: 2000,
			Prompts: []Prompt{Ask("What is light?")}, Pacer: Constant(1000)})
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
