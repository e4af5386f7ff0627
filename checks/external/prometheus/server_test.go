package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/external"
	"github.com/serin-go/serin/internal/promtest"
)

// startServer starts a real Prometheus that scrapes an endpoint of this test.
func startServer(t *testing.T) *Source {
	t.Helper()
	var count atomic.Int64
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests := count.Add(1000) // at each scrape
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE requests_total counter\n")
		fmt.Fprintf(w, "requests_total{version=\"1.4.0\",code=\"200\"} %d\n", requests)
		fmt.Fprintf(w, "requests_total{version=\"1.5.0\",code=\"200\"} %d\n", requests*9/10)
		fmt.Fprintf(w, "requests_total{version=\"1.5.0\",code=\"500\"} %d\n", requests/10)
		fmt.Fprintf(w, "# TYPE queue gauge\nqueue{shard=\"0\"} 3\nqueue{shard=\"1\"} NaN\nqueue{shard=\"2\"} +Inf\n")
	}))
	t.Cleanup(metrics.Close)
	s, err := New(Config{Address: promtest.Start(t, metrics.URL)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually asks until the answer is good, since a server takes its time to
// start and to scrape twice.
func eventually(t *testing.T, s *Source, query string) []float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for {
		values, err := s.Query(ctx, query)
		if err == nil {
			return values
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: still no answer: %v", query, err)
		}
	}
}

func TestRealServer(t *testing.T) {
	s := startServer(t)
	eventually(t, s, `rate(requests_total{version="1.4.0"}[5s])`)
	t.Run("Conformance", func(t *testing.T) {
		checkstest.Source(t, func(*testing.T) (external.Source, checkstest.Queries) {
			return s, checkstest.Queries{Scalar: `scalar(vector(0.25))`, Series: `queue`, NoData: `no_such_metric`}
		})
	})
	for _, tt := range []struct {
		query string
		want  []float64
	}{
		{`scalar(vector(0.25))`, []float64{0.25}},
		{`vector(1)`, []float64{1}},
		{`sort_desc(queue{shard!="1"})`, []float64{math.Inf(1), 3}},
		{`queue{shard="1"}`, []float64{math.NaN()}},
		{`sum(rate(requests_total{version="1.5.0",code="500"}[5s])) / sum(rate(requests_total{version="1.5.0"}[5s]))`, []float64{0.1}},
		{`0 / sum(requests_total{code="200"} * 0)`, []float64{math.NaN()}},
	} {
		got, err := s.Query(t.Context(), tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-6, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
	}
	if v, err := s.Query(t.Context(), `queue{shard="0"}[1m]`); err != nil || len(v) < 2 || v[0] != 3 {
		t.Errorf("a range: %v, %v, want several times 3", v, err)
	}
	for query, is := range map[string]func(error) bool{
		`requests_total{version="9"}`: func(err error) bool { return errors.Is(err, external.ErrNoData) },
		`sum(`: func(err error) bool {
			var e *Error
			return errors.As(err, &e) && e.Status == 400 && e.Type == "bad_data"
		},
		`"text"`:             func(err error) bool { return strings.Contains(err.Error(), "have a string") },
		`queue + on() queue`: func(err error) bool { var e *Error; return errors.As(err, &e) && e.Status == 422 },
	} {
		if v, err := s.Query(t.Context(), query); err == nil || !is(err) {
			t.Errorf("%s: %v, %v", query, v, err)
		}
	}
	// The whole way: the candidate fails one request in ten.
	a, err := external.New(external.Config{Source: s, Metrics: []external.Metric{{
		Name: "errors of 1.5.0", Interval: 200 * time.Millisecond, Count: 5, FailureLimit: 1,
		Query:   `sum(rate(requests_total{version="1.5.0",code="500"}[5s])) / sum(rate(requests_total{version="1.5.0"}[5s]))`,
		Success: external.MustCondition("result[0] <= 0.05"),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if res := a.Check(t.Context()); res.Status != checks.Fail {
		t.Errorf("%v: %s %v, want fail", res.Status, res.Summary, res.Err)
	}
}
