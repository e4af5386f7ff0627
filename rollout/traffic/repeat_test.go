package traffic_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/hanguptest"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/cache"
	"github.com/serin-go/serin/rollout/traffic/replicas"
	"github.com/serin-go/serin/strategies"
)

// TestDeadlyRequests: a request that makes its server hang up is executed once if it
// has effects, and twice at most otherwise, whatever keys its caller sends, through
// whatever transport.
func TestDeadlyRequests(t *testing.T) {
	const mcp = `{"model":"m","input":"hi","tools":[{"type":"mcp","server_label":"x"}]}`
	backends := map[string]func(t *testing.T, url string) traffic.Backend{
		"URL": func(_ *testing.T, url string) traffic.Backend { return traffic.Backend{URL: url} },
		"http": func(_ *testing.T, url string) traffic.Backend {
			return traffic.Backend{URL: url, Transport: &http.Transport{MaxIdleConnsPerHost: hanguptest.Idle}}
		},
		"proxy": func(t *testing.T, url string) traffic.Backend {
			h, err := traffic.Proxy(url)
			if err != nil {
				t.Fatal(err)
			}
			return traffic.Backend{Handler: h}
		},
		"pool": func(t *testing.T, url string) traffic.Backend {
			p, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: url}, {URL: strings.Replace(url, "127.0.0.1", "localhost", 1)}}, Hedge: time.Minute, EjectAfter: -1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			return traffic.Backend{URL: "http://pool", Transport: p}
		},
	}
	backends["cache"] = func(t *testing.T, url string) traffic.Backend {
		remembered, err := cache.New(cache.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = remembered.Close() })
		return traffic.Backend{URL: url, Transport: remembered.Transport("old", &http.Transport{MaxIdleConnsPerHost: hanguptest.Idle})}
	}
	keys := map[string]http.Header{"no key": {}, "a key": {"Idempotency-Key": {"k"}}, "an X-key": {"X-Idempotency-Key": {"k"}}, "both": {"Idempotency-Key": {"k"}, "X-Idempotency-Key": {"k"}}}
	for _, tt := range []struct {
		name, path, body string
		most             func(backend string, h http.Header) int32
	}{
		{"server tools", "/v1/responses", mcp, func(string, http.Header) int32 { return 1 }},
		{"background", "/v1/responses", `{"input":"hi","background":true}`, func(string, http.Header) int32 { return 1 }},
		{"unknown", "/v1/odd", `{}`, func(string, http.Header) int32 { return 1 }},
		{"resource", "/v1/batches", `{}`, func(_ string, h http.Header) int32 {
			if h.Get("Idempotency-Key") != "" {
				return 2
			}
			return 1
		}},
		{"resource without a body", "/v1/batches/b/cancel", "", func(string, http.Header) int32 { return 1 }},
		{"inference", chat, `{"messages":[]}`, func(backend string, _ http.Header) int32 {
			if backend == "pool" {
				return 4
			}
			return 2
		}},
	} {
		for backend, arm := range backends {
			for key, header := range keys {
				for _, shape := range []string{"handler", "transport"} {
					if backend == "proxy" && shape == "transport" {
						continue
					}
					t.Run(tt.name+", "+backend+", "+key+", "+shape, func(t *testing.T) {
						url, executed := hanguptest.Server(t)
						r, _ := newRouter(t, unreachable(t), unreachable(t), func(c *traffic.Config) {
							c.Arms = map[string]traffic.Backend{"old": arm(t, url)}
							c.Split = strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}}}
						})
						send := func(method, path, body string) {
							req := httptest.NewRequest(method, "http://gateway"+path, strings.NewReader(body))
							if body == "" {
								req.Body = http.NoBody
							}
							req.Header = header.Clone()
							req.Header.Set("Content-Type", "application/json")
							req.Header.Set("Authorization", "Bearer ana") // a cache passes requests without an identity
							func() {
								defer func() { _ = recover() }() // how a handler breaks an answer off
								exchangeIn(t, r, shape, req)
							}()
						}
						var all sync.WaitGroup
						for range hanguptest.Idle {
							all.Go(func() { send("GET", "/v1/models", "") })
						}
						all.Wait()
						send("POST", tt.path, tt.body)
						most := tt.most(backend, header)
						if backend == "cache" && (tt.name == "inference" || strings.HasPrefix(tt.name, "resource")) {
							most = 1 + hanguptest.Idle // by the transport of the configuration below it
						}
						if n := executed.Load(); n < 1 || n > most {
							t.Errorf("executed %d times, at most %d may be", n, most)
						}
					})
				}
			}
		}
	}
}

