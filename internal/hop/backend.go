package hop

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/serin-go/serin/internal/attempts"
)

// backend is a server with its idle connections.
type backend struct {
	origin
	t     *Transport
	addr  string
	tls   *tls.Config // nil for http
	other atomic.Bool // the server prefers HTTP/2, so that Fallback serves

	mu    sync.Mutex
	idle  []*conn     // in the order in which they became idle
	timer *time.Timer // closes what is idle for too long
	armed bool        // the timer runs
}

// newBackend returns the server of a request, or nil if a Transport does not serve it.
func (t *Transport) newBackend(o origin, req *http.Request) *backend {
	b := &backend{origin: o, t: t}
	name, port := req.URL.Hostname(), req.URL.Port()
	if !canPeek || name == "" || !plainHost(o.host) {
		return nil
	}
	switch o.scheme {
	case "http":
		b.addr = "80"
	case "https":
		b.addr = "443"
		b.tls = t.config.TLS.Clone()
		if b.tls.ServerName == "" {
			b.tls.ServerName = name
		}
	default:
		return nil
	}
	if port != "" {
		b.addr = port
	}
	b.addr = net.JoinHostPort(name, b.addr)
	// A Proxy is shown the URL alone, since the answer is kept.
	proxy, err := t.config.Proxy(&http.Request{Method: req.Method, URL: &url.URL{Scheme: o.scheme, Host: o.host}, Header: http.Header{}})
	if proxy != nil || err != nil {
		return nil
	}
	return b
}

// conn is a connection. It is used by one exchange at a time.
type conn struct {
	net.Conn          // that HTTP is spoken on
	link     net.Conn // below TLS, or the same
	backend  *backend
	state    *tls.ConnectionState
	reused   bool
	since    time.Time // when it became idle

	raw   syscall.RawConn // nil if the connection cannot be peeked at
	look  func(fd uintptr) bool
	quiet bool   // what look found
	abort func() // closes it, without waiting for TLS to say goodbye
}

// connect returns a connection for an exchange: the idle one that was used last,
// unless it must be fresh, or a new one. It returns nil if the server negotiates
// HTTP/2.
func (b *backend) connect(x *exchange, fresh bool) (*conn, error) {
	if x.trace != nil && x.trace.GetConn != nil {
		x.trace.GetConn(b.addr)
	}
	var c *conn
	if !fresh {
		c = b.take()
	}
	info := httptrace.GotConnInfo{Reused: c != nil, WasIdle: c != nil}
	if c == nil {
		var err error
		if c, err = b.dial(x.ctx, x.trace); c == nil {
			return nil, err
		}
	} else if x.trace != nil {
		info.IdleTime = time.Since(c.since)
	}
	if x.trace != nil && x.trace.GotConn != nil {
		info.Conn = c.Conn
		x.trace.GotConn(info)
	}
	return c, nil
}

// dial makes a connection. It returns nil without an error if the server negotiates
// HTTP/2.
func (b *backend) dial(ctx context.Context, trace *httptrace.ClientTrace) (*conn, error) {
	link, err := b.t.config.DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: link, link: link, backend: b, abort: func() { _ = link.Close() }}
	if s, ok := link.(syscall.Conn); ok {
		if c.raw, err = s.SyscallConn(); err != nil {
			c.raw = nil
		}
	}
	c.look = func(fd uintptr) bool {
		c.quiet = quiet(fd)
		return true // in no case wait
	}
	if b.tls == nil {
		return c, nil
	}
	secure := tls.Client(link, b.tls)
	c.Conn = secure
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	ctx, cancel := context.WithTimeout(ctx, b.t.config.HandshakeTimeout)
	defer cancel()
	err = secure.HandshakeContext(ctx)
	state := secure.ConnectionState()
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(state, err)
	}
	if err != nil {
		c.abort()
		return nil, &attempts.UnsentError{Err: err}
	}
	if state.NegotiatedProtocol == "h2" {
		b.other.Store(true)
		c.abort()
		return nil, nil
	}
	c.state = &state
	return c, nil
}

// longPast is a deadline that has passed.
var longPast = time.Unix(1, 0)

// clean reports whether an idle connection is open and nothing has been received on it.
func (c *conn) clean() bool {
	if c.raw == nil {
		return false
	}
	c.quiet = false
	if err := c.raw.Read(c.look); err != nil || !c.quiet {
		return false
	}
	if c.state == nil {
		return true
	}
	// TLS may hold bytes that it has received already.
	var one [1]byte
	if c.SetReadDeadline(longPast) != nil {
		return false
	}
	n, err := c.Read(one[:])
	timeout, ok := err.(net.Error)
	return n == 0 && ok && timeout.Timeout() && c.SetReadDeadline(time.Time{}) == nil
}

// take returns the idle connection that was used last, or nil.
func (b *backend) take() *conn {
	for {
		b.mu.Lock()
		n := len(b.idle) - 1
		if n < 0 {
			b.mu.Unlock()
			return nil
		}
		c := b.idle[n]
		b.idle[n] = nil
		b.idle = b.idle[:n]
		b.mu.Unlock()
		if c.clean() {
			c.reused = true
			return c
		}
		c.abort()
	}
}

// put keeps a connection for reuse.
func (b *backend) put(c *conn) error {
	if c.raw == nil {
		c.abort()
		return errNotPeeked
	}
	c.since = time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) >= b.t.config.MaxIdle {
		c.abort()
		return errTooManyIdle
	}
	b.idle = append(b.idle, c)
	if !b.armed {
		b.arm(b.t.config.IdleTimeout)
	}
	return nil
}

// arm starts the timer. The caller holds b.mu.
func (b *backend) arm(d time.Duration) {
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(d, b.expire)
		return
	}
	b.timer.Reset(d)
}

// expire closes the connections that have been idle for too long.
func (b *backend) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	limit := time.Now().Add(-b.t.config.IdleTimeout)
	n := 0
	for n < len(b.idle) && !b.idle[n].since.After(limit) {
		b.idle[n].abort()
		n++
	}
	b.idle = append(b.idle[:0], b.idle[n:]...)
	clear(b.idle[len(b.idle) : len(b.idle)+n])
	if len(b.idle) > 0 {
		b.arm(b.idle[0].since.Sub(limit))
	}
}

// closeIdle closes the idle connections.
func (b *backend) closeIdle() {
	b.mu.Lock()
	idle := b.idle
	b.idle, b.armed = nil, false
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	for _, c := range idle {
		c.abort()
	}
}
