package hop_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/attempts"
	"github.com/serin-go/serin/internal/hanguptest"
	"github.com/serin-go/serin/internal/hop"
)

// TestResending: a request that meets a connection which its server closes is sent once
// more if it may be, and only once.
func TestResending(t *testing.T) {
	for name, tt := range map[string]struct {
		method, body string
		header       http.Header
		change       func(*http.Request)
		want         int32
	}{
		"key without value": {"POST", "{}", http.Header{"Idempotency-Key": nil}, nil, 2},
		"key":               {"POST", "{}", http.Header{"Idempotency-Key": {"k"}}, nil, 2},
		"other key":         {"POST", "{}", http.Header{"X-Idempotency-Key": {"k"}}, nil, 2},
		"get":               {"GET", "", nil, nil, 2},
		"post":              {"POST", "{}", nil, nil, 1},
		"delete":            {"DELETE", "", nil, nil, 1},
		"key without body":  {"POST", "", http.Header{"Idempotency-Key": {"k"}}, nil, 1},
		"body only once": {"POST", "{}", http.Header{"Idempotency-Key": {"k"}}, func(r *http.Request) {
			r.Body, r.GetBody = held{r.Body}, nil
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			url, executed := hanguptest.Server(t)
			rt := newClient(t)
			var wg sync.WaitGroup
			for range hanguptest.Idle {
				wg.Go(func() {
					if g := ask(rt, post(t, url+"/v1/models", "{}")); g.err != nil {
						t.Error(g.err)
					}
				})
			}
			wg.Wait()
			req := request(tt.method, "/fatal", tt.body, tt.header, tt.change)
			req.URL.Host = url[len("http://"):]
			if g := ask(rt, req); g.err == nil {
				t.Errorf("got %+v", g)
			}
			if n := executed.Load(); n != tt.want {
				t.Errorf("sent %d times, want %d", n, tt.want)
			}
		})
	}
}

type held struct{ io.ReadCloser }

func (held) Held() {}

// TestFreshConnectionsAreNotSuspected: a server that hangs up on a new connection gets
// a request once.
func TestFreshConnectionsAreNotSuspected(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) { take(in) })
	if g := ask(newClient(t), get(t, s.url)); g.err != io.EOF || s.conns.Load() != 1 {
		t.Errorf("got %+v over %d connections", g, s.conns.Load())
	}
}

// TestBegunAnswersAreNotAskedForAgain: a request whose answer has begun is not sent
// once more, although it might be repeated.
func TestBegunAnswersAreNotAskedForAgain(t *testing.T) {
	var asked atomic.Int64
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		take(in)
		_, _ = io.WriteString(c, good)
		if _, _, again := take(in); again {
			asked.Add(1)
			_, _ = io.WriteString(c, "H")
		}
	})
	rt := newClient(t)
	if g := ask(rt, get(t, s.url)); g.err != nil {
		t.Fatal(g.err)
	}
	if g := ask(rt, get(t, s.url)); g.err != io.ErrUnexpectedEOF || asked.Load() != 1 || s.conns.Load() != 1 {
		t.Errorf("got %+v, asked %d times", g, asked.Load())
	}
}

// TestIdleConnectionsThatWereClosed: a request that may not be repeated does not fail
// either if the connection was closed before.
func TestIdleConnectionsThatWereClosed(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		take(in)
		_, _ = io.WriteString(c, good)
	})
	rt := newClient(t)
	for range 100 {
		if g := ask(rt, post(t, s.url, "{}")); g.err != nil {
			t.Fatal(g.err)
		}
		rt.received(t)
	}
	if n := s.conns.Load(); n != 100 {
		t.Errorf("%d connections", n)
	}
}

