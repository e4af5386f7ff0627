package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/strategies"
)

// errCut ends the requests that an arm may not go on with.
var errCut = errors.New("traffic: drain timeout exceeded")

// life ends all requests of an arm together. The zero life is ready to use.
type life struct {
	mu  sync.Mutex
	ctx context.Context
	end context.CancelFunc
}

// context returns one that ends when the arm's requests are cut.
func (l *life) context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		l.ctx, l.end = context.WithCancel(context.Background())
	}
	return l.ctx
}

// cut ends all requests that are under way; those that come later have another
// life.
func (l *life) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx != nil {
		l.end()
		l.ctx = nil
	}
}

// cancelOnDrain cancels the attempt when the arm's requests are cut. It returns a
// stop function.
func (r *Router) cancelOnDrain(a *arm, cancel context.CancelCauseFunc) (stop func() bool) {
	if r.drain == 0 {
		return func() bool { return true }
	}
	return context.AfterFunc(a.stats.life.context(), func() { cancel(errCut) })
}

// retire cuts the requests of arms that a change of the split has taken all
// traffic from, when their time to finish is over.
func (r *Router) retire(before, after strategies.Split) {
	if r.drain == 0 {
		return
	}
	for _, a := range before.Arms {
		name := a.Name
		if !before.Reaches(name) || after.Reaches(name) {
			continue
		}
		for _, s := range *r.known.Load() {
			switch {
			case s.arm != name:
			case r.drain < 0:
				s.life.cut()
			default:
				time.AfterFunc(r.drain, func() {
					if !r.Split().Reaches(name) {
						s.life.cut()
					}
				})
			}
		}
	}
}

// GenerationStats says how many requests that were assigned under one generation
// of the split have not ended.
type GenerationStats struct {
	Generation uint64
	InFlight   int
}

// Generations returns the generation of the split in force, and those before it
// that still have requests in flight, the oldest first. Splits with the same
// generation count together.
func (r *Router) Generations() []GenerationStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.table.Load()
	of := map[uint64]int{now.split.Generation: 0}
	for _, t := range append(slices.Clone(r.past), now) {
		if n := int(t.inFlight.Load()); n > 0 {
			of[t.split.Generation] += n
		}
	}
	var all []GenerationStats
	for g, n := range of {
		all = append(all, GenerationStats{g, n})
	}
	slices.SortFunc(all, func(a, b GenerationStats) int { return cmp.Compare(a.Generation, b.Generation) })
	return all
}

// Drained waits until an arm serves no request any more. Use it before stopping the
// servers of an arm whose traffic has been taken away. An arm that the split still
// gives traffic to may be empty for a moment only. Errors: the cause of the end of
// ctx, with how many requests there were then. An unknown arm is empty.
func (r *Router) Drained(ctx context.Context, arm string) error {
	const pause = 10 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		n := r.inFlight(arm)
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("traffic: arm %q still serves %d requests: %w", arm, n, context.Cause(ctx))
		}
	}
}

func (r *Router) inFlight(arm string) int64 {
	for _, s := range *r.known.Load() {
		if s.arm == arm {
			return s.inFlight.Load()
		}
	}
	return 0
}
