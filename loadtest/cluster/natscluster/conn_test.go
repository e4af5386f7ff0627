package natscluster

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// TestCloseEnds closes a connection whose other end acknowledges nothing: its goroutines
// end, or the test would not.
func TestCloseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &conn{opened: make(chan struct{}), done: make(chan struct{}), sent: window}
		c.changed = sync.NewCond(&c.mu)
		c.Conn, c.pipe = net.Pipe()
		close(c.opened)
		go c.send()
		go c.deliver()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-c.done
	})
}

// FuzzMessage has messages from anyone who can publish to an inbox: they never panic, and
// what they queue is bounded.
func FuzzMessage(f *testing.F) {
	for _, m := range []string{"", "d", "d\x00\x00\x00\x00\x00\x00\x00\x00x", "a\x00\x00\x00\x00\x00\x00\x00\x00", "c\x00\x00\x00\x00\x00\x00\x00\x00", "a\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(m), []byte("d\x00\x00\x00\x00\x00\x00\x00\x01y"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := &conn{}
		c.changed = sync.NewCond(&c.mu)
		for _, m := range [][]byte{first, second} {
			before := c.queued
			err := c.handle(m)
			if c.queued > window || c.acked > c.sent || err != nil && c.queued != before || err == nil && len(m) < headSize {
				t.Errorf("%q: %v, %d bytes are queued, %d of %d acknowledged", m, err, c.queued, c.acked, c.sent)
			}
		}
	})
}
