package rollout_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

var fleetSize = flag.Int("members", 0, "processes of the simulated fleet; 0 is 60, 30 with -race or -short")

func fleetMembers() int {
	switch {
	case *fleetSize > 0:
		return *fleetSize
	case testing.Short(), rollout.RaceEnabled:
		return 30
	}
	return 60
}

// fleetPlan bakes at five percent until a command comes.
func fleetPlan() rollout.Plan {
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{500, 2500}, Bake: 10 * time.Hour, Limit: 20 * time.Hour}
	return p
}

// TestFleet holds what a fleet asks of its store, and how quickly it follows, against
// what the package comment promises.
//
//	go test ./rollout -run TestFleet -members 1000 -v
func TestFleet(t *testing.T) {
	n := fleetMembers()
	// Small fleets look as often as one process.
	mostOps, mostBytes := min(float64(4*n+10), 400), 1e6
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all := openFleet(t, n)
		go all.serve(ctx, 5*float64(n), 1)
		time.Sleep(10 * time.Second)
		id := begin(t, all.list[0].engine, fleetPlan())
		report := func(what string, limit time.Duration, there func(*fleetMember) bool) {
			most, last, ok := all.reached(30*time.Second, there)
			t.Logf("%s: 99 %% within %v, all within %v", what, most, last)
			if !ok || most > limit {
				t.Errorf("%s: want 99 %% within %v", what, limit)
			}
		}
		report("the first split", time.Second, (*fleetMember).candidate)
		first, _ := all.asked(func() { time.Sleep(30 * time.Second) })
		ops, bytes := all.asked(func() { time.Sleep(60 * time.Second) })
		t.Logf("baking: %.0f operations and %.2f MB a second; %.0f operations in the first half minute; in all %v", ops, bytes/1e6, first, all.kinds)
		if ops > mostOps || bytes > mostBytes {
			t.Errorf("%.0f operations and %.2f MB a second, want at most %.0f and %.2f", ops, bytes/1e6, mostOps, mostBytes/1e6)
		}
		if err := all.list[n/2].engine.Do(ctx, id, strategies.Promote, ana); err != nil {
			t.Fatal(err)
		}
		report("the next split", time.Second, func(m *fleetMember) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.split.Weight("1.5.0") == 2500
		})
		time.Sleep(30 * time.Second)
		old := all.leader(id)
		if old == nil {
			t.Fatal("no process leads")
		}
		old.cut.Store(true)
		began := time.Now()
		for all.leader(id) == nil && time.Since(began) < time.Minute {
			time.Sleep(50 * time.Millisecond)
		}
		took := time.Since(began)
		t.Logf("takeover: %v", took)
		if took > 10*time.Second {
			t.Errorf("takeover after %v, want at most two leases", took)
		}
		time.Sleep(10 * time.Second)
		if err := all.leader(id).engine.Do(ctx, id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		report("the rollback", time.Second, func(m *fleetMember) bool { return !m.candidate() })
		if old.candidate() {
			t.Error("the candidate has traffic in the process that is cut off")
		}
		old.cut.Store(false)
		time.Sleep(20 * time.Minute)
		ops, _ = all.asked(func() { time.Sleep(20 * time.Minute) })
		t.Logf("idle: %.1f operations a second", ops)
		if ops > 20 && n <= 1000 {
			t.Errorf("%.1f operations a second while nothing is active, want at most 20", ops)
		}
	})
}

// TestFleetFindsHarm compares how long a fleet takes to find harm with one process that
// sees all its traffic.
//
//	go test ./rollout -run TestFleetFindsHarm -members 1000 -timeout 30m -v
func TestFleetFindsHarm(t *testing.T) {
	if rollout.RaceEnabled {
		t.Skip("it is about what is found, which needs no race detector, and takes minutes with it")
	}
	n := fleetMembers()
	for _, c := range []struct {
		bad   float64
		seeds uint64        // more where a run is short and its time varies more
		extra time.Duration // for harm that one process finds within seconds
	}{{.04, 3, 10 * time.Second}, {.1, 12, 4 * time.Second}} {
		took := func(n, rate int, seed uint64) (delay time.Duration) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				all := openFleet(t, n)
				all.fail(map[string]float64{"1.4.0": .02, "1.5.0": c.bad})
				go all.serve(ctx, float64(rate), seed)
				time.Sleep(time.Second)
				id := begin(t, all.list[0].engine, fleetPlan())
				began := time.Now()
				if end := last(finish(t, all.list[0].engine, id)); end.Phase != strategies.RolledBack {
					t.Errorf("%v: %s", end.Phase, end.Reason)
				}
				delay = time.Since(began)
			})
			return delay
		}
		var one, fleet time.Duration
		for seed := range c.seeds {
			a, b := took(1, 5*n, seed), took(n, 5*n, seed)
			t.Logf("errors of %v %%: one process %v, %d processes %v", c.bad*100, a, n, b)
			one, fleet = one+a, fleet+b
		}
		if fleet > one*3/2+time.Duration(c.seeds)*c.extra {
			t.Errorf("errors of %v %%: a fleet takes %.2f times as long as one process, want up to 1.5, and %v", c.bad*100, fleet.Seconds()/one.Seconds(), c.extra)
		}
	}
}

// TestFleetOutlastsIncident has a candidate fail all requests for less than Plan.Persist,
// in all processes at the same time. That rolls back neither one process nor, most of the
// time, a fleet: about one in seven bursts crosses the borders of blocks in such a way that
// it does. Without Persist each of them would.
func TestFleetOutlastsIncident(t *testing.T) {
	if rollout.RaceEnabled {
		t.Skip("it is about what is found, which needs no race detector, and takes minutes with it")
	}
	for _, c := range []struct{ n, seeds, most int }{{1, 3, 0}, {30, 8, 6}} {
		var rolledBack []string
		for seed := range uint64(c.seeds) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				all := openFleet(t, c.n)
				go all.serve(ctx, 300, seed)
				time.Sleep(time.Second)
				p := fleetPlan()
				p.Analysis.Breakers = []analysis.Breaker{} // which do not wait
				id := begin(t, all.list[0].engine, p)
				time.Sleep(time.Minute + time.Duration(seed%3)*700*time.Millisecond)
				all.fail(map[string]float64{"1.5.0": 1})
				time.Sleep(1500 * time.Millisecond)
				all.fail(nil)
				time.Sleep(time.Minute)
				if st := status(t, all.list[0].engine, id); st.Phase != strategies.Baking {
					rolledBack = append(rolledBack, fmt.Sprintf("seed %d: %v (%s)", seed, st.Phase, st.Reason))
				}
			})
		}
		t.Logf("%d processes: %d of %d bursts rolled back", c.n, len(rolledBack), c.seeds)
		if len(rolledBack) > c.most {
			t.Errorf("%d processes, want at most %d of %d:\n%s", c.n, c.most, c.seeds, strings.Join(rolledBack, "\n"))
		}
	}
}
