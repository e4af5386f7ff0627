package checks

import (
	"context"
	"maps"
	"sync"
	"time"
)

// maxCached is the number of subjects whose results a cached check keeps.
const maxCached = 16

// Cached returns a check that caches the results of c. A result is returned again until
// its age, since the start of the run, reaches valid. Unknown results are not cached. If
// valid is zero or negative, no result is cached, but concurrent callers share one run.
//
// At most one run is in flight for each [Subject]. Its context has no deadline, and is
// cancelled when no caller waits. While a cancelled run has not returned, callers wait
// for it. A caller whose own context ends gets Unknown.
//
// Results are cached by subject without Until, so that a result for one candidate is
// never used for another. The cache holds 16 subjects, and drops the oldest first. A
// cached check is safe for concurrent use.
func Cached(valid time.Duration, c Check) Check {
	return &cached{valid: valid, check: c, runs: make(map[Subject]*flight)}
}

// cached is the check of [Cached].
type cached struct {
	valid time.Duration
	check Check

	mu   sync.Mutex
	runs map[Subject]*flight // guarded by mu: in flight or cached
}

// flight is one run of a cached check.
type flight struct {
	began  time.Time
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when result is set
	result Result

	waiting int // callers, guarded by cached.mu; 0 in flight means cancelled
}

// Check returns the cached result, the result of the run in flight, or a new one.
func (c *cached) Check(ctx context.Context) Result {
	key, _ := SubjectOf(ctx)
	key.Until = time.Time{}
	for {
		if ctx.Err() != nil {
			return Result{Err: errNotStarted(ctx)}
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
				continue // cancelled, so its result is not valid
			}
			res := r.result
			res.Evidence = maps.Clone(res.Evidence)
			return res
		default:
			return Result{Err: errAbandoned(ctx)}
		}
	}
}

// Digest returns the digest of the wrapped check.
func (c *cached) Digest() string { return derived{parts: []Check{c.check}}.Digest() }

// join returns the run for key, and starts one if necessary. joined reports whether the
// caller is registered as waiting, which is not possible for a cancelled run.
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

// leave unregisters a waiting caller. The last one cancels a run in flight.
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

// makeRoom drops expired results, and the oldest results beyond the limit.
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
			return // runs in flight stay
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
