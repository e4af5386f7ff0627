package loadtest

import (
	"context"
	"iter"
	"math"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// schedule is the Pacer that vegeta is given: it hands out the arrivals of a
// plan and remembers when each request was due, until it is sent.
type schedule struct {
	ctx   context.Context // ends the schedule; it lives as long as Run
	next  func() (time.Duration, bool)
	limit int           // requests, 0 = no limit
	last  time.Duration // the latest arrival, 0 = no limit

	mu    sync.Mutex
	began time.Time // of the attack, by vegeta's own clock
	due   map[uint64]time.Duration
	asked gaps // between the instants at which requests are due
	taken gaps // between those at which they were
	ended bool // the plan has no more requests
}

var _ vegeta.Pacer = (*schedule)(nil)

// newSchedule returns the schedule of p, and a function that releases it.
func newSchedule(ctx context.Context, p Plan) (*schedule, func()) {
	next, stop := iter.Pull(p.Pacer.Arrivals())
	return &schedule{ctx: ctx, next: next, limit: p.Requests, last: p.Duration, due: make(map[uint64]time.Duration)}, stop
}

// wait returns how long after elapsed the request with the given number is due,
// a negative time when it is late, and false when there are no more. vegeta
// asks exactly once for each number, in order.
func (s *schedule) wait(elapsed time.Duration, seq uint64) (time.Duration, bool) {
	at, ok := time.Duration(0), s.limit == 0 || seq < uint64(s.limit)
	if ok {
		at, ok = s.next()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok || s.last > 0 && at > s.last {
		s.ended = true
		return 0, false
	}
	if s.began.IsZero() {
		s.began = time.Now().Add(-elapsed)
	}
	s.due[seq] = at
	s.asked.add(s.began.Add(at))
	return at - elapsed, true
}

// Pace waits until the next request is due. It sleeps itself, because vegeta's
// own sleep could not be interrupted.
func (s *schedule) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if s.ctx.Err() != nil {
		return 0, true
	}
	wait, more := s.wait(elapsed, hits)
	if !more {
		return 0, true
	}
	if wait <= 0 {
		return wait, false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, false
	case <-s.ctx.Done():
		s.take(hits) // it was not due yet, so nobody misses it
		return 0, true
	}
}

// Rate is never asked for by an attack; the schedule has no single rate.
func (s *schedule) Rate(time.Duration) float64 { return math.NaN() }

// take returns when the request with the given number was due and forgets it.
func (s *schedule) take(seq uint64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.began.Add(s.due[seq])
	delete(s.due, seq)
	s.taken.add(time.Now())
	return at
}

// interrupted reports whether requests remained when the attack ended.
func (s *schedule) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended
}

// unsent returns how many requests became due and were never taken.
func (s *schedule) unsent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due)
}
