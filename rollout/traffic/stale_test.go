package traffic_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// forgetful starts a server that closes connections that were idle, which the next
// request on one of them finds out, as it does on a long link. Each connection serves
// one to three requests before that. It returns its URL and how often that happened.
func forgetful(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	const document = `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`
	var closed atomic.Int64
	url := accept(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for left := 1 + rand.N(3); ; left-- {
			if _, err := in.Peek(1); err != nil {
				return
			}
			if left == 0 {
				closed.Add(1)
				return
			}
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(document), document)
		}
	})
	return url, &closed
}

// TestIdleConnectionsThatTheServerCloses: an inference that meets one is sent once
// more, on a new connection, and its caller does not notice.
func TestIdleConnectionsThatTheServerCloses(t *testing.T) {
	n := int64(3000)
	if testing.Short() {
		n = 500
	}
	for _, size := range []int{50, 300 << 10} {
		if size > 1000 {
			n /= 10
		}
		for _, shape := range []string{"handler", "transport"} {
			t.Run(fmt.Sprint(shape, " ", size), func(t *testing.T) {
				server, closed := forgetful(t)
				var bad atomic.Int64
				r, _ := newRouter(t, unreachable(t), server, func(c *traffic.Config) {
					c.NoFallback = true
					c.Observe = func(o analysis.Observation) {
						if o.Class != analysis.OK && bad.Add(1) < 5 {
							t.Errorf("%v (%s): %v", o.Class, o.Why, o.Err)
						}
					}
				})
				url, client := "http://models", &http.Client{Transport: r.RoundTripper()}
				if shape == "handler" {
					url, client = serve(t, r.ServeHTTP), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
					t.Cleanup(client.CloseIdleConnections)
				}
				body := []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("x", size) + `"}]}`)
				var left atomic.Int64
				left.Store(n)
				var wg sync.WaitGroup
				for range 32 {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							resp, err := client.Post(url+chat, "application/json", bytes.NewReader(body))
							if err != nil {
								t.Error(err)
								return
							}
							if got := read(resp); got.status != 200 || got.err != nil {
								t.Errorf("got %+v", got)
								return
							}
						}
					})
				}
				wg.Wait()
				s := armStats(t, r, "new")
				if s.Stale == 0 || closed.Load() == 0 || s.Stale < uint64(closed.Load()) {
					t.Errorf("%d were sent once more, the server closed %d connections", s.Stale, closed.Load())
				}
				if s.Requests != uint64(n) || bad.Load() != 0 {
					t.Errorf("%d requests of %d, %d not good", s.Requests, n, bad.Load())
				}
				t.Logf("%d requests, %d sent once more", s.Requests, s.Stale)
				idle(t, r)
			})
		}
	}
}

// TestAskedPlainly: inferences ask for no content coding and may be sent once more;
// a caller's own key is kept, and one that is not there is not invented.
func TestAskedPlainly(t *testing.T) {
	for _, tt := range []struct {
		path      string
		header    http.Header
		encoding  string
		key       string
		inference bool
	}{
		{chat, http.Header{}, "identity", "", true},
		{chat, http.Header{"Accept-Encoding": {"gzip, br"}}, "identity", "", true},
		{chat, http.Header{"Idempotency-Key": {"k"}}, "identity", "k", true},
		{"/v1/odd", http.Header{}, "", "", false},
		{"/v1/odd", http.Header{"Idempotency-Key": {"k"}}, "", "k", false},
	} {
		var got atomic.Pointer[http.Header]
		model := serve(t, func(w http.ResponseWriter, req *http.Request) {
			h := req.Header.Clone()
			got.Store(&h)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, says("Hello"))
		})
		r, _ := newRouter(t, unreachable(t), model, nil)
		for shape, client := range map[string]*http.Client{"handler": {Transport: &http.Transport{DisableCompression: true}}, "transport": {Transport: r.RoundTripper()}} {
			url := serve(t, r.ServeHTTP)
			req, _ := http.NewRequest(http.MethodPost, url+tt.path, strings.NewReader("{}"))
			req.Header = tt.header.Clone()
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			read(resp)
			h := *got.Load()
			if _, sent := h["Idempotency-Key"]; h.Get("Accept-Encoding") != tt.encoding || h.Get("Idempotency-Key") != tt.key || sent != (tt.key != "") {
				t.Errorf("%s %v, %s: the model got %v", tt.path, tt.header, shape, h)
			}
			if len(req.Header) != len(tt.header) {
				t.Errorf("%s %v, %s: the header of the request became %v", tt.path, tt.header, shape, req.Header)
			}
		}
	}
}
