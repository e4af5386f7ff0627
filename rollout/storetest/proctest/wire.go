package proctest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Wire is what lies between a store and its server: a listener that passes what it
// gets on to the server and back, and that can be cut. It may be used
// concurrently.
type Wire struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// NewWire returns a wire to the server at host:port. It ends with the test.
func NewWire(t testing.TB, server string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, server: server, conns: make(map[net.Conn]bool)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); w.Cut() })
	return w
}

// Addr returns the host:port to connect to in place of the server's.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut breaks all connections, with whatever is under way on them, and those that
// are made from now on.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.conns {
		conn.Close()
	}
}

// Mend lets connections be made again.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

func (w *Wire) pass(client net.Conn) {
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		client.Close()
		return
	}
	var wg sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		w.hold(from)
		wg.Go(func() {
			_, _ = io.Copy(to, from) // ends when either is closed
			from.Close()
			to.Close()
		})
	}
	wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, client)
	delete(w.conns, server)
}

// hold remembers a connection for Cut, or closes it if the wire is cut.
func (w *Wire) hold(conn net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns[conn] = true; w.cut {
		conn.Close()
	}
}
