package replicas_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// panicking is a transport that panics for one server: immediately, after a while, or
// when its answer is read or closed.
type panicking struct {
	host  string
	after time.Duration
	body  bool
}

func (p panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != p.host {
		return respond(200, "hello"), nil
	}
	time.Sleep(p.after)
	if !p.body {
		panic("transport")
	}
	resp := respond(200, "")
	resp.Body = panickingBody{}
	return resp, nil
}

type panickingBody struct{}

func (panickingBody) Read([]byte) (int, error) { panic("read") }
func (panickingBody) Close() error             { panic("close") }

// panickingLog is a handler of log records that panics.
type panickingLog struct{ slog.Handler }

func (panickingLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingLog) Handle(context.Context, slog.Record) error { panic("log") }

// TestHooksThatPanic: whatever function of the configuration panics, in whatever
// goroutine, the request is answered by another server and the panic is counted.
func TestHooksThatPanic(t *testing.T) {
	key := func(c *replicas.Config) {
		c.Policy = replicas.Affine
		c.Key = func(*http.Request) string { panic("key") }
	}
	for name, tt := range map[string]struct {
		transport panicking
		change    func(*replicas.Config)
		hook      string // that is counted
	}{
		"Transport":                    {panicking{host: "a"}, nil, "Transport"},
		"Transport, hedged":            {panicking{host: "a"}, func(c *replicas.Config) { c.Hedge = time.Second }, "Transport"},
		"Transport after the hedge":    {panicking{host: "a", after: 2 * time.Second}, func(c *replicas.Config) { c.Hedge = time.Second }, "Transport"},
		"body of the answer that lost": {panicking{host: "a", after: 2 * time.Second, body: true}, func(c *replicas.Config) { c.Hedge = time.Second }, "Transport"},
		"Key":                          {panicking{}, key, "Key"},
		"Key, hedged":                  {panicking{}, func(c *replicas.Config) { key(c); c.Hedge = time.Second }, "Key"},
		"Health, and the others are up": {panicking{}, func(c *replicas.Config) {
			c.Replicas[0].Health = checks.Func(func(context.Context) checks.Result { panic("health") })
		}, "Health"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := replicas.Config{
					Replicas:  []replicas.Replica{{URL: "http://a"}, {URL: "http://b"}},
					Transport: tt.transport, EjectAfter: -1, Logger: slog.New(panickingLog{slog.DiscardHandler}),
				}
				if tt.change != nil {
					tt.change(&cfg)
				}
				pool, err := replicas.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = pool.Close() }()
				for range 20 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://pool/", strings.NewReader("{}"))
					if err != nil {
						t.Fatal(err)
					}
					req.Header["Idempotency-Key"] = nil
					resp, err := pool.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil || string(body) != "hello" {
						t.Fatalf("the answer is %q, %v", body, err)
					}
					_ = resp.Body.Close()
					time.Sleep(3 * time.Second) // until the server that lost has answered
				}
				if pool.Panics()[tt.hook] == 0 {
					t.Errorf("panics %v, want some of %s", pool.Panics(), tt.hook)
				}
				for _, s := range pool.Stats() {
					if s.InFlight != 0 {
						t.Errorf("%s still serves %d requests", s.URL, s.InFlight)
					}
					if tt.hook == "Health" && s.URL == "http://a" && s.State != replicas.Sick {
						t.Errorf("a server whose check panics is %s", s.State)
					}
				}
			})
		})
	}
}
