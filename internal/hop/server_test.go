package hop_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/serin-go/serin/internal/hop"
)

// server is a server whose connections a test serves itself.
type server struct {
	url   string
	conns atomic.Int64 // that were made
	open  sync.WaitGroup
}

// serve starts a server that has each connection served by f, with its number from 1
// on. The test ends when all connections are closed.
func serve(tb testing.TB, f func(n int64, c net.Conn, in *bufio.Reader)) *server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{url: "http://" + l.Addr().String()}
	s.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := s.conns.Add(1)
			s.open.Go(func() {
				defer c.Close()
				f(n, c, bufio.NewReader(c))
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		s.open.Wait()
	})
	return s
}

// take reads a request with its body, and reports whether there was one.
func take(in *bufio.Reader) (*http.Request, []byte, bool) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return nil, nil, false
	}
	body, err := io.ReadAll(req.Body)
	return req, body, err == nil
}

// gone waits until the client has closed its connection, and reports whether it had
// sent nothing before.
func gone(in *bufio.Reader) bool {
	n, _ := io.Copy(io.Discard, in)
	return n == 0
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// repeat answers all requests of a connection.
func repeat(c net.Conn, in *bufio.Reader, answer string) {
	for {
		if _, _, ok := take(in); !ok {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// client is a Transport that has no fallback, and the connection that it made last.
type client struct {
	*hop.Transport
	conn atomic.Pointer[net.TCPConn]
}

func newClient(tb testing.TB) *client {
	tb.Helper()
	c := &client{}
	c.Transport = hop.New(hop.Config{
		Fallback: notReached{tb},
		Proxy:    direct,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				c.conn.Store(conn.(*net.TCPConn))
			}
			return conn, err
		},
	})
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

// received waits until something has arrived on the connection that was made last, or
// it was closed.
func (c *client) received(tb testing.TB) {
	tb.Helper()
	raw, err := c.conn.Load().SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool { return !hop.Quiet(fd) })
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		tb.Fatal(err)
	}
}

// direct is a Proxy that finds none.
func direct(*http.Request) (*url.URL, error) { return nil, nil }

// notReached is a RoundTripper that is not used.
type notReached struct{ testing.TB }

func (n notReached) RoundTrip(req *http.Request) (*http.Response, error) {
	n.Errorf("%s %s took the fallback", req.Method, req.URL)
	return nil, http.ErrServerClosed
}

// got is what came back for a request.
type got struct {
	status  int
	body    string
	trailer http.Header
	err     error
}

func ask(rt http.RoundTripper, req *http.Request) got {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return got{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	return got{resp.StatusCode, string(body), resp.Trailer, err}
}

func post(tb testing.TB, url, body string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

func get(tb testing.TB, url string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

// why returns the reason for which an answer was refused, or "".
func why(err error) hop.Reason {
	var refused *hop.ResponseError
	if errors.As(err, &refused) {
		return refused.Why
	}
	return ""
}

func silent() *log.Logger { return log.New(io.Discard, "", 0) }
