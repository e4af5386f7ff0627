//go:build unix

package hop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/hop"
)

// answers serves a raw answer to each request, in one write for each part, over as
// little code as possible.
func answers(tb testing.TB, parts ...string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					for _, p := range parts {
						if _, err := io.WriteString(c, p); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func standard() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4096,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

// processor returns the time of the processors that the process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRoundTrip compares a Transport with net/http's over the loopback, by the
// processor time of both ends together. The server of the benchmark is the same.
func BenchmarkRoundTrip(b *testing.B) {
	document := `{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`
	small := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 29 Nov 2026 22:00:00 GMT\r\nX-Request-Id: 5f0c\r\nContent-Length: %d\r\n\r\n%s", len(document), document)
	stream := []string{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nDate: Sun, 29 Nov 2026 22:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"}
	event := `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hello"}}]}` + "\n\n"
	for range 64 {
		stream = append(stream, fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
	}
	stream = append(stream, "0\r\n\r\n")
	for _, bm := range []struct {
		name  string
		parts []string
	}{{"json", []string{small}}, {"64 chunks", stream}, {"64 chunks at a time", []string{strings.Join(stream, "")}}} {
		for _, which := range []string{"net/http", "hop"} {
			b.Run(bm.name+"/"+which, func(b *testing.B) {
				url := answers(b, bm.parts...)
				var rt http.RoundTripper
				plain := standard()
				rt = plain
				if which == "hop" {
					h := hop.New(hop.Config{Fallback: plain})
					defer h.CloseIdleConnections()
					rt = h
				}
				defer plain.CloseIdleConnections()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				body := []byte(`{"model":"m","messages":[{"role":"user","content":"Hello"}]}`)
				buf := make([]byte, 32<<10)
				b.ReportAllocs()
				began := processor()
				for b.Loop() {
					req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
					req.Header["Content-Type"] = []string{"application/json"}
					req.Header["Authorization"] = []string{"Bearer abc"}
					req.Header["User-Agent"] = []string{"bench"}
					resp, err := rt.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					for err == nil {
						_, err = resp.Body.Read(buf)
					}
					if err != io.EOF {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processor()-began)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
