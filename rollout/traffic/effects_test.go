package traffic_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/replicas"
)

// TestControlRoutesAreClosed to callers, unless they are opened, and open to the
// service itself.
func TestControlRoutesAreClosed(t *testing.T) {
	for _, open := range []bool{false, true} {
		server := &seen{}
		url := serve(t, server.ServeHTTP)
		r, _ := newRouter(t, url, url, func(c *traffic.Config) { c.AllowControl = open })
		for _, route := range []struct{ method, path string }{{"POST", "/v1/sleep"}, {"DELETE", "/api/delete"}, {"POST", "/v1/load_lora_adapter"}, {"GET", "/v1/organization/users"}} {
			want, asked := http.StatusForbidden, 0
			if open {
				want, asked = http.StatusOK, 1
			}
			before := server.count()
			if status := exchangeIn(t, r, "handler", httptest.NewRequest(route.method, "http://gateway"+route.path, nil)); status != want || server.count()-before != asked {
				t.Errorf("%s %s, open %t: status %d after %d requests", route.method, route.path, open, status, server.count()-before)
			}
			if status := exchangeIn(t, r, "transport", httptest.NewRequest(route.method, "http://gateway"+route.path, nil)); status != http.StatusOK {
				t.Errorf("%s %s by the service itself: status %d", route.method, route.path, status)
			}
		}
		if n := r.Unserved()["control route"]; open != (n == 0) {
			t.Errorf("open %t: %d were refused", open, n)
		}
	}
}

// TestEffectsHappenOnce: a request with effects that a server has accepted is not
// sent again, whatever the server says then; one that no server has accepted is.
func TestEffectsHappenOnce(t *testing.T) {
	const mcp = `{"model":"m","input":"hi","stream":true,"tools":[{"type":"mcp","server_label":"x"}]}`
	const background = `{"model":"m","input":"hi","background":true}`
	streams := func(events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { stream(w, events...) }
	}
	for name, tt := range map[string]struct {
		path, body string
		candidate  http.HandlerFunc // nil is down
		want       int32            // requests that were accepted
	}{
		"batch, refused after acceptance": {"/v1/batches", `{}`, answersWith(502), 1},
		"tool, error in the stream":       {"/v1/responses", mcp, streams(limited), 1},
		"tool, hangs up":                  {"/v1/responses", mcp, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 1},
		"tool, refused":                   {"/v1/responses", mcp, answersWith(503), 2},
		"tool, down":                      {"/v1/responses", mcp, nil, 1},
		"background, page":                {"/v1/responses", background, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, 1},
		"no effects, error in the stream": {"/v1/responses", strings.ReplaceAll(mcp, "mcp", "function"), streams(limited), 2},
		"continued, error in the stream":  {"/v1/responses", `{"input":"hi","stream":true,"previous_response_id":"r"}`, streams(limited), 1},
		"unknown route, refused":          {"/v1/odd", `{}`, answersWith(503), 1},
		"unknown route, hangs up":         {"/v1/odd", `{}`, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 1},
		"training job, hangs up":          {"/v1/fine_tuning/jobs", `{}`, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 1},
	} {
		for _, shape := range []string{"handler", "transport"} {
			var accepted atomic.Int32
			count := func(h http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					accepted.Add(1)
					h(w, r)
				}
			}
			new := unreachable(t)
			if tt.candidate != nil {
				new = serve(t, count(tt.candidate))
			}
			r, _ := newRouter(t, serve(t, count(answersWith(200))), new, nil)
			req := httptest.NewRequest("POST", "http://gateway"+tt.path, strings.NewReader(tt.body))
			req.Header.Set("Content-Type", "application/json")
			func() {
				defer func() { _ = recover() }() // a server would cut the connection
				exchangeIn(t, r, shape, req)
			}()
			if n := accepted.Load(); n != tt.want {
				t.Errorf("%s, %s: %d requests were accepted, want %d", name, shape, n, tt.want)
			}
		}
	}
}

