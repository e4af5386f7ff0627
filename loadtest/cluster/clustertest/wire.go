package clustertest

import (
	"errors"
	"io"
	"net"
	"sync"
)

// wire is the connections of one worker, which can be cut or made silent.
type wire struct {
	mu    sync.Mutex
	conns []*wireConn
	bad   bool // no further connections
}

var errCut = errors.New("clustertest: the connection was cut")

// lay makes conn a connection of the wire.
func (w *wire) lay(conn net.Conn) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bad {
		_ = conn.Close()
		return nil, errCut
	}
	c := &wireConn{Conn: conn, quiet: make(chan struct{}), closed: make(chan struct{})}
	c.hush = sync.OnceFunc(func() { close(c.quiet) })
	c.end = sync.OnceFunc(func() { close(c.closed) })
	w.conns = append(w.conns, c)
	return c, nil
}

// cut closes the connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = true
	for _, c := range w.conns {
		_ = c.Close()
	}
}

// silence makes the connections lose all bytes, without an end.
func (w *wire) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = true
	for _, c := range w.conns {
		c.hush()
	}
}

// wireConn is a connection that may have become silent.
type wireConn struct {
	net.Conn
	quiet, closed chan struct{}
	hush, end     func()
}

func (c *wireConn) isQuiet() bool {
	select {
	case <-c.quiet:
		return true
	default:
		return false
	}
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.isQuiet() {
		<-c.closed
		return 0, io.EOF
	}
	return n, err
}

func (c *wireConn) Write(b []byte) (int, error) {
	if c.isQuiet() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *wireConn) Close() error {
	c.end()
	return c.Conn.Close()
}
