package natscluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/net/nettest"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/cluster/clustertest"
	"github.com/serin-go/serin/loadtest/cluster/natscluster"
)

// start starts a server of NATS in this process.
func start(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server of NATS does not begin")
	}
	return s
}

func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestCluster runs the conformance suite, with a connection to NATS for each end.
func TestCluster(t *testing.T) {
	clustertest.Run(t, func(t *testing.T, c *cluster.Coordinator) func(context.Context) (net.Conn, error) {
		s := start(t)
		l, err := natscluster.Listen(connect(t, s), "loadtest.chat")
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := c.Serve(l); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
		t.Cleanup(func() {
			_ = c.Close() // the errors of the listener
			wait.Wait()
		})
		workers := connect(t, s)
		return func(ctx context.Context) (net.Conn, error) { return natscluster.Dial(ctx, workers, "loadtest.chat") }
	})
}

// pair returns both ends of a connection.
func pair(t testing.TB, a, b *nats.Conn) (net.Conn, net.Conn) {
	t.Helper()
	subject := "test." + nats.NewInbox()
	l, err := natscluster.Listen(a, subject)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := a.Flush(); err != nil { // until the server knows the subject
		t.Fatal(err)
	}
	var near net.Conn
	var wait sync.WaitGroup
	wait.Go(func() {
		if near, err = l.Accept(); err != nil {
			t.Error(err)
		}
	})
	far, dialed := natscluster.Dial(t.Context(), b, subject)
	wait.Wait()
	if dialed != nil || err != nil {
		t.Fatal(dialed, err)
	}
	return near, far
}

// TestConn runs the conformance suite of network connections.
func TestConn(t *testing.T) {
	s := start(t)
	a, b := connect(t, s), connect(t, s)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		near, far := pair(t, a, b)
		return near, far, func() { _ = errors.Join(near.Close(), far.Close()) }, nil // both always close
	})
}

// TestBrokenConnections has messages that are lost, repeated or not of this protocol, and
// connections to NATS that are closed.
func TestBrokenConnections(t *testing.T) {
	s := start(t)
	for name, test := range map[string]struct {
		message string
		want    string
	}{
		"lost":           {"d\x00\x00\x00\x00\x00\x00\x00\x01x", "message 0 was lost"},
		"lost end":       {"c\x00\x00\x00\x00\x00\x00\x00\x03", "message 0 was lost"},
		"short":          {"d", "a message of 1 bytes"},
		"unknown":        {"x\x00\x00\x00\x00\x00\x00\x00\x00", "kind 'x'"},
		"acknowledged":   {"a\x00\x00\x00\x00\x00\x00\x00\x01", "1 bytes are acknowledged"},
		"without data":   {"d\x00\x00\x00\x00\x00\x00\x00\x00", "more than may be sent"},
		"beyond reading": {"d\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("x", 1<<20-100), ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connect(t, s), connect(t, s)
			near, far := pair(t, a, b)
			defer near.Close()
			defer far.Close()
			if err := b.Publish(near.LocalAddr().String(), []byte(test.message)); err != nil {
				t.Fatal(err)
			}
			if test.want == "" { // the window is full: one byte more breaks the connection
				if err := b.Publish(near.LocalAddr().String(), []byte("d\x00\x00\x00\x00\x00\x00\x00\x01"+strings.Repeat("x", 101))); err != nil {
					t.Fatal(err)
				}
				test.want = "more than may be sent"
				_, _ = io.Copy(near, endless{}) // until it is broken
			}
			if _, err := io.ReadAll(near); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		a, b := connect(t, s), connect(t, s)
		near, _ := pair(t, a, b)
		a.Close()
		if _, err := io.ReadAll(near); !errors.Is(err, nats.ErrConnectionClosed) {
			t.Errorf("%v, want %v", err, nats.ErrConnectionClosed)
		}
	})
}

// endless is a text without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestInvalidSubjects(t *testing.T) {
	s := start(t)
	c := connect(t, s)
	var invalid *checks.InvalidError
	for _, subject := range []string{"", ".", "a..b", "a.*", ">", "a b", "ż", "a\r\nPUB x", "$SYS.x", strings.Repeat("a", 256)} {
		if _, err := natscluster.Listen(c, subject); !errors.As(err, &invalid) || invalid.Field != "subject" {
			t.Errorf("Listen(%q): %v", subject, err)
		}
		if _, err := natscluster.Dial(t.Context(), c, subject); !errors.As(err, &invalid) || invalid.Field != "subject" {
			t.Errorf("Dial(%q): %v", subject, err)
		}
	}
	if _, err := natscluster.Dial(t.Context(), c, "silence"); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("Dial without a listener: %v", err)
	}
	// Something that is not a worker is ignored.
	l, err := natscluster.Listen(c, "chat")
	if err != nil {
		t.Fatal(err)
	}
	for _, inbox := range []string{"", ">", "a b"} {
		if err := c.PublishRequest("chat", "answers", []byte(inbox)); err != nil {
			t.Fatal(err)
		}
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	conn, err := natscluster.Dial(t.Context(), c, "chat")
	if err := errors.Join(err, <-accepted); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // always nil
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v", err)
	}
}
