package health

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
)

// Beat is a check of a loop: it fails when the loop has not called Beat for some time. It
// is meant for components with Matters [Live]. Make one with [NewBeat]. It is safe for
// concurrent use.
type Beat struct {
	limit time.Duration
	began time.Time
	last  atomic.Int64 // when Beat was last called, as a duration since began
}

var _ checks.Check = (*Beat)(nil)

// NewBeat returns a check that fails when [Beat.Beat] was not called within limit. The
// time counts from now. limit is the time of several rounds of the loop, and positive.
func NewBeat(limit time.Duration) *Beat { return &Beat{limit: limit, began: time.Now()} }

// Beat notes that the loop is running. It costs about as much as reading a clock.
func (b *Beat) Beat() { b.last.Store(int64(time.Since(b.began))) }

// Check passes if Beat was called within the limit, and fails otherwise.
func (b *Beat) Check(context.Context) checks.Result {
	silent := time.Since(b.began) - time.Duration(b.last.Load())
	r := checks.Result{Status: checks.Pass, Evidence: map[string]string{"silent": silent.String(), "limit": b.limit.String()}}
	r.Summary = fmt.Sprintf("the loop ran %v ago", silent.Round(time.Millisecond))
	if silent > b.limit {
		r.Status, r.Summary = checks.Fail, fmt.Sprintf("the loop has not run for %v, want at most %v", silent.Round(time.Millisecond), b.limit)
	}
	return r
}

// Lock returns a check that locks and unlocks l, such as a [sync.Mutex] or a
// [sync.RWMutex]. It fails when it cannot lock l before its context ends, since a goroutine
// may never unlock it. It is meant for components with Matters [Live]. It does not
// wait in the queue of the lock.
func Lock(l interface {
	TryLock() bool
	Unlock()
}) checks.Check {
	return checks.Func(func(ctx context.Context) checks.Result {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		began := time.Now()
		for !l.TryLock() {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("the lock is held, and was not free within %v", time.Since(began).Round(time.Millisecond))}
			}
		}
		l.Unlock()
		return checks.Result{Status: checks.Pass, Summary: "the lock is free"}
	})
}
