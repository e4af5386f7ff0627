package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
)

// discard is a response that is not looked at.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkReady serves readiness with 1, 10 and 1,000 components, and while a check
// hangs, beside a handler that writes prepared bytes.
func BenchmarkReady(b *testing.B) {
	serve := func(b *testing.B, h http.Handler) {
		r, w := httptest.NewRequest(http.MethodGet, "/readyz", nil), &discard{make(http.Header)}
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, r)
		}
	}
	body, kind := []byte(`{"status":"pass"}`), []string{"application/health+json"}
	b.Run("prepared bytes", func(b *testing.B) {
		serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = kind
			_, _ = w.Write(body)
		}))
	})
	ready := func(b *testing.B, n int, hang bool) {
		c := health.Config{Components: []health.Component{{Name: "a", Check: gives(checks.Pass)}}}
		for i := 1; i < n; i++ {
			c.Components = append(c.Components, health.Component{Name: fmt.Sprint("c", i), Check: gives(checks.Pass)})
		}
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		if hang {
			c.Timeout = time.Millisecond
			c.Components = append(c.Components, health.Component{Name: "deaf", Matters: health.Warn, Check: checks.Func(func(context.Context) checks.Result {
				<-ctx.Done()
				return checks.Result{}
			})})
		}
		m, err := health.New(c)
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = m.Run(ctx) }()
		for r := range m.Watch(ctx) {
			if r.Ready.Opens() && (!hang || r.Components[len(r.Components)-1].State == "hung") {
				break
			}
		}
		serve(b, m.Ready())
	}
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("components %d", n), func(b *testing.B) { ready(b, n, false) })
	}
	b.Run("while a check hangs", func(b *testing.B) { ready(b, 10, true) })
}
