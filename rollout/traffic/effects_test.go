package traffic_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/rollout/traffic"
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
			new := nobody(t)
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

// answersWith answers with a status and an empty object.
func answersWith(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "{}")
	}
}
