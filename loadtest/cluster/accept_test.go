package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// strangers is a listener of connections whose other ends are silent.
type strangers struct {
	context.Context // ends with Close
	end             context.CancelFunc
	accepted        atomic.Int64
}

func (s *strangers) Accept() (net.Conn, error) {
	if s.Err() != nil {
		return nil, net.ErrClosed
	}
	s.accepted.Add(1)
	conn, _ := net.Pipe()
	return conn, nil
}

func (s *strangers) Close() error {
	s.end()
	return nil
}

func (s *strangers) Addr() net.Addr { return noAddr{} }

// TestHandshakesAreBounded has more connections than the coordinator takes at a time.
func TestHandshakesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{MinWorkers: 1})
		if err != nil {
			t.Fatal(err)
		}
		l := &strangers{}
		l.Context, l.end = context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- c.Serve(l) }()
		for round := 1; round <= 3; round++ {
			synctest.Wait()
			if got, want := l.accepted.Load(), int64(round*maxHandshakes+1); got != want { // the last one waits
				t.Errorf("%d connections after %d times of a handshake, want %d", got, round-1, want)
			}
			time.Sleep(handshakeTime)
		}
		if err := errors.Join(c.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}

// TestJoinedWorkersAreBounded has one worker too many, which may join when another one has
// left.
func TestJoinedWorkersAreBounded(t *testing.T) {
	c, err := New(Config{MinWorkers: maxJoined})
	if err != nil {
		t.Fatal(err)
	}
	reserve := func(i int) (*peer, error) {
		p := &peer{name: fmt.Sprintf("w%d", i), gone: make(chan struct{})}
		return p, c.reserve(p)
	}
	first, err := reserve(0)
	for i := 1; i < maxJoined && err == nil; i++ {
		_, err = reserve(i)
	}
	if err != nil {
		t.Fatal(err)
	}
	var passing *passingError
	if _, err := reserve(maxJoined); !errors.As(err, &passing) {
		t.Errorf("one too many: %v", err)
	}
	c.remove(first)
	if _, err := reserve(maxJoined); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{MinWorkers: maxJoined + 1}); err == nil {
		t.Error("a coordinator waits for more workers than can join")
	}
}

// TestLongRefusal has the worker read a reason that is longer than a line may be.
func TestLongRefusal(t *testing.T) {
	a, b := net.Pipe()
	const token = "a token that cannot be guessed"
	worker, done := newHandshake(t.Context(), a, "the coordinator", token)
	defer done()
	coordinator, done := newHandshake(t.Context(), b, "a worker", token)
	defer done()
	refused := make(chan error, 1)
	go func() { refused <- greetCoordinator(worker, "w1") }()
	_, err := greetWorker(coordinator, func(string) error { return errors.New("want one of " + strings.Repeat("\x00", maxGreeting)) })
	if err == nil {
		t.Error("the worker is let in")
	}
	var refusal *refusedError
	if err := <-refused; !errors.As(err, &refusal) || !strings.HasPrefix(refusal.why, "want one of ") {
		t.Errorf("the worker has no reason: %v", err)
	}
}
