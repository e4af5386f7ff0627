package probe

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// GoroutinesOptions configures [Goroutines].
type GoroutinesOptions struct {
	// Max is the greatest number of goroutines. Default 10,000.
	Max int
	// Slope is the greatest growth within 10 minutes. Default 0: growth is not limited.
	Slope int
}

// Goroutines returns a check of the number of goroutines of this process. With Slope, it
// keeps the counts of its own last runs, at most one for each 10 seconds. The growth is the
// difference between the least counts of the last 5 minutes and of the 5 minutes before, per
// 10 minutes: so a burst of requests is not a leak. Until the runs span 10 minutes, the
// result is Unknown. Evidence: the number, and the growth if it is known.
func Goroutines(o GoroutinesOptions) checks.Check {
	bad := &invalid{options: "GoroutinesOptions"}
	if o.Max == 0 {
		o.Max = 10_000
	}
	if o.Max < 0 {
		bad.add("Max", o.Max, "a number from 1 on, or 0 for the default")
	}
	if o.Slope < 0 {
		bad.add("Slope", o.Slope, "a number from 1 on, or 0 for no limit")
	}
	counts := new(history)
	return probing.New("goroutines", 0, o, bad.err(), func(context.Context) checks.Result {
		n := runtime.NumGoroutine()
		r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d goroutines", n), Evidence: map[string]string{"goroutines": strconv.Itoa(n)}}
		growth, known := 0.0, false
		if o.Slope > 0 {
			if growth, known = counts.add(time.Now(), n); known {
				r.Evidence["growth"] = strconv.FormatFloat(growth, 'f', 0, 64)
			}
		}
		switch {
		case n > o.Max:
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("%d goroutines, want at most %d", n, o.Max)
		case o.Slope > 0 && !known:
			r.Status, r.Err = checks.Unknown, errShort
		case growth > float64(o.Slope):
			r.Status, r.Summary = checks.Fail, fmt.Sprintf("%d goroutines, %.0f more within 10 minutes, want at most %d", n, growth, o.Slope)
		}
		return r
	})
}

// errShort means that a history is too short for a growth.
var errShort = errors.New("the growth is known after 10 minutes")

// The length of a history, and the distance between two of its counts.
const (
	historySpan = 10 * time.Minute
	historyStep = 10 * time.Second
)

// history are the counts of the last 10 minutes and one older count: at most 62.
type history struct {
	mu     sync.Mutex
	counts []count
}

type count struct {
	at time.Time
	n  int
}

// add adds a count, and returns the growth per 10 minutes if it is known.
func (h *history) add(now time.Time, n int) (growth float64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.counts) - 1; last < 0 || now.Sub(h.counts[last].at) >= historyStep {
		h.counts = append(h.counts, count{now, n})
	} else {
		h.counts[last].n = min(h.counts[last].n, n)
	}
	for len(h.counts) > 1 && now.Sub(h.counts[1].at) >= historySpan {
		h.counts = h.counts[1:]
	}
	if now.Sub(h.counts[0].at) < historySpan {
		return 0, false
	}
	var before, after *count
	for i := range h.counts {
		least := &before
		if now.Sub(h.counts[i].at) < historySpan/2 {
			least = &after
		}
		if *least == nil || h.counts[i].n < (*least).n {
			*least = &h.counts[i]
		}
	}
	apart := max(after.at.Sub(before.at), historySpan/2)
	return float64(after.n-before.n) * float64(historySpan) / float64(apart), true
}