// TestKeysStay: a caller's idempotency key goes to the server that is asked first and
// to no other one.
func TestKeysStay(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		old, new, copied := &seen{}, &seen{status: 500}, &seen{}
		r, _ := newRouter(t, serve(t, old.ServeHTTP), serve(t, new.ServeHTTP), func(c *traffic.Config) {
			c.Arms["copy"] = traffic.Backend{URL: serve(t, copied.ServeHTTP)}
			c.Split = split(7, strategies.Full)
			c.Split.Arms = append(c.Split.Arms, strategies.Arm{Name: "copy"})
			c.Split.Mirrors = []strategies.Mirror{{Arm: "copy", Share: strategies.Full}}
		})
		req := httptest.NewRequest("POST", "http://gateway"+chat, strings.NewReader(`{"messages":[]}`))
		req.Header.Set("Idempotency-Key", "k")
		req.Header.Set("X-Idempotency-Key", "k")
		if status := exchangeIn(t, r, shape, req); status != 200 {
			t.Fatalf("%s: status %d", shape, status)
		}
		waitFor(t, func() bool { return copied.count() == 1 })
		for name, s := range map[string]*seen{"new": new, "old": old, "copy": copied} {
			got, _ := s.last(t)
			has := got.Header.Get("Idempotency-Key")+got.Header.Get("X-Idempotency-Key") != ""
			if has != (name == "new") {
				t.Errorf("%s: %s was sent a key: %t", shape, name, has)
			}
		}
	}
}

// TestNoFallbackWithoutItsModel: a body in which the baseline's model cannot be set is
// not sent to the baseline, and the caller has the candidate's answer.
func TestNoFallbackWithoutItsModel(t *testing.T) {
	for _, shape := range []string{"handler", "transport"} {
		old := &seen{}
		url := serve(t, old.ServeHTTP)
		r, _ := newRouter(t, url, serve(t, refuses(418)), func(c *traffic.Config) {
			c.Arms["old"] = traffic.Backend{URL: url, Model: "m-1"}
		})
		req := httptest.NewRequest("POST", "http://gateway/v1/audio/transcriptions", strings.NewReader("RIFF"))
		req.Header.Set("Content-Type", "audio/wav")
		if status := exchangeIn(t, r, shape, req); status != 418 || old.count() != 0 {
			t.Errorf("%s: status %d, the baseline was asked %d times", shape, status, old.count())
		}
	}
}

// TestCopiesAreNotKept: a copy of a request to the responses interface asks the server
// not to keep its answer.
func TestCopiesAreNotKept(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"m", "input":"hi"}`:               `{"model":"m", "input":"hi","store":false}`,
		`{"store":true,"input":"hi"}`:               `{"store":false,"input":"hi"}`,
		`{"st\u006fre" : null, "input":"hi"}`:       `{"st\u006fre" : false, "input":"hi"}`,
		`{}`:                                        `{"store":false}`,
		`{"store":false,"input":"hi","store":true}`: `{"store":false,"input":"hi","store":false}`,
	} {
		new := &seen{}
		r, _ := newRouter(t, serve(t, good), serve(t, new.ServeHTTP), func(c *traffic.Config) { c.Split = mirrored(strategies.Full) })
		exchangeIn(t, r, "handler", httptest.NewRequest("POST", "http://gateway/v1/responses", strings.NewReader(body)))
		waitFor(t, func() bool { return new.count() == 1 })
		if _, got := new.last(t); got != want {
			t.Errorf("the copy of %s is %s, want %s", body, got, want)
		}
	}
}
