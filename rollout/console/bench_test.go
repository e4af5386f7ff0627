package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// still is a target whose traffic does not change.
type still struct{}

func (still) SetSplit(context.Context, strategies.Split) error { return nil }
func (still) Measure(*analysis.Recorder)                       {}

// watched returns a console over a rollout that waits, in real time, and a request of a viewer.
func watched(tb testing.TB) (*console.Console, func(viewer int) *http.Request) {
	tb.Helper()
	policy, err := access.NewPolicy(access.Grant{Role: "viewer", Actions: []rollout.Action{"read"}, Targets: []string{"*"}}, access.Grant{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}})
	if err != nil {
		tb.Fatal(err)
	}
	who, err := access.Header(access.HeaderOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		tb.Fatal(err)
	}
	store := new(memstore.Store)
	engine, err := rollout.Open(tb.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": still{}}, Authorize: policy.Authorize, Tick: time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { engine.Close() })
	changed := engine.Changed("chat")
	id, err := engine.Start(tb.Context(), plan(), ana)
	if err != nil {
		tb.Fatal(err)
	}
	<-changed
	if err := engine.Do(tb.Context(), id, strategies.Pause, ana); err != nil {
		tb.Fatal(err)
	}
	con, err := console.New(console.Config{Engine: engine, Store: store, Who: who, May: policy.Authorize})
	if err != nil {
		tb.Fatal(err)
	}
	return con, func(viewer int) *http.Request {
		r := httptest.NewRequest("GET", "http://localhost/chat", nil)
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("X-Forwarded-User", fmt.Sprintf("v%d", viewer))
		r.Header.Set("X-Forwarded-Groups", []string{"viewer", "sre"}[viewer%2])
		r.Header.Set("Accept-Encoding", "gzip")
		return r
	}
}

// discard is a writer of answers that keeps nothing.
type discard struct {
	h http.Header
	n int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { d.n += len(b); return len(b), nil }

// BenchmarkPage serves the page of a rollout whose state has not changed to viewers with the same
// rights, and for comparison the same bytes, prepared.
func BenchmarkPage(b *testing.B) {
	con, request := watched(b)
	rec := httptest.NewRecorder()
	con.ServeHTTP(rec, request(1))
	body := rec.Body.Bytes()
	prepared := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	for name, h := range map[string]http.Handler{"console": con, "prepared": prepared} {
		b.Run(name, func(b *testing.B) {
			requests := make([]*http.Request, 200)
			for i := range requests {
				requests[i] = request(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.ServeHTTP(&discard{h: make(http.Header)}, requests[i%len(requests)])
			}
		})
		b.Run(name+" over HTTP", func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			for i := 0; b.Loop(); i++ {
				r := request(i)
				r.RequestURI, r.URL.Host = "", server.Listener.Addr().String()
				resp, err := server.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				read(resp)
				resp.Body.Close()
			}
		})
	}
}
