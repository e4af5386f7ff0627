package peerbench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	peer "github.com/alexliesenfeld/health"
	hello "github.com/hellofresh/health-go/v5"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
)

// healthChecks is the number of passing checks behind each handler.
const healthChecks = 10

// BenchmarkHealth serves readiness with ten passing checks. alexliesenfeld/health runs them
// periodically, as we do; hellofresh/health-go runs them for each request.
func BenchmarkHealth(b *testing.B) {
	serve := func(b *testing.B, h http.Handler) {
		for { // until the first results are there
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil)); w.Code == http.StatusOK {
				break
			}
		}
		r := httptest.NewRequest(http.MethodGet, "/readyz", nil)
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	b.Run("prepared bytes", func(b *testing.B) {
		body := []byte(`{"status":"pass"}`)
		serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	})
	b.Run("serin", func(b *testing.B) {
		var c health.Config
		for i := range healthChecks {
			c.Components = append(c.Components, health.Component{Name: fmt.Sprint("c", i), Check: checks.Func(func(context.Context) checks.Result {
				return checks.Result{Status: checks.Pass}
			})})
		}
		m, err := health.New(c)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		go func() { _ = m.Run(ctx) }()
		serve(b, m.Ready())
	})
	b.Run("alexliesenfeld periodic", func(b *testing.B) {
		var options []peer.CheckerOption
		for i := range healthChecks {
			options = append(options, peer.WithPeriodicCheck(time.Minute, 0, peer.Check{
				Name: fmt.Sprint("c", i), Check: func(context.Context) error { return nil },
			}))
		}
		checker := peer.NewChecker(options...)
		defer checker.Stop()
		serve(b, peer.NewHandler(checker))
	})
	b.Run("hellofresh", func(b *testing.B) {
		h, err := hello.New()
		if err != nil {
			b.Fatal(err)
		}
		for i := range healthChecks {
			if err := h.Register(hello.Config{Name: fmt.Sprint("c", i), Timeout: time.Second, Check: func(context.Context) error { return nil }}); err != nil {
				b.Fatal(err)
			}
		}
		serve(b, h.Handler())
	})
}
