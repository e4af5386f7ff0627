package hop

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/serin-go/serin/internal/attempts"
)

// backend is a server with its idle connections.
type backend struct {
	t     *Transport
	addr  string
	tls   *tls.Config // nil for http
	other atomic.Bool // the server prefers HTTP/2, so that Fallback serves

	mu   sync.Mutex
	idle []*conn // in the order in which they became idle
}

// newBackend returns the server of a request, or nil if a Transport does not serve it.
func (t *Transport) newBackend(o origin, req *http.Request) *backend {
	b := &backend{t: t}
	name, port := req.URL.Hostname(), req.URL.Port()
	// A Proxy is shown the URL alone, since the answer is kept.
	proxy, err := t.config.Proxy(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: o.scheme, Host: o.host}, Header: http.Header{}})
	if !canPeek || name == "" || !plainHost(o.host) || proxy != nil || err != nil {
		return nil
	}
	switch o.scheme {
	case "http":
		port = cmp.Or(port, "80")
	case "https":
		port = cmp.Or(port, "443")
		b.tls = t.config.TLS.Clone()
		b.tls.ServerName = cmp.Or(b.tls.ServerName, name)
	default:
		return nil
	}
	b.addr = net.JoinHostPort(name, port)
	return b
}

// conn is a connection. It is used by one exchange at a time.
type conn struct {
	net.Conn // that HTTP is spoken on
	backend  *backend
	state    *tls.ConnectionState
	reused   bool
	since    time.Time   // when it became idle
	timer    *time.Timer // that closes it when it is idle

	raw   syscall.RawConn // nil if the connection cannot be peeked at
	look  func(fd uintptr) bool
	quiet bool   // what look found
	close func() // closes it without waiting for TLS to say goodbye
}

// connect returns a connection for an exchange: the idle one that was used last,
// unless it must be fresh, or a new one. It returns nil if the server negotiates
// HTTP/2.
func (b *backend) connect(x *exchange, fresh bool) (*conn, error) {
	trace := x.trace
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(b.addr)
	}
	var c *conn
	if !fresh {
		c = b.take()
	}
	if c == nil {
		var err error
		if c, err = b.dial(x.ctx); c == nil {
			return nil, err
		}
	}
	if trace != nil && trace.GotConn != nil {
		info := httptrace.GotConnInfo{Conn: c.Conn, Reused: c.reused, WasIdle: c.reused}
		if c.reused {
			info.IdleTime = time.Since(c.since)
		}
		trace.GotConn(info)
	}
	return c, nil
}

// dial makes a connection. It returns nil without an error if the server negotiates
// HTTP/2.
func (b *backend) dial(ctx context.Context) (*conn, error) {
	link, err := b.t.config.DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: link, backend: b, close: func() { _ = link.Close() }}
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
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		c.close()
		return nil, &attempts.UnsentError{Err: err}
	}
	state := secure.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		b.other.Store(true)
		c.close()
		return nil, nil
	}
	c.Conn, c.state = secure, &state
	return c, nil
}

// longPast is a deadline that has passed.
var longPast = time.Unix(1, 0)

// clean reports whether an idle connection is open and nothing has been received on it.
func (c *conn) clean() bool {
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
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(time.Time{}) == nil
}

// pop takes the idle connection that was used last, or nil.
func (b *backend) pop() *conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.idle) - 1
	if n < 0 {
		return nil
	}
	c := b.idle[n]
	b.idle[n], b.idle = nil, b.idle[:n]
	return c
}

// take returns the idle connection that was used last and may be used again, or nil.
func (b *backend) take() *conn {
	for {
		c := b.pop()
		if c == nil {
			return nil
		}
		if c.timer.Stop() && c.clean() {
			c.reused = true
			return c
		}
		c.close()
	}
}

// Why a connection is not kept, as [httptrace.ClientTrace.PutIdleConn] sees it.
var (
	errNotPeeked   = errors.New("hop: connection cannot be peeked at")
	errTooManyIdle = errors.New("hop: too many idle connections")
)

// put keeps a connection for reuse.
func (b *backend) put(c *conn) error {
	if c.raw == nil {
		c.close()
		return errNotPeeked
	}
	c.since = time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.idle) >= maxIdle {
		c.close()
		return errTooManyIdle
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(idleTimeout, c.close)
	} else {
		c.timer.Reset(idleTimeout)
	}
	b.idle = append(b.idle, c)
	return nil
}
