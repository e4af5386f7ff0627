package traffic_test

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// BenchmarkHandlerAlone compares the handler with a reverse proxy where no network
// takes part, which shows what the router itself costs.
func BenchmarkHandlerAlone(b *testing.B) {
	answer := `{"choices":[{"message":{"role":"assistant","content":"` + strings.Repeat("word ", 50) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":50}}`
	under := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return &http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(answer)),
			Body: &pieces{rest: []byte(answer), size: 4 << 10},
		}, nil
	})
	u := &url.URL{Scheme: "http", Host: "x.invalid"}
	arms := map[string]traffic.Backend{"old": {URL: u.String(), Transport: under}, "new": {URL: u.String(), Transport: under}}
	handlers := map[string]http.Handler{"ReverseProxy": &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() }, Transport: under, BufferPool: &pool{},
	}}
	for name, weight := range map[string]strategies.Weight{"baseline": 0, "candidate": strategies.Full} {
		r, err := traffic.New(traffic.Config{Arms: arms, Split: split(1, weight)})
		if err != nil {
			b.Fatal(err)
		}
		handlers[name] = r
	}
	for _, name := range []string{"ReverseProxy", "baseline", "candidate"} {
		b.Run(name, func(b *testing.B) {
			header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"x"}, "Accept-Encoding": {"gzip"}}
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://gateway/v1/chat/completions", io.NopCloser(strings.NewReader(`{"model":"chat"}`)))
				req.Header, req.ContentLength, req.RemoteAddr = header, 16, "10.0.0.1:1000"
				handlers[name].ServeHTTP(&discard{header: make(http.Header)}, req)
			}
		})
	}
}
