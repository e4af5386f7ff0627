package external

import (
	"context"
	"errors"
	"sync"

	"github.com/serin-go/serin/checks"
)

// Guard is an [Analysis] that runs in the background and reports its state at any time.
// Its metrics need no end. It is a [checks.Check] and is safe for concurrent use.
type Guard struct {
	a *Analysis

	mu      sync.Mutex
	r       Report
	stopped bool // by its context, so that r is outdated
}

var _ checks.Check = (*Guard)(nil)

// Guard returns a guard. Call [Guard.Run] to start it.
func (a *Analysis) Guard() *Guard {
	return &Guard{a: a, r: AssessAll(a.cfg.Metrics, make([]Tally, len(a.cfg.Metrics)), false)}
}

// Run is like [Analysis.Run], and blocks until the analysis ends. Each run starts with
// new counts. Do not run a guard concurrently.
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

// Report returns the state of the analysis.
func (g *Guard) Report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.r
}

// Check immediately returns the state of the analysis. It is Pass if every metric except
// dry runs has a measurement and no metric has ended badly. It is Unknown after the
// context of [Guard.Run] has ended.
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
		res.Status, res.Summary, res.Err = checks.Pass, "no limit exceeded so far", nil
	}
	return res
}

var errStopped = errors.New("external: guard: stopped, so its measurements are outdated")
