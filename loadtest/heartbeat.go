package loadtest

import (
	"context"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/hdr"
	"github.com/serin-go/serin/internal/units"
)

// heartbeat measures how long this process is held up: by a quota of processor time,
// by other processes, or by its own work. It wakes up every beat and notes how late it
// is. An answer that arrives meanwhile is read that late, which looks like a slow
// server.
type heartbeat struct {
	mu            sync.Mutex
	whole, lately stalls
}

// stalls are the delays of a heartbeat over a time.
type stalls struct {
	began time.Time
	late  hdr.Histogram // in microseconds
	long  int           // longer than stallFloor
}

const (
	beat = 5 * time.Millisecond
	// stallFloor is the delay that a busy machine has anyway.
	stallFloor = 10 * time.Millisecond
	// stallShare is the share of the time that may be lost to longer delays: the p99
	// of a figure then differs by no more than such a delay.
	stallShare = 0.01
	// fewStalls is the number of stalls that may be chance, if they are shorter than
	// chanceStall.
	fewStalls   = 5
	chanceStall = 100 * time.Millisecond
)

// startHeartbeat returns a heartbeat and a function that stops it.
func startHeartbeat() (*heartbeat, func()) {
	h := &heartbeat{whole: stalls{began: time.Now()}, lately: stalls{began: time.Now()}}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		timer := time.NewTimer(beat)
		defer timer.Stop()
		last := time.Now()
		for {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			now := time.Now()
			h.add(now.Sub(last) - beat)
			last = now
			timer.Reset(beat)
		}
	})
	return h, func() {
		cancel()
		wait.Wait()
	}
}

func (h *heartbeat) add(late time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.whole.add(late)
	h.lately.add(late)
}

func (s *stalls) add(late time.Duration) {
	s.late.Add(uint64(max(0, late/time.Microsecond)), 1)
	if late > stallFloor {
		s.long++
	}
}

// total returns the delay of the whole run; see [stalls.delay].
func (h *heartbeat) total() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.whole.delay(time.Now())
}

// recent returns the delay since the previous call.
func (h *heartbeat) recent() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.lately.delay(time.Now())
	h.lately = stalls{began: time.Now()}
	return d
}

// delay returns the delay that reading had, or would have had, for 1 % of the time up
// to now. It is 0 if it is not longer than stallFloor, or if there were few stalls.
func (s *stalls) delay(now time.Time) time.Duration {
	if s.long < fewStalls && units.Seconds(s.late.Quantile(1)/1e6) < chanceStall {
		return 0
	}
	bound := stallShare * now.Sub(s.began).Seconds()
	// The time in which reading is later than d, which falls with d.
	beyond := func(d time.Duration) (seconds float64) {
		for us, n := range s.late.Buckets() {
			seconds += max(0, us/1e6-d.Seconds()) * float64(n)
		}
		return seconds
	}
	low, high := stallFloor, units.Seconds(s.late.Quantile(1)/1e6)
	if beyond(low) <= bound {
		return 0
	}
	for high-low > time.Millisecond {
		if middle := (low + high) / 2; beyond(middle) > bound {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