// TestLastInFirstOut: the connection that was used last is used next.
func TestLastInFirstOut(t *testing.T) {
	both := make(chan struct{})
	var waiting atomic.Int64
	s := serve(t, func(n int64, c net.Conn, in *bufio.Reader) {
		for {
			req, _, asked := take(in)
			if !asked {
				return
			}
			if req.URL.Path == "/both" {
				if waiting.Add(1) == 2 {
					close(both)
				}
				<-both
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		}
	})
	rt := newClient(t)
	var bodies [2]*http.Response
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			var err error
			if bodies[i], err = rt.RoundTrip(get(t, s.url+"/both")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, _ = io.ReadAll(bodies[0].Body)
	last, _ := io.ReadAll(bodies[1].Body)
	for range 5 {
		if g := ask(rt, get(t, s.url)); g.body != string(last) {
			t.Errorf("got connection %s, want %s", g.body, last)
		}
	}
}

// TestEarlyAnswer: a server that answers without reading a large request is heard.
func TestEarlyAnswer(t *testing.T) {
	for _, size := range []int{100, 20 << 10, 64 << 10, 16 << 20} {
		for _, closes := range []bool{true, false} {
			t.Run(fmt.Sprint(size, closes), func(t *testing.T) {
				read := make(chan struct{})
				s := serve(t, func(n int64, c net.Conn, in *bufio.Reader) {
					if _, err := in.ReadSlice('\n'); err != nil {
						return
					}
					answer := "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"
					if n > 1 {
						answer = strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1)
					}
					_, _ = io.WriteString(c, answer)
					if !closes {
						_, _ = io.Copy(io.Discard, in)
					}
					<-read
				})
				rt := newClient(t)
				for range 2 {
					req, released := post(t, s.url, strings.Repeat("x", size)), false
					req.Body = &closing{req.Body, &released}
					g := ask(rt, req)
					if g.status != 413 || g.body != "large" || g.err != nil || !released {
						t.Errorf("got %+v, the body was released: %t", g, released)
					}
					if size < 16<<20 || !closes {
						break // the server may have got it
					}
				}
				close(read)
				if n := s.conns.Load(); size == 16<<20 && n != 2 && closes {
					t.Errorf("%d connections, but no request was read", n)
				}
			})
		}
	}
}

// TestAnswerAfterBrokenWrite: what was answered before the connection broke counts.
func TestAnswerAfterBrokenWrite(t *testing.T) {
	closed := make(chan struct{})
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if _, err := in.ReadSlice('\n'); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		_ = c.(*net.TCPConn).CloseWrite()
		<-closed
	})
	rt := newClient(t)
	g := ask(rt, post(t, s.url, strings.Repeat("x", 32<<20)))
	close(closed)
	if g.status != 401 || g.body != "no" || g.err != nil {
		t.Errorf("got %+v", g)
	}
}

// TestCloseWhileReading: closing a body ends a read of it.
func TestCloseWhileReading(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		take(in)
		_, _ = io.WriteString(c, chunkedBody("1\r\na\r\n"))
		gone(in)
	})
	rt := newClient(t)
	for range 50 {
		resp, err := rt.RoundTrip(post(t, s.url, "{}"))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Error("the body is whole")
			}
		})
		_ = resp.Body.Close()
		wg.Wait()
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("reading a closed body: %v", err)
		}
	}
}

// TestTrace: hooks see what becomes of a request.
func TestTrace(t *testing.T) {
	s := once(t, good)
	rt := newClient(t)
	var log []string
	note := func(s string) { log = append(log, s) }
	trace := &httptrace.ClientTrace{
		GetConn:              func(string) { note("get") },
		GotConn:              func(i httptrace.GotConnInfo) { note(fmt.Sprint("got ", i.Reused, i.Conn != nil)) },
		WroteHeaders:         func() { note("headers") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { note(fmt.Sprint("request ", i.Err)) },
		GotFirstResponseByte: func() { note("first") },
		PutIdleConn:          func(err error) { note(fmt.Sprint("put ", err)) },
	}
	for range 2 {
		req := post(t, s.url, "{}")
		if g := ask(rt, req.WithContext(httptrace.WithClientTrace(req.Context(), trace))); g.err != nil {
			t.Fatal(g.err)
		}
	}
	const want = "get|got false true|headers|request <nil>|first|put <nil>|get|got true true|headers|request <nil>|first|put <nil>"
	if got := strings.Join(log, "|"); got != want {
		t.Errorf("got %s", got)
	}
}

// TestUnsent: what did not reach a server says so, as net/http's errors do.
func TestUnsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	rt := newClient(t)
	if g := ask(rt, post(t, "http://"+l.Addr().String(), "{}")); !attempts.Unsent(g.err) {
		t.Errorf("no server: %v", g.err)
	}
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) { _, _ = in.ReadByte() })
	if g := ask(rt, post(t, "https"+s.url[4:], "{}")); !attempts.Unsent(g.err) {
		t.Errorf("no handshake: %v", g.err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrNoProgress)
	sent := new(attempts.Sent)
	req := post(t, s.url, "{}")
	g := ask(rt, req.WithContext(attempts.With(ctx, counter{sent})))
	if !attempts.Unsent(g.err) || !errors.Is(g.err, io.ErrNoProgress) {
		t.Errorf("cancelled before: %v", g.err)
	}
	if g := ask(rt, post(t, s.url, "{}")); g.err == nil || attempts.Unsent(g.err) {
		t.Errorf("cut: %v", g.err)
	}
}

