package external

import (
	"context"
	"errors"
	"sync"

	"github.com/serin-go/serin/checks"
)

// Guard is an [Analysis] that goes on in the background and says at any time
// how it stands. Its metrics need no end. It is safe for concurrent use. It is
// a [checks.Check].
type Guard struct {
	a *Analysis

	mu      sync.Mutex
	r       Report
	stopped bool // by its context: what it says is of the past
}

var _ checks.Check = (*Guard)(nil)

// Guard returns a guard that has not begun.
func (a *Analysis) Guard() *Guard {
	return &Guard{a: a, r: AssessAll(a.cfg.Metrics, make([]Tally, len(a.cfg.Metrics)), false)}
}

// Run measures as [Analysis.Run] does, and blocks for as long. A run begins
// with new counts. Only one should be under way at a time.
func (g *Guard) Run(ctx context.Context) Report {
	r := g.a.run(ctx, func(r Report) { g.set(r, false) })
	g.set(r, ctx.Err() != nil)
	return r
}

func (g *Guard) set(r Report, stopped bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.r, g.stopped = r, stopped
}

// Report returns how the analysis stands.
func (g *Guard) Report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.r
}

// Check returns how the analysis stands, at once. It passes once every metric
// that decides has a measurement and as long as none has ended badly. A guard
// whose context has ended no longer passes: nobody looks any more.
func (g *Guard) Check(context.Context) checks.Result {
	g.mu.Lock()
	r, stopped := g.r, g.stopped
	g.mu.Unlock()
	res := r.result()
	measured := r.Summary.Count > 0
	for _, m := range r.Metrics {
		measured = measured && (m.DryRun || m.Count > 0)
	}
	switch {
	case stopped && !r.Phase.bad():
		res.Status, res.Summary, res.Err = checks.Unknown, "", errStopped
	case r.Phase == Running && measured:
		res.Status, res.Summary, res.Err = checks.Pass, "no limit has been exceeded so far", nil
	}
	return res
}

var errStopped = errors.New("external: the guard was stopped; nobody measures any more")
