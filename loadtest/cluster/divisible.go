package cluster

import (
	"iter"
	"sync"
	"time"

	"github.com/serin-go/serin/loadtest/pace"
)

// divisible is a schedule that can give up shares of its rest while it is being sent. It
// is for one iteration.
type divisible struct {
	pace.Pacer

	mu    sync.Mutex
	last  time.Duration // the latest instant that was yielded
	gifts []gift
}

// gift is a share that was given up: from an instant on, part of every of requests.
type gift struct {
	giveRequest
	seen int // requests of the rest so far
}

// Numbered implements an optional method of [pace.Pacer].
func (d *divisible) Numbered() iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		for number, at := range pace.Numbered(d.Pacer) {
			keeps, more := d.take(at)
			if !more || keeps && !yield(number, at) {
				return
			}
		}
	}
}

// Arrivals implements [pace.Pacer].
func (d *divisible) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, at := range d.Numbered() {
			if !yield(at) {
				return
			}
		}
	}
}

// take reports whether the next request of the schedule, due at an instant, is still to
// be sent, and whether any after it are. It is the twin of [pace.Without].
func (d *divisible) take(at time.Duration) (keeps, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.gifts {
		g := &d.gifts[i]
		if at < g.From {
			continue
		}
		if g.Of == 1 {
			return false, false
		}
		if g.seen++; (g.seen-1)%g.Of == g.Part {
			return false, true
		}
	}
	d.last = at
	return true, true
}

// give gives up a share of what is due from an instant on. It returns that instant, or a
// later one if requests have been yielded that are due later: all requests that are due
// before the returned instant are kept.
func (d *divisible) give(asked giveRequest) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked.From = max(asked.From, d.last+1)
	d.gifts = append(d.gifts, gift{giveRequest: asked})
	return asked.From
}
