package traffic

import (
	"sync"
	"time"
)

// alarms give up attempts whose first byte does not come in time. All attempts
// of a router have the same patience, so that the one that began first is due
// first: a list in the order of their beginning and one timer serve them all, for
// a fraction of what a timer for each would cost.
type alarms struct {
	patience time.Duration // 0 is no limit

	mu          sync.Mutex
	first, last *alarm
	running     bool // a timer is under way
}

// alarm is the place of one attempt in the list.
type alarm struct {
	attempt    interface{ expire() }
	due        time.Time
	prev, next *alarm
	listed     bool
}

// set puts a, which is zero, on the list.
func (q *alarms) set(a *alarm, attempt interface{ expire() }) {
	if q.patience <= 0 {
		return
	}
	a.attempt = attempt
	q.mu.Lock()
	defer q.mu.Unlock()
	a.due = time.Now().Add(q.patience) // under the lock, or the order is not that of the list
	a.prev, a.listed = q.last, true
	if q.last == nil {
		q.first = a
	} else {
		q.last.next = a
	}
	q.last = a
	if !q.running {
		q.running = true
		time.AfterFunc(q.patience, q.ring)
	}
}

// stop takes a off the list, where it may no longer be.
func (q *alarms) stop(a *alarm) {
	if a.attempt == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(a)
}

func (q *alarms) remove(a *alarm) {
	if !a.listed {
		return
	}
	if a.prev == nil {
		q.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		q.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.prev, a.next, a.listed = nil, nil, false
}

// ring gives up all attempts that are due, and has itself called again when the
// next one is.
func (q *alarms) ring() {
	for {
		q.mu.Lock()
		a := q.first
		if a == nil {
			q.running = false
			q.mu.Unlock()
			return
		}
		if wait := time.Until(a.due); wait > 0 {
			time.AfterFunc(wait, q.ring)
			q.mu.Unlock()
			return
		}
		q.remove(a)
		q.mu.Unlock()
		a.attempt.expire() // without the lock, as it runs what others have hung on the context
	}
}
