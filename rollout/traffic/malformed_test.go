package traffic_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
)

// connectionLog counts connections, and says when one has ended.
type connectionLog struct {
	opened atomic.Int64
	ended  chan error
}

// answering starts a server that reads one request of a connection and answers it with the
// given bytes, and more requests in the same way. It counts its connections, and says when
// one was closed by its peer.
func answering(t testing.TB, response string) (url string, connections *connectionLog) {
	t.Helper()
	log := &connectionLog{ended: make(chan error, 100)}
	return accept(t, func(conn net.Conn) {
		log.opened.Add(1)
		in := bufio.NewReader(conn)
		for {
			req, err := http.ReadRequest(in)
			if err == nil {
				_, err = io.Copy(io.Discard, req.Body)
			}
			if err == nil {
				_, err = io.WriteString(conn, response)
			}
			if err != nil {
				log.ended <- err
				return
			}
		}
	}), log
}

// TestMalformed: an answer that is malformed or ambiguous is refused, is the version's
// fault, and costs its connection.
func TestMalformed(t *testing.T) {
	t.Setenv("SERIN_HOP", "") // net/http takes some of them
	const body = "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for name, tt := range map[string]struct {
		response string
		class    analysis.Class
	}{
		"two framings":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5" + body, analysis.Error},
		"two lengths":            {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", analysis.Error},
		"unknown coding":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked" + body, analysis.Error},
		"no status":              {"hello\r\n\r\n", analysis.Error},
		"folded header":          {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", analysis.Error},
		"protocol switched":      {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", analysis.Error},
		"chunk size ends in LF":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", analysis.Truncated},
		"chunk size with a sign": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", analysis.Truncated},
	} {
		t.Run(name, func(t *testing.T) {
			url, log := answering(t, tt.response)
			r, d := newRouter(t, url, url, func(c *traffic.Config) { c.Split = split(1, 0) })
			front := serve(t, r.ServeHTTP)
			client := &http.Client{Transport: r.RoundTripper()}
			for i, send := range []func() (*http.Response, error){
				func() (*http.Response, error) {
					return http.Post(front+chat, "application/json", strings.NewReader("{}"))
				},
				func() (*http.Response, error) {
					return client.Post("http://models"+chat, "application/json", strings.NewReader("{}"))
				},
			} {
				resp, err := send()
				if err == nil && resp.StatusCode == http.StatusOK {
					if a := read(resp); a.err == nil {
						t.Errorf("got %q, want an error", a.body)
					}
				} else if err == nil && resp.StatusCode != http.StatusBadGateway {
					t.Errorf("status %d, want 502", resp.StatusCode)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
				if o := d.wait(t, i+1)[i]; o.Class != tt.class || o.Why != "bad response" {
					t.Errorf("observed %v, %q", o.Class, o.Why)
				}
				<-log.ended
				if n := log.opened.Load(); n != int64(i+1) {
					t.Errorf("%d connections for %d requests", n, i+1)
				}
			}
			idle(t, r)
		})
	}
}

// TestBytesBehind: what stands behind an answer is not the next answer.
func TestBytesBehind(t *testing.T) {
	t.Setenv("SERIN_HOP", "") // net/http looks behind an answer when it is too late
	url, log := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	r, _ := newRouter(t, url, url, func(c *traffic.Config) { c.Split = split(1, 0) })
	for shape, send := range through(t, r) {
		for range 3 {
			if a := send("{}"); a.body != "0123456789" || a.status != http.StatusOK || a.err != nil {
				t.Errorf("%s: got %+v", shape, a)
			}
		}
	}
	if n := log.opened.Load(); n != 6 {
		t.Errorf("%d connections, want one for each of 6 requests", n)
	}
}
