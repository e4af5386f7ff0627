package traffic

import (
	"context"
	"sync/atomic"
	"time"
)

// progress is how far an attempt has come, as the deadline's goroutine sees it.
type progress struct {
	phase atomic.Uint32
	last  atomic.Int64 // when the last byte came, since the request began, or busy
	stops attemptLimits
}

// attemptLimits are the limits of one attempt.
type attemptLimits struct {
	from         time.Duration // when the attempt began, since the request began
	first, stall time.Duration
}

// The phases of an attempt.
const (
	waiting   uint32 = iota // for the first byte
	peeking                 // its beginning is held back
	answering               // it reaches the caller
	late                    // given up without a byte
	stalled                 // given up within the answer
)

// busy stands for the time of the last byte while it is the caller who is waited
// for.
const busy = time.Duration(-1)

// limit sets the limits of an attempt that begins now, a time since the request
// began, and returns how long after that to check it first, 0 for never.
func (p *progress) limit(l *limits, x *exchange, now time.Duration, fallback bool) time.Duration {
	p.stops = attemptLimits{from: now, first: l.first(x.ask, fallback, x.began), stall: l.stall}
	return max(0, p.untilFirst(now)-now)
}

// untilFirst returns when to check an attempt that waits for its first byte: it may
// have begun to answer, and have stalled, long before it would be late. It returns 0
// for never.
func (p *progress) untilFirst(now time.Duration) time.Duration {
	late, stall := p.stops.from+p.stops.first, now+p.stops.stall
	switch {
	case p.stops.first > 0 && p.stops.stall > 0:
		return min(late, stall)
	case p.stops.first > 0:
		return late
	case p.stops.stall > 0:
		return stall
	}
	return 0
}

// touch notes when the last byte came.
func (p *progress) touch(at time.Duration) {
	if p.stops.stall > 0 {
		p.last.Store(int64(at))
	}
}

// peeks notes that the first byte has come. It reports false if it came too late.
func (p *progress) peeks() bool {
	return p.phase.CompareAndSwap(waiting, peeking) || p.phase.Load() == peeking
}

// answers notes that the answer goes to the caller. It reports false if it came
// too late.
func (p *progress) answers() bool {
	for {
		switch now := p.phase.Load(); now {
		case answering:
			return true
		case late, stalled:
			return false
		default:
			if p.phase.CompareAndSwap(now, answering) {
				return true
			}
		}
	}
}

// ended returns the limit at which the attempt was given up, nil if it was not.
func (p *progress) ended() error {
	switch p.phase.Load() {
	case late:
		return errFirstByte
	case stalled:
		return errStalled
	}
	return nil
}

// stall gives the attempt up within its answer.
func (p *progress) stall(cancel context.CancelCauseFunc) {
	if now := p.phase.Load(); (now == peeking || now == answering) && p.phase.CompareAndSwap(now, stalled) {
		cancel(errStalled)
	}
}

// check gives the attempt up if it has made no progress for too long. It returns
// when to check again, zero for never.
func (p *progress) check(now time.Duration, x *exchange, cancel context.CancelCauseFunc) time.Time {
	switch p.phase.Load() {
	case waiting:
		if p.stops.first <= 0 || now < p.stops.from+p.stops.first {
			if next := p.untilFirst(now); next > 0 {
				return x.began.Add(next)
			}
			return time.Time{}
		}
		if p.phase.CompareAndSwap(waiting, late) {
			cancel(errFirstByte)
			return time.Time{}
		}
	case late, stalled:
		return time.Time{}
	}
	if p.stops.stall <= 0 {
		return time.Time{}
	}
	last := time.Duration(p.last.Load())
	if last == busy {
		return x.began.Add(now + p.stops.stall)
	}
	if now-last >= p.stops.stall {
		p.stall(cancel)
		return time.Time{}
	}
	return x.began.Add(last + p.stops.stall)
}
