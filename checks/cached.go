package checks

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// maxCached is the number of subjects whose results a cached check keeps.
const maxCached = 16

// Cached returns c with a memory: a result is given again until it is valid old, counted
// from the beginning of the run. An Unknown result is not kept. A valid of zero or less
// keeps nothing, and callers at the same time still share one run.
//
// One run is in flight for each [Subject]. Its context has no deadline; it is cancelled
// when no caller waits any more. A run that ignores that keeps its place: callers wait
// for its end, or for the end of their own context, which is Unknown.
//
// Results are kept apart by subject, Until left out, so that what was found out about
// one candidate never speaks for another one. The results of 16 subjects are kept, the
// oldest is dropped first. A cached check may be used concurrently.
func Cached(valid time.Duration, c Check) Check {
	return &cached{valid: valid, check: c, runs: make(map[Subject]*flight)}
}

// cached is a check that remembers what it has found out.
type cached struct {
	valid time.Duration
	check Check

	mu   sync.Mutex
	runs map[Subject]*flight // guarded by mu: in flight, or kept
}

// flight is one run of a cached check.
type flight struct {
	began  time.Time
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when result is set
	result Result

	waiting int // callers, guarded by cached.mu; 0 in flight means cancelled
}

// Check returns the result that is kept, the result of the run in flight, or a new one.
func (c *cached) Check(ctx context.Context) Result {
	key, _ := SubjectOf(ctx)
	key.Until = time.Time{}
	for {
		if ctx.Err() != nil {
			return Result{Err: fmt.Errorf("checks: not begun: %w", context.Cause(ctx))}
		}
		r, joined := c.join(ctx, key)
		select {
		case <-r.done:
		case <-ctx.Done():
		}
		if joined {
			c.leave(ctx, r)
		}
		select {
		case <-r.done:
			if !joined {
				continue // it was cancelled, so its result says nothing
			}
			res := r.result
			res.Evidence = maps.Clone(res.Evidence)
			return res
		default:
			return Result{Err: fmt.Errorf("checks: not finished in time, abandoned: %w", context.Cause(ctx))}
		}
	}
}

// Digest returns the digest of the check that is cached.
func (c *cached) Digest() string { return derived{parts: []Check{c.check}}.Digest() }

// join returns the run for key, a new one if that is due, and whether the caller counts
// as one that waits for it. It does not if the run has been cancelled.
func (c *cached) join(ctx context.Context, key Subject) (r *flight, joined bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r = c.runs[key]
	switch {
	case r == nil || r.ended() && !c.fresh(r):
		r = c.start(ctx, key)
	case !r.ended() && r.waiting == 0:
		return r, false
	}
	r.waiting++
	return r, true
}

// leave ends the wait of one caller. The last one cancels a run that is in flight.
func (c *cached) leave(ctx context.Context, r *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.waiting--; r.waiting == 0 && !r.ended() {
		r.cancel(context.Cause(ctx))
	}
}

// start starts a run for key. The caller holds mu.
func (c *cached) start(ctx context.Context, key Subject) *flight {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r := &flight{began: time.Now(), cancel: cancel, done: make(chan struct{})}
	c.makeRoom()
	c.runs[key] = r
	go func() {
		// The context of contain never ends, so the run is never abandoned.
		res := Result{Err: errNil}
		if c.check != nil {
			res = contain(context.Background(), Func(func(context.Context) Result { return c.check.Check(ctx) }))
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		r.result = res
		close(r.done)
		if c.runs[key] == r && (r.waiting == 0 || res.Status == Unknown || !c.fresh(r)) {
			delete(c.runs, key)
		}
		cancel(nil)
	}()
	return r
}

// makeRoom drops results that are too old, and the oldest ones beyond what may be kept.
func (c *cached) makeRoom() {
	maps.DeleteFunc(c.runs, func(_ Subject, r *flight) bool { return r.ended() && !c.fresh(r) })
	for len(c.runs) >= maxCached {
		var oldest *flight
		var at Subject
		for key, r := range c.runs {
			if r.ended() && (oldest == nil || r.began.Before(oldest.began)) {
				oldest, at = r, key
			}
		}
		if oldest == nil {
			return // what is in flight stays
		}
		delete(c.runs, at)
	}
}

func (c *cached) fresh(r *flight) bool { return time.Since(r.began) < c.valid }

// ended reports whether the run has a result.
func (r *flight) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
