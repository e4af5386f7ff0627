package loadtest

import (
	"sync"
	"time"
)

// overlap computes the peak number of concurrent requests, from their starts and ends
// in order of time. A request that starts when another one ends does not overlap it.
type overlap struct {
	mu       sync.Mutex
	now      time.Duration
	under    int
	peak     int // since the start
	lately   int // since the last call of recent
	anything bool
}

func (o *overlap) enter(at time.Duration) { o.move(at, 1) }
func (o *overlap) leave(at time.Duration) { o.move(at, -1) }

func (o *overlap) move(at time.Duration, by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// The number after all events of an instant counts. Events of concurrent
	// requests can be slightly out of order; they count as of now.
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

// recent returns the peak since the previous call.
func (o *overlap) recent() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := max(o.lately, o.under)
	o.lately = o.under
	return n
}

// current returns the number of requests under way.
func (o *overlap) current() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.under
}
