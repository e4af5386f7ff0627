package hop_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "run the long form of tests: 10,000 cancelled requests")

var errChanged = errors.New("the caller has changed its mind")

// TestCancelledAtRandom: requests that are cancelled at any instant end with the
// reason or whole, and no answer reaches another request.
func TestCancelledAtRandom(t *testing.T) {
	total := int64(600)
	if *long {
		total = 10_000
	}
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			req, body, asked := take(in)
			if !asked {
				return
			}
			id := req.Header.Get("X-Id")
			if string(body) != id+strings.Repeat("x", len(body)-len(id)) {
				t.Errorf("request %s has body %.20q", id, body)
			}
			if len(body)%2 == 0 {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n%[1]s", id, len(id))
				continue
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nTransfer-Encoding: chunked\r\n\r\n", id)
			for i := range id {
				fmt.Fprintf(c, "1\r\n%s\r\n", id[i:i+1])
			}
			if _, err := io.WriteString(c, "0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	rt := newClient(t)
	var next, whole, cancelled atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > total {
					return
				}
				id := fmt.Sprintf("%08d", n)
				req := post(t, s.url, id+strings.Repeat("x", rand.N(50_000)))
				ctx, cancel := context.WithCancelCause(req.Context())
				give := func() { cancel(errChanged) }
				trace := &httptrace.ClientTrace{}
				at := rand.N(10)
				turns := rand.N(300)
				switch at {
				case 0:
					trace.GotConn = func(httptrace.GotConnInfo) { give() }
				case 1:
					trace.WroteRequest = func(httptrace.WroteRequestInfo) { give() }
				case 2:
					trace.GotFirstResponseByte = give
				case 3, 4, 5, 6, 7:
					wg.Go(func() {
						for range turns {
							runtime.Gosched()
						}
						give()
					})
				}
				req = req.WithContext(httptrace.WithClientTrace(ctx, trace))
				req.Header.Set("X-Id", id)
				resp, err := rt.RoundTrip(req)
				var body []byte
				if err == nil {
					if got := resp.Header.Get("X-Id"); got != id {
						t.Errorf("request %s got the answer of %s", id, got)
					}
					if at == 8 {
						give()
					}
					body, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				switch {
				case err == nil && string(body) == id:
					whole.Add(1)
				case err == errChanged && ctx.Err() != nil && strings.HasPrefix(id, string(body)):
					cancelled.Add(1)
				default:
					t.Errorf("request %s: got %q, %v", id, body, err)
				}
				cancel(nil)
			}
		})
	}
	wg.Wait()
	t.Logf("%d cancelled, %d whole, %d connections", cancelled.Load(), whole.Load(), s.conns.Load())
	if cancelled.Load() == 0 || whole.Load() == 0 {
		t.Error("nothing was cancelled, or everything")
	}
}

// TestCancelledWithoutRead: the server sees that a request is cancelled although its
// caller is not reading the answer, or waits for it.
func TestCancelledWithoutRead(t *testing.T) {
	seen := make(chan time.Time, 1)
	s := serve(t, func(n int64, c net.Conn, in *bufio.Reader) {
		if req, _, _ := take(in); req.URL.Path == "/answered" {
			_, _ = io.WriteString(c, chunkedBody("1\r\na\r\n"))
		}
		gone(in)
		seen <- time.Now()
	})
	rt := newClient(t)
	for _, path := range []string{"/answered", "/waiting"} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errChanged)
		if path == "/waiting" {
			ctx, cancel = context.WithCancel(t.Context())
		}
		req := post(t, s.url+path, "{}")
		var at time.Time
		var resp *http.Response
		var err error
		if path == "/waiting" {
			req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { at = time.Now(); cancel() },
			}))
			if _, err = rt.RoundTrip(req); err != context.Canceled {
				t.Errorf("waiting: %v", err)
			}
		} else {
			if resp, err = rt.RoundTrip(req.WithContext(ctx)); err != nil {
				t.Fatal(err)
			}
			at = time.Now()
			cancel()
		}
		t.Logf("%s: the server saw it after %v", path, (<-seen).Sub(at))
		if resp != nil {
			if _, err := io.ReadAll(resp.Body); err != context.Canceled {
				t.Errorf("reading afterwards: %v", err)
			}
		}
	}
}

// TestDeadline: a deadline ends a request as net/http says it.
func TestDeadline(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) { gone(in) })
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(time.Millisecond))
		g := ask(newClient(t), post(t, s.url, "{}").WithContext(ctx))
		if !errors.Is(g.err, context.DeadlineExceeded) {
			t.Errorf("got %+v", g)
		}
		cancel()
	}
}
