package traffic_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

var unit = "user-6b1f3f0e-4cf3-4d0c-9a51-0a7f1c2d3e4f"

func BenchmarkAssign(b *testing.B) {
	r, _ := newRouter(b, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) {
		c.Split, c.Observe = split(1, 500), nil
	})
	ctx := context.Background()
	b.Run("xxhash alone", func(b *testing.B) {
		b.ReportAllocs()
		var sum uint64
		for b.Loop() {
			sum += xxhash.Sum64String(unit)
		}
		_ = sum
	})
	b.Run("Assign and Done", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Assign(ctx, unit).Done(analysis.Observation{Class: analysis.OK})
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r.Assign(ctx, unit).Done(analysis.Observation{Class: analysis.OK})
			}
		})
	})
}

func TestAssignDoesNotAllocate(t *testing.T) {
	r, _ := newRouter(t, "http://a.invalid", "http://b.invalid", func(c *traffic.Config) { c.Observe = nil })
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { r.Assign(ctx, unit).Done(analysis.Observation{Class: analysis.OK}) }); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkHandler compares a router with a bare reverse proxy, in front of the
// same model, one request at a time.
func BenchmarkHandler(b *testing.B) {
	document := []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 50) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":50}}`)
	chunk := []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	models := []struct {
		name  string
		model http.HandlerFunc
	}{
		{"document", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
		}},
		{"stream of 64", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			flush := http.NewResponseController(w).Flush
			for range 64 {
				_, _ = w.Write(chunk)
				_ = flush()
			}
			_, _ = io.WriteString(w, finish+done)
		}},
	}
	for _, m := range models {
		model := httptest.NewServer(m.model)
		b.Cleanup(model.Close)
		target, err := url.Parse(model.URL)
		if err != nil {
			b.Fatal(err)
		}
		bare := &httputil.ReverseProxy{
			Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
		}
		proxy, err := traffic.Proxy(model.URL)
		if err != nil {
			b.Fatal(err)
		}
		baseline, _ := newRouter(b, model.URL, model.URL, func(c *traffic.Config) { c.Observe, c.Split = nil, split(1, 0) })
		candidate, _ := newRouter(b, model.URL, model.URL, func(c *traffic.Config) { c.Observe = nil })
		for _, h := range []struct {
			name    string
			handler http.Handler
		}{{"direct", nil}, {"ReverseProxy", bare}, {"Proxy", proxy}, {"Router baseline", baseline}, {"Router candidate", candidate}} {
			address := model.URL
			if h.handler != nil {
				front := httptest.NewServer(h.handler)
				b.Cleanup(front.Close)
				address = front.URL
			}
			for _, parallel := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%s/at a time %d", m.name, h.name, parallel), func(b *testing.B) { ask64(b, address, parallel) })
			}
		}
	}
}

func ask64(b *testing.B, address string, parallel int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	body := []byte(`{"model":"chat","stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("x", 50) + `"}]}`)
	one := func() {
		resp, err := client.Post(address, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return
		}
		// A bare proxy breaks some of the streams off; that is not measured here.
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	one()
	b.ReportAllocs()
	b.ResetTimer()
	if parallel == 1 {
		for range b.N {
			one()
		}
		return
	}
	b.SetParallelism(parallel / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one()
		}
	})
}

// BenchmarkRoundTripper compares the router as a transport with the transport
// that it uses; no network takes part.
func BenchmarkRoundTripper(b *testing.B) {
	for _, s := range []struct {
		name, kind, body string
		size             int
		answer           string
	}{
		{"stream of 64", "text/event-stream", streaming, len(token(" word")), strings.Repeat(token(" word"), 64) + finish + done},
		{"document", "application/json", "{}", 4 << 10, `{"choices":[{"message":{"role":"assistant","content":"` + strings.Repeat("word ", 50) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":50}}`},
	} {
		under := roundTrip(func(r *http.Request) (*http.Response, error) {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {s.kind}}, ContentLength: int64(len(s.answer)),
				Body: &pieces{rest: []byte(s.answer), size: s.size},
			}, nil
		})
		arms := map[string]traffic.Backend{"old": {URL: "http://x.invalid", Transport: under}, "new": {URL: "http://x.invalid", Transport: under}}
		baseline, err := traffic.New(traffic.Config{Arms: arms, Split: split(1, 0)})
		if err != nil {
			b.Fatal(err)
		}
		candidate, err := traffic.New(traffic.Config{Arms: arms, Split: split(1, strategies.Full)})
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range []struct {
			name      string
			transport http.RoundTripper
		}{{"bare", under}, {"baseline", baseline.RoundTripper()}, {"candidate", candidate.RoundTripper()}} {
			b.Run(s.name+"/"+c.name, func(b *testing.B) {
				buf := make([]byte, 4<<10)
				b.ReportAllocs()
				for b.Loop() {
					// What a client does for each request, whatever carries it.
					req, err := http.NewRequestWithContext(b.Context(), "POST", "http://x.invalid"+chat, strings.NewReader(s.body))
					if err != nil {
						b.Fatal(err)
					}
					resp, err := c.transport.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					for err == nil {
						_, err = resp.Body.Read(buf)
					}
					_ = resp.Body.Close()
				}
			})
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// pieces gives its bytes out in pieces of one size.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) Close() error { return nil }
