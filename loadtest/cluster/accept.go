package cluster

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// joinPath is the path at which workers join over HTTPS.
const joinPath = "/v1/join"

// Serve accepts workers that dial out from l until the coordinator is closed; then it
// returns nil. It does the handshake of each connection: the worker must have the token
// or, without a token, l must be a listener of package tls that has verified the worker's
// certificate. Refused workers are logged. A network with another way of connections has
// a listener of its own, such as package natscluster.
func (c *Coordinator) Serve(l net.Listener) error {
	c.mu.Lock()
	c.listeners = append(c.listeners, l)
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return l.Close()
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closed {
				return nil
			}
			return fmt.Errorf("cluster: cannot accept workers: %w", err)
		}
		select {
		case c.handshakes <- struct{}{}:
			go func() {
				defer func() { <-c.handshakes }()
				c.welcome(conn)
			}()
		case <-c.ctx.Done():
			_ = conn.Close() // the listener is closed, too
		}
	}
}

// ServeHTTP accepts workers over HTTPS with mutual TLS; see [Dial]. The server must
// verify the certificates of clients: its ClientAuth is
// [crypto/tls.RequireAndVerifyClientCert]. Other requests are refused.
func (c *Coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setVersion(w.Header())
	switch {
	case r.URL.Path != joinPath:
		refuse(w, http.StatusNotFound, "unknown path; workers join at "+joinPath)
		return
	case r.TLS == nil || len(r.TLS.VerifiedChains) == 0:
		refuse(w, http.StatusForbidden, "no client certificate that the server has verified")
		return
	case r.Method != http.MethodGet || r.Header.Get("Upgrade") != protocolName:
		w.Header().Set("Upgrade", protocolName)
		refuse(w, http.StatusUpgradeRequired, "want a GET request with the header Upgrade: "+protocolName)
		return
	}
	select {
	case c.handshakes <- struct{}{}:
		defer func() { <-c.handshakes }()
	default:
		refuse(w, http.StatusServiceUnavailable, "too many workers join at the same time")
		return
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", protocolName)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, http.StatusHTTPVersionNotSupported, "workers join by HTTP/1.1")
		return
	}
	_ = conn.SetDeadline(time.Time{}) // of the server
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %d\r\n\r\n", protocolName, versionName, protocolVersion)
	if err != nil {
		c.cfg.Logger.Warn("worker refused", "address", conn.RemoteAddr(), "error", err)
		_ = conn.Close()
		return
	}
	c.welcome(&hijacked{tlsConn{conn}, buffered.Reader})
}

// hijacked is a connection of a server of package http.
type hijacked struct {
	tlsConn
	in *bufio.Reader
}

func (h *hijacked) Read(b []byte) (int, error) { return h.in.Read(b) }

const (
	// maxJoined limits the workers that are connected, and those that join during one run.
	maxJoined = 1000
	// maxHandshakes limits the connections in a handshake.
	maxHandshakes = 128
)

// passingError is a refusal whose reason may pass.
type passingError struct{ why string }

func (e *passingError) Error() string { return "cluster: " + e.why }

// welcome does the handshake of a connection and adds the worker.
func (c *Coordinator) welcome(conn net.Conn) {
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTime)
	defer cancel()
	if err := c.greet(ctx, conn); err != nil {
		c.cfg.Logger.Warn("worker refused", "address", conn.RemoteAddr().String(), "error", err)
		_ = conn.Close()
	}
}

func (c *Coordinator) greet(ctx context.Context, conn net.Conn) error {
	if t, ok := conn.(interface{ HandshakeContext(context.Context) error }); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("cluster: handshake with a worker: %w", err)
		}
	}
	h, done := newHandshake(ctx, conn, "a worker", c.cfg.Token)
	defer done()
	var p *peer
	_, err := greetWorker(h, func(name string) (err error) {
		if err := c.allow(name, conn); err != nil {
			return err
		}
		p = &peer{name: name, url: "http://worker", gone: make(chan struct{})}
		return c.reserve(p)
	})
	if err == nil {
		err = c.attach(ctx, p, h.rest())
	}
	if err != nil && p != nil {
		c.remove(p)
	}
	return err
}

// allow returns an error if names are listed and the worker has another one. The name of
// a worker with a certificate is the name in the certificate.
func (c *Coordinator) allow(name string, conn net.Conn) error {
	names := []string{name}
	if state := tlsState(conn); state != nil && len(state.VerifiedChains) > 0 {
		names = certified(state.VerifiedChains[0][0])
	}
	if len(c.cfg.Names) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.cfg.Names, n) }) {
		return nil
	}
	return fmt.Errorf("cluster: worker %s: name is %q, want one of %q", name, names, c.cfg.Names)
}

// certified returns the names in a certificate: its DNS names, or else its common name.
func certified(cert *x509.Certificate) []string {
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames
	}
	return []string{cert.Subject.CommonName}
}

var errClosed = errors.New("cluster: the coordinator is closed")

// reserve adds p unless its name is taken, there are too many or the coordinator is closed.
func (c *Coordinator) reserve(p *peer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	if c.joined[p.name] != nil {
		return &passingError{"worker " + p.name + ": a worker of this name is connected"}
	}
	if len(c.joined) >= maxJoined {
		return &passingError{fmt.Sprintf("worker %s: %d workers are connected, which is the limit", p.name, maxJoined)}
	}
	c.joined[p.name] = p
	return nil
}

// remove forgets p, whose connection has ended.
func (c *Coordinator) remove(p *peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined[p.name] == p {
		delete(c.joined, p.name)
		close(p.gone)
		c.change()
	}
}

// attach makes the worker at the other end of conn available to runs.
func (c *Coordinator) attach(ctx context.Context, p *peer, conn net.Conn) error {
	watched := &watchedConn{Conn: conn, ended: sync.OnceFunc(func() {
		c.remove(p)
		c.cfg.Logger.Info("worker disconnected", "worker", p.name)
	})}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // on a connection that may be encrypted
	transport := &http.Transport{
		Protocols:   protocols,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: heartbeat, PingTimeout: c.cfg.Silence},
		DialContext: func(context.Context, string, string) (net.Conn, error) { return watched, nil },
	}
	http2, err := transport.NewClientConn(ctx, "http", "worker:80")
	if err != nil {
		return fmt.Errorf("cluster: worker %s: %w", p.name, err)
	}
	p.client = &http.Client{Transport: http2}
	p.close = func() { _ = watched.Close() }
	c.mu.Lock()
	if c.closed { // which ends the connections of those that were ready
		c.mu.Unlock()
		return errClosed
	}
	p.ready = true
	c.change()
	for r := range c.runs {
		go r.join(p)
	}
	c.mu.Unlock()
	c.cfg.Logger.Info("worker joined", "worker", p.name, "address", conn.RemoteAddr().String())
	return nil
}

// watchedConn calls ended when it is closed, which package http does when it breaks.
type watchedConn struct {
	net.Conn
	ended func()
}

func (w *watchedConn) Close() error {
	defer w.ended()
	return w.Conn.Close()
}
