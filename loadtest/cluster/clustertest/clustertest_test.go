package clustertest

import (
	"context"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/serin-go/serin/loadtest/cluster"
)

// pipes is a listener of connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func connectPipes(t *testing.T, c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := c.Serve(p); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = c.Close() // the listener's errors
		wait.Wait()
	})
	return p.dial
}

func TestPipes(t *testing.T) { RunVirtual(t, connectPipes) }

// TestHTTP runs the suite with a coordinator that connects to its workers.
func TestHTTP(t *testing.T) {
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, dialIn)
		})
	}
}

func dialIn(t *testing.T, cfg cluster.Config, workers ...*cluster.Worker) *links {
	l := &links{}
	for _, w := range workers {
		wire := &wire{}
		l.wires = append(l.wires, wire)
		server := httptest.NewUnstartedServer(w)
		server.Listener = &wiredListener{server.Listener, wire}
		server.Start()
		t.Cleanup(func() {
			wire.cut()
			server.Close()
		})
		cfg.Workers = append(cfg.Workers, server.URL)
	}
	var err error
	if l.coordinator, err = cluster.New(cfg); err != nil {
		t.Fatal(err)
	}
	return l
}

type wiredListener struct {
	net.Listener
	wire *wire
}

func (l *wiredListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if laid, err := l.wire.lay(conn); err == nil {
			return laid, nil
		}
	}
}
