package hop

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
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
	// DialContext connects to a server. If nil, a [net.Dialer] with 5 s and a keep-alive
	// of 30 s is used. Connections that are not a [syscall.Conn] are not reused.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS configures TLS; its NextProtos are replaced. If nil, the zero Config is used.
	TLS *tls.Config
	// MaxHeaderBytes bounds the header of an answer. Default 64 KiB.
	MaxHeaderBytes int
}

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	keepAlive        = 30 * time.Second
	maxHeaderBytes   = 64 << 10
)

// Variables for tests.
var (
	idleTimeout = 90 * time.Second // of a connection
	maxIdle     = 4096             // connections to a server
)

// Held is an optional interface for the Body of a request without GetBody. A body
// that implements it is in memory, so that reading it never waits.
type Held interface{ Held() }

// Transport is an [http.RoundTripper]. It may be used by several goroutines, and is
// meant for a small number of servers: it never forgets one.
type Transport struct {
	config   Config
	mu       sync.Mutex
	backends map[origin]*backend
}

// origin names a server.
type origin struct{ scheme, host string }

// New returns a Transport.
func New(c Config) *Transport {
	if c.MaxHeaderBytes <= 0 {
		c.MaxHeaderBytes = maxHeaderBytes
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
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
			req = req.WithContext(ctx)
			req.Body = body
			return t.config.Fallback.RoundTrip(req)
		}
		if err = x.run(body); err == nil {
			return &x.resp, nil
		}
		if fresh || !x.resendable(err) {
			return nil, x.fault(err)
		}
		if body != nil && body != http.NoBody {
			if body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		*x = exchange{t: t, req: req, ctx: ctx, trace: x.trace}
	}
}

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // there is an error already
	}
}

// CloseIdleConnections closes the idle connections, also of Fallback if it can do so.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.backends {
		for b != nil {
			c := b.pop()
			if c == nil {
				break
			}
			c.timer.Stop()
			c.close()
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
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known := t.backends[o]
	if !known {
		b = t.newBackend(o, req)
		t.backends[o] = b
	}
	return b
}

// serves reports whether a Transport sends req itself.
func serves(req *http.Request) bool {
	expect := req.Header["Expect"]
	switch {
	case len(req.TransferEncoding) > 0, len(req.Trailer) > 0, req.Method == http.MethodConnect, !plainHost(req.Host),
		req.Cancel != nil, //lint:ignore SA1019 net/http serves it
		req.Header == nil, req.Header["Upgrade"] != nil,
		len(expect) > 1, len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue"):
		return false
	case req.Body == nil, req.Body == http.NoBody:
		return req.ContentLength == 0
	}
	_, held := req.Body.(Held)
	return req.ContentLength > 0 && (held || req.GetBody != nil)
}