type counter struct{ *attempts.Sent }

func (counter) CountAttempt(bool, int) {}

// TestTLS: HTTP/1.1 over TLS is served here, HTTP/2 by the fallback.
func TestTLS(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprint("h2 ", h2), func(t *testing.T) {
			var conns sync.Map
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				conns.Store(req.RemoteAddr, true)
				body, _ := io.ReadAll(req.Body)
				fmt.Fprint(w, req.Proto, string(body))
			}))
			server.EnableHTTP2 = h2
			server.Config.ErrorLog = silent()
			server.StartTLS()
			defer server.Close()
			config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			config.NextProtos = nil
			plain := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
			var other atomic.Int64
			rt := hop.New(hop.Config{TLS: config, Proxy: direct, Fallback: counting{plain, &other}})
			defer rt.CloseIdleConnections()
			defer plain.CloseIdleConnections()
			body := strings.Repeat("x", 50<<10)
			for range 5 {
				want := "HTTP/1.1" + body
				if h2 {
					want = "HTTP/2.0" + body
				}
				resp, err := rt.RoundTrip(post(t, server.URL, body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				if string(got) != want || err != nil || resp.TLS == nil {
					t.Errorf("got %.100q, %v", got, err)
				}
			}
			n := 0
			conns.Range(func(any, any) bool { n++; return true })
			if n != 1 || (other.Load() > 0) != h2 {
				t.Errorf("%d connections, %d requests over the fallback", n, other.Load())
			}
		})
	}
}

