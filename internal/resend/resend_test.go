package resend

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestResendOnce: a server that hangs up on a request gets it twice at most, however
// many idle connections there are, and once if it may not be repeated.
func TestResendOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		header http.Header
		want   int32
	}{
		"may be repeated":     {http.Header{"Idempotency-Key": nil}, 2},
		"may not be repeated": {http.Header{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var accepted atomic.Int32
			gather := make(chan struct{}) // closed when all connections are there
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			const idle = 8
			var waiting atomic.Int32
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						in := bufio.NewReader(conn)
						for {
							req, err := http.ReadRequest(in)
							if err != nil {
								return
							}
							_, _ = io.Copy(io.Discard, req.Body)
							if req.URL.Path == "/fatal" {
								accepted.Add(1)
								return
							}
							if waiting.Add(1) == idle {
								close(gather)
							}
							<-gather
							_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
						}
					}()
				}
			}()
			transport := New(&http.Transport{MaxIdleConnsPerHost: idle})
			defer transport.CloseIdleConnections()
			send := func(path string) error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+path, bytes.NewReader([]byte("{}")))
				if err != nil {
					return err
				}
				req.Header = tt.header.Clone()
				resp, err := transport.RoundTrip(req)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			}
			sent := make(chan error)
			for range idle {
				go func() { sent <- send("/") }()
			}
			for range idle {
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
			}
			if err := send("/fatal"); err == nil {
				t.Error("a request that is never answered succeeds")
			}
			if n := accepted.Load(); n != tt.want {
				t.Errorf("sent %d times, want %d", n, tt.want)
			}
		})
	}
}