// TestToolsErrorReachesTheCaller: a failure behind the header of an answer with server
// tools is what the caller gets, in the words of the arm that was asked.
func TestToolsErrorReachesTheCaller(t *testing.T) {
	const mcp = `{"model":"m","input":"hi","stream":true,"tools":[{"type":"mcp","server_label":"x"}]}`
	arm := streamOf(limited)
	old := documentOf(says("x"))
	r, d := scripted(t, old, arm, nil)
	for shape, ask := range local(r) {
		if got := ask(t.Context(), "/v1/responses", mcp); got.status != 200 || got.body != limited || got.version != "new" || got.err != nil {
			t.Errorf("%s: %+v", shape, got)
		}
	}
	for _, o := range d.wait(t, 2) {
		if o.Class != analysis.Limited || o.Arm != "new" {
			t.Errorf("%+v", o)
		}
	}
	if arm.asked.Load() != 2 || old.asked.Load() != 0 {
		t.Errorf("asked %d times, the baseline %d times", arm.asked.Load(), old.asked.Load())
	}
}

// TestEffectsAreNotRepeatedByDrain: what an arm has accepted is not done by the baseline
// as well when the arm is drained before it has answered.
func TestEffectsAreNotRepeatedByDrain(t *testing.T) {
	for name, body := range map[string]string{
		"tools": `{"model":"m","input":"hi","tools":[{"type":"mcp","server_label":"x"}]}`, "background": `{"model":"m","input":"hi","background":true}`,
	} {
		for _, shape := range []string{"handler", "transport"} {
			synctest.Test(t, func(t *testing.T) {
				arm, old := &script{mute: true}, documentOf(says("x"))
				r, d := scripted(t, old, arm, func(c *traffic.Config) { c.Drain = -1 })
				time.AfterFunc(time.Second, func() {
					if err := r.SetSplit(context.Background(), split(8, 0)); err != nil {
						t.Error(err)
					}
				})
				got := local(r)[shape](t.Context(), "/v1/responses", body)
				if got.version == "old" || got.err == nil && got.status < 500 {
					t.Errorf("%s, %s: %+v", name, shape, got)
				}
				if o := d.one(t); o.Class != analysis.Cancelled || o.Arm != "new" {
					t.Errorf("%s, %s: %+v", name, shape, o)
				}
				if arm.asked.Load() != 1 || old.asked.Load() != 0 {
					t.Errorf("%s, %s: asked %d times, the baseline %d times", name, shape, arm.asked.Load(), old.asked.Load())
				}
			})
		}
	}
}

// TestResourcesHappenOnce: a server that has accepted a request about a resource, and
// then answers 502 or resets the connection, is the only one that is asked: be it the
// candidate or the baseline, by itself or in a pool of two.
func TestResourcesHappenOnce(t *testing.T) {
	for name, fail := range map[string]func(conn net.Conn){
		"502": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		},
		"reset": func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) },
	} {
		for _, path := range []string{"/v1/batches", "/v1/batches/batch_1/cancel", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/ftjob-1/cancel"} {
			for _, maker := range []string{"old", "new"} {
				for _, shape := range []string{"handler", "transport"} {
					var accepted atomic.Int32
					server := func() string {
						return accept(t, func(conn net.Conn) {
							req, err := http.ReadRequest(bufio.NewReader(conn))
							if err != nil {
								return
							}
							if _, err := io.Copy(io.Discard, req.Body); err == nil {
								accepted.Add(1)
								fail(conn)
							}
						})
					}
					pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: server()}, {URL: server()}}, Hedge: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					r, _ := newRouter(t, "http://pool", server(), func(c *traffic.Config) {
						c.Arms["old"] = traffic.Backend{URL: "http://pool", Transport: pool}
						c.Pins = madeBy(maker)
					})
					req := httptest.NewRequest(http.MethodPost, "http://gateway"+path, strings.NewReader("{}"))
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("{}")), nil }
					if status := exchangeIn(t, r, shape, req); status != http.StatusBadGateway && status != 0 {
						t.Errorf("%s, %s of %s, %s: status %d", name, path, maker, shape, status)
					}
					if n := accepted.Load(); n != 1 {
						t.Errorf("%s, %s of %s, %s: %d requests were accepted", name, path, maker, shape, n)
					}
					_ = pool.Close()
				}
			}
		}
	}
}

// answersWith answers with a status and an empty object.
func answersWith(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "{}")
	}
}
