package natscluster

import (
	"sync"
	"testing"
)

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
