// Package hanguptest has a server that hangs up on requests, for tests of what is sent
// again.
package hanguptest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Idle is how many idle connections there are to a [Server] that has answered.
const Idle = 8

// Server starts a server that answers requests for /v1/models once [Idle] of them have
// come, and hangs up on all other requests, which it counts. It ends with the test.
func Server(t testing.TB) (url string, executed *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	executed = new(atomic.Int32)
	var waiting atomic.Int32
	gather := make(chan struct{})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					if req.URL.Path != "/v1/models" {
						executed.Add(1)
						return
					}
					if waiting.Add(1) == Idle {
						close(gather)
					}
					<-gather
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			}()
		}
	}()
	return "http://" + l.Addr().String(), executed
}
