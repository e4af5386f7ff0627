package loadtest

import (
	"net/http"
	"strings"
	"testing"
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
