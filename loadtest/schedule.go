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

// arrival is one request of a schedule: its number, which decides its content, and the
// instant at which it is due.
type arrival struct {
	number uint64
	at     time.Duration
}

// schedule is the vegeta.Pacer of a run. It stores each arrival until its request is
// sent.
type schedule struct {
	ctx   context.Context // ends the schedule
	next  func() (uint64, time.Duration, bool)
	limit int           // requests, 0 = no limit
	last  time.Duration // the latest arrival, 0 = no limit
	began time.Time     // the zero of instants
	open  *sessions     // of the workload, or nil
	timer *time.Timer   // of Pace, which is never called concurrently

	mu    sync.Mutex
	due   map[uint64]arrival // by vegeta's number
	asked gaps               // between the instants at which requests are due
	taken gaps               // between the instants at which they were sent
	ended bool               // the plan has no more requests
}

var _ vegeta.Pacer = (*schedule)(nil)

// newSchedule returns the schedule of p, which begins at began, and a function that
// releases its iterator.
func newSchedule(ctx context.Context, p Plan, began time.Time) (*schedule, func()) {
	next, stop := iter.Pull2(pace.Numbered(p.Pacer))
	return &schedule{ctx: ctx, next: next, limit: p.Requests, last: p.Duration, began: began, due: make(map[uint64]arrival)}, stop
}

// wait returns the time from elapsed until request seq is due, which is negative if the
// request is late. It returns false at the end of the schedule. vegeta calls it once
// for each number, in order.
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
	s.open.register(a.number)
	s.asked.add(s.began.Add(a.at))
	return a.at - elapsed, true
}

// Pace waits until the next request is due. It sleeps itself, because the sleep of
// vegeta cannot be interrupted. It counts from the start of the schedule, which
// several machines may share, and not from the start of the attack.
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
		s.take(hits) // not due yet, so not counted as unsent
		return 0, true
	}
}

// pause waits for d. It returns false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Rate implements [vegeta.Pacer]. An attack does not call it.
func (s *schedule) Rate(time.Duration) float64 { return math.NaN() }

// take removes the request with vegeta's number seq and returns its own number and the
// instant at which it was due.
func (s *schedule) take(seq uint64) (number uint64, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.due[seq]
	delete(s.due, seq)
	s.taken.add(time.Now())
	return a.number, s.began.Add(a.at)
}

// interrupted reports whether the attack ended before the schedule.
func (s *schedule) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended
}

// unsent returns the number of requests that were due and not taken.
func (s *schedule) unsent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due)
}