// TestDirtyTLS: bytes that TLS has received already count as received.
func TestDirtyTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	cert := server.TLS.Certificates
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	server.Close()
	s := serve(t, func(n int64, c net.Conn, _ *bufio.Reader) {
		secure := tls.Server(c, &tls.Config{Certificates: cert})
		in := bufio.NewReader(secure)
		if n > 1 {
			repeat(secure, in, good)
			return
		}
		take(in)
		_, _ = io.WriteString(secure, ok+"Content-Length: 9000\r\n\r\n"+strings.Repeat("x", 9000)+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		gone(in)
	})
	config.NextProtos = nil
	rt := hop.New(hop.Config{TLS: config, Proxy: direct, Fallback: notReached{t}})
	defer rt.CloseIdleConnections()
	u := "https" + s.url[4:]
	resp, err := rt.RoundTrip(post(t, u, "{}"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(resp.Body, make([]byte, 9000)); err != nil {
		t.Fatal(n, err)
	}
	if g := ask(rt, post(t, u, "{}")); g.body != "{}" || g.err != nil {
		t.Errorf("got %+v", g)
	}
}

// counting is a fallback that counts.
type counting struct {
	http.RoundTripper
	n *atomic.Int64
}

func (c counting) RoundTrip(req *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(req)
}

// TestFallback: what is not served takes the fallback, untouched.
func TestFallback(t *testing.T) {
	u := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.URL, _ = url.Parse(s) }
	}
	for name, req := range map[string]*http.Request{
		"upgrade":         request("GET", "/", "", http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}}, nil),
		"connect":         request("CONNECT", "/", "", nil, nil),
		"expect":          request("POST", "/", "{}", http.Header{"Expect": {"200-ok"}}, nil),
		"expect two":      request("POST", "/", "{}", http.Header{"Expect": {"100-continue", "x"}}, nil),
		"unknown length":  request("POST", "/", "{}", nil, func(r *http.Request) { r.ContentLength = -1 }),
		"zero length":     request("POST", "/", "{}", nil, func(r *http.Request) { r.ContentLength = 0 }),
		"length, no body": request("POST", "/", "", nil, func(r *http.Request) { r.ContentLength = 5 }),
		"not held":        request("POST", "/", "{}", nil, func(r *http.Request) { r.GetBody = nil }),
		"chunked":         request("POST", "/", "{}", nil, func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }),
		"trailer":         request("POST", "/", "{}", nil, func(r *http.Request) { r.Trailer = http.Header{"X": nil} }),
		"no header":       request("GET", "/", "", nil, func(r *http.Request) { r.Header = nil }),
		"no URL":          request("GET", "/", "", nil, func(r *http.Request) { r.URL = nil }),
		"no host":         request("GET", "/", "", nil, u("http:///")),
		"zone":            request("GET", "/", "", nil, u("http://[fe80::1%25lo]:80/")),
		"idna":            request("GET", "/", "", nil, u("http://ä.test/")),
		"host":            request("GET", "/", "", nil, func(r *http.Request) { r.Host = "a b" }),
		"scheme":          request("GET", "/", "", nil, u("ftp://x/")),
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			rt := hop.New(hop.Config{Proxy: direct, Fallback: counting{refusing{req}, &n}})
			if _, err := rt.RoundTrip(req); err != errRefused || n.Load() != 1 {
				t.Errorf("%d requests over the fallback, %v", n.Load(), err)
			}
		})
	}
	proxied := hop.New(hop.Config{Fallback: refusing{}, Proxy: func(*http.Request) (*url.URL, error) { return url.Parse("http://proxy") }})
	if _, err := proxied.RoundTrip(request("GET", "/", "", nil, nil)); err != errRefused {
		t.Errorf("with a proxy: %v", err)
	}
}

var errRefused = errors.New("refused")

// refusing expects a request.
type refusing struct{ want *http.Request }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.want != nil && r.want != req {
		return nil, errors.New("another request")
	}
	return nil, errRefused
}

// TestIdleTimeout: idle connections are closed after a time, and when that is asked for.
func TestIdleTimeout(t *testing.T) {
	closed := make(chan struct{})
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		repeat(c, in, good)
		closed <- struct{}{}
	})
	restore := hop.SetIdle(1, time.Millisecond)
	short := newClient(t)
	for range 3 {
		if g := ask(short, post(t, s.url, "{}")); g.err != nil {
			t.Fatal(g.err)
		}
		<-closed
	}
	restore()
	long := newClient(t)
	if g := ask(long, post(t, s.url, "{}")); g.err != nil {
		t.Fatal(g.err)
	}
	long.CloseIdleConnections()
	<-closed
	if g := ask(long, post(t, s.url, "{}")); g.err != nil {
		t.Error(g.err)
	}
	long.CloseIdleConnections()
	<-closed

	defer hop.SetIdle(1, time.Hour)()
	few := newClient(t)
	resp, err := few.RoundTrip(get(t, s.url))
	if err != nil {
		t.Fatal(err)
	}
	if g := ask(few, get(t, s.url)); g.err != nil {
		t.Fatal(g.err)
	}
	_, _ = io.ReadAll(resp.Body)
	<-closed
	few.CloseIdleConnections()
	<-closed
}

// TestBodiesAreClosed: the body of a request is closed, however the request ends.
func TestBodiesAreClosed(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if req, _, asked := take(in); asked && req.URL.Path == "/good" {
			_, _ = io.WriteString(c, good)
		}
	})
	for _, target := range []string{s.url, s.url + "/good", "http://127.0.0.1:1"} {
		for _, size := range []int{2, 20 << 10, 100 << 10} {
			done := make(chan struct{})
			req := post(t, target, strings.Repeat("x", size))
			req.Body = &signalling{Reader: bytes.NewReader(bytes.Repeat([]byte("x"), size)), done: done}
			_ = ask(newClient(t), req)
			<-done
		}
	}
}

type signalling struct {
	io.Reader
	done chan struct{}
	once sync.Once
}

func (s *signalling) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}
