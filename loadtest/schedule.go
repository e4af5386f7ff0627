package loadtest

import (
	"context"
	"iter"
	"math"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/serin-go/serin/loadtest/pace"
)

// arrival is one request of a schedule: its number in the whole of it, which
// decides what it asks, and when it is due.
type arrival struct {
	number uint64
	at     time.Duration
}

// schedule is the Pacer that vegeta is given: it hands out the arrivals of a
// plan and remembers each until its request is sent.
type schedule struct {
	ctx   context.Context // ends the schedule; it lives as long as Run
	next  func() (uint64, time.Duration, bool)
	limit int           // requests, 0 = no limit
	last  time.Duration // the latest arrival, 0 = no limit
	began time.Time     // instants are counted from here
	timer *time.Timer   // of Pace, which is never called concurrently

	mu    sync.Mutex
	due   map[uint64]arrival // by vegeta's own number
	asked gaps               // between the instants at which requests are due
	taken gaps               // between those at which they were
	ended bool               // the plan has no more requests
}

var _ vegeta.Pacer = (*schedule)(nil)

// newSchedule returns the schedule of p, which begins at the given instant, and
// a function that releases it.
func newSchedule(ctx context.Context, p Plan, began time.Time) (*schedule, func()) {
	next, stop := iter.Pull2(pace.Numbered(p.Pacer))
	return &schedule{ctx: ctx, next: next, limit: p.Requests, last: p.Duration, began: began, due: make(map[uint64]arrival)}, stop
}

// wait returns how long after elapsed the request with the given number is due,
// a negative time when it is late, and false when there are no more. vegeta
// asks exactly once for each number, in order.
func (s *schedule) wait(elapsed time.Duration, seq uint64) (time.Duration, bool) {
	var a arrival
	ok := s.limit == 0 || seq < uint64(s.limit)
	if ok {
		a.number, a.at, ok = s.next()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok || s.last > 0 && a.at > s.last {
		s.ended = true
		return 0, false
	}
	s.due[seq] = a
	s.asked.add(s.began.Add(a.at))
	return a.at - elapsed, true
}

// Pace waits until the next request is due. It sleeps itself, because vegeta's
// own sleep could not be interrupted; and it counts from the start of the
// schedule, which several machines may share, rather than from vegeta's.
func (s *schedule) Pace(_ time.Duration, hits uint64) (time.Duration, bool) {
	if s.ctx.Err() != nil {
		return 0, true
	}
	wait, more := s.wait(time.Since(s.began), hits)
	if !more {
		return 0, true
	}
	if wait <= 0 {
		return wait, false
	}
	if s.timer == nil {
		s.timer = time.NewTimer(wait)
	} else {
		s.timer.Reset(wait)
	}
	select {
	case <-s.timer.C:
		return 0, false
	case <-s.ctx.Done():
		s.timer.Stop()
		s.take(hits) // it was not due yet, so nobody misses it
		return 0, true
	}
}

// sleepUntil waits for d and reports whether ctx lasted that long.
func sleepUntil(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Rate is never asked for by an attack; the schedule has no single rate.
func (s *schedule) Rate(time.Duration) float64 { return math.NaN() }

// take returns the request with vegeta's number seq and when it was due, and
// forgets it.
func (s *schedule) take(seq uint64) (number uint64, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.due[seq]
	delete(s.due, seq)
	s.taken.add(time.Now())
	return a.number, s.began.Add(a.at)
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
