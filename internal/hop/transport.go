package hop

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/internal/attempts"
)

// Config configures a [Transport]. Only Fallback is required.
type Config struct {
	// Fallback sends the requests that the Transport does not serve.
	Fallback http.RoundTripper
	// Proxy returns the proxy for a request, and is asked once for each server. A
	// server that has one is left to Fallback. If nil, [http.ProxyFromEnvironment] is
	// used.
	Proxy func(*http.Request) (*url.URL, error)
	// DialContext connects to a server. If nil, a [net.Dialer] with DialTimeout and a
	// keep-alive of 30 s is used. Connections that are not a [syscall.Conn] are not
	// reused.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds connecting, and HandshakeTimeout the TLS handshake. Default 5 s.
	DialTimeout, HandshakeTimeout time.Duration
	// TLS configures TLS; its NextProtos are replaced. If nil, the zero Config is used.
	TLS *tls.Config
	// IdleTimeout is how long an idle connection is kept. Default 90 s.
	IdleTimeout time.Duration
	// MaxIdle is how many idle connections to a server are kept. Default 4096.
	MaxIdle int
	// MaxHeaderBytes bounds the header of an answer. Default 64 KiB.
	MaxHeaderBytes int
}

func orDefault[T int | time.Duration](v, standard T) T {
	if v > 0 {
		return v
	}
	return standard
}

// Held is an optional interface for the Body of a request without GetBody. A body
// that implements it is in memory, so that reading it never waits.
type Held interface{ Held() }

// Transport is an [http.RoundTripper]. It may be used by several goroutines, and is
// meant for a small number of servers: it never forgets one.
type Transport struct {
	config   Config
	last     atomic.Pointer[backend] // used most recently
	mu       sync.Mutex
	backends map[origin]*backend
}

// origin names a server.
type origin struct{ scheme, host string }

// New returns a Transport.
func New(c Config) *Transport {
	c.DialTimeout = orDefault(c.DialTimeout, 5*time.Second)
	c.HandshakeTimeout = orDefault(c.HandshakeTimeout, 5*time.Second)
	c.IdleTimeout = orDefault(c.IdleTimeout, 90*time.Second)
	c.MaxIdle = orDefault(c.MaxIdle, 4096)
	c.MaxHeaderBytes = orDefault(c.MaxHeaderBytes, 64<<10)
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: c.DialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	if c.TLS = c.TLS.Clone(); c.TLS == nil {
		c.TLS = &tls.Config{}
	}
	c.TLS.NextProtos = []string{"h2", "http/1.1"}
	return &Transport{config: c, backends: make(map[origin]*backend)}
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	b := t.backend(req)
	if b == nil || b.other.Load() || !serves(req) {
		return t.config.Fallback.RoundTrip(req)
	}
	ctx := req.Context()
	if ctx.Err() != nil {
		closeBody(req.Body)
		return nil, attempts.Unsought(ctx, context.Cause(ctx))
	}
	x := &exchange{t: t, req: req, ctx: ctx, trace: httptrace.ContextClientTrace(ctx)}
	body := req.Body
	for fresh := false; ; fresh = true {
		var err error
		if x.c, err = b.connect(x, fresh); err != nil {
			closeBody(body)
			return nil, x.fault(err)
		}
		if x.c == nil { // the server prefers HTTP/2
			return t.config.Fallback.RoundTrip(withBody(req, body))
		}
		if err = x.run(body); err == nil {
			return &x.resp, nil
		}
		if fresh || !x.resendable(err) {
			return nil, x.fault(err)
		}
		again := body
		if body != nil && body != http.NoBody {
			if again, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		body = again
		*x = exchange{t: t, req: req, ctx: ctx, trace: x.trace}
	}
}

// withBody returns req with the given body.
func withBody(req *http.Request, body io.ReadCloser) *http.Request {
	if body == req.Body {
		return req
	}
	req = req.WithContext(req.Context())
	req.Body = body
	return req
}

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // there is an error already
	}
}

// CloseIdleConnections closes the connections that are idle, and those of Fallback if
// it can do so.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	backends := slices.Collect(maps.Values(t.backends))
	t.mu.Unlock()
	for _, b := range backends {
		if b != nil {
			b.closeIdle()
		}
	}
	if f, ok := t.config.Fallback.(interface{ CloseIdleConnections() }); ok {
		f.CloseIdleConnections()
	}
}

// backend returns the server of a request, or nil if a Transport does not serve it.
func (t *Transport) backend(req *http.Request) *backend {
	if req.URL == nil {
		return nil
	}
	o := origin{req.URL.Scheme, req.URL.Host}
	if b := t.last.Load(); b != nil && b.origin == o {
		return b
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known := t.backends[o]
	if !known {
		b = t.newBackend(o, req)
		t.backends[o] = b
	}
	if b != nil {
		t.last.Store(b)
	}
	return b
}

// serves reports whether a Transport sends req itself.
func serves(req *http.Request) bool {
	switch {
	case len(req.TransferEncoding) > 0, len(req.Trailer) > 0, req.Method == http.MethodConnect:
		return false
	case req.Cancel != nil: //nolint:staticcheck // deprecated, but net/http serves it
		return false
	case req.Header == nil || req.Header["Upgrade"] != nil:
		return false
	}
	if !plainHost(req.Host) {
		return false
	}
	if expect := req.Header["Expect"]; len(expect) > 1 || len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue") {
		return false
	}
	if req.Body == nil || req.Body == http.NoBody {
		return req.ContentLength == 0
	}
	if req.ContentLength <= 0 {
		return false
	}
	_, held := req.Body.(Held)
	return held || req.GetBody != nil
}
