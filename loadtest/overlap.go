package loadtest

import (
	"sync"
	"time"
)

// overlap counts how many half-open intervals [begin, end) overlap, from their
// ends in the order of time. At one instant ends come before begins: of two
// requests one of which begins when the other ends, never both are under way.
type overlap struct {
	mu       sync.Mutex
	now      time.Duration
	under    int
	peak     int // of what has been looked at since the start
	lately   int // and since the last call of recent
	anything bool
}

func (o *overlap) enter(at time.Duration) { o.move(at, 1) }
func (o *overlap) leave(at time.Duration) { o.move(at, -1) }

func (o *overlap) move(at time.Duration, by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// What was under way after all events of the instant before counts. Instants
	// that come a little out of order, from concurrent requests, are of now.
	if at > o.now || !o.anything {
		o.note()
		o.now, o.anything = at, true
	}
	o.under += by
}

func (o *overlap) note() {
	o.peak, o.lately = max(o.peak, o.under), max(o.lately, o.under)
}

// most returns the peak since the start.
func (o *overlap) most() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(o.peak, o.under)
}

// recent returns the peak since it was called last.
func (o *overlap) recent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := max(o.lately, o.under)
	o.lately = o.under
	return n
}
