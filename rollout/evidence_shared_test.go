package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// expiring is a target that obeys the validity of splits, as a router does.
type expiring struct {
	target
	em     sync.Mutex
	expiry time.Time
}

func (x *expiring) Expire(at time.Time) {
	x.em.Lock()
	defer x.em.Unlock()
	x.expiry = at
}

// stale reports whether the baseline serves because the split has run out.
func (x *expiring) stale() bool {
	x.em.Lock()
	defer x.em.Unlock()
	return !x.expiry.IsZero() && !time.Now().Before(x.expiry)
}

// forgetful is a store that, on demand, shows what was there before, or nothing
// that makes sense, as after a backup was put back or a disk went bad.
type forgetful struct {
	rollout.Store
	mu    sync.Mutex
	shown *rollout.Entry
}

func (f *forgetful) Get(ctx context.Context, key string) (rollout.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shown != nil && key == f.shown.Key {
		return *f.shown, nil
	}
	return f.Store.Get(ctx, key)
}

func (f *forgetful) show(e *rollout.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = e
}

// TestStoreThatGoesBack does not follow a store that has lost what it had
// acknowledged, holds another history, or holds rubbish: the baseline serves
// from when the split runs out, and everything goes on once the store is sane.
func TestStoreThatGoesBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(early, late rollout.Entry) rollout.Entry
	}{
		{"a backup was put back", func(early, _ rollout.Entry) rollout.Entry { return early }},
		{"bits are flipped", func(_, late rollout.Entry) rollout.Entry {
			late.Value = []byte(strings.Replace(string(late.Value), "1.5.0", "1.5.1", 1))
			late.Revision += "x"
			return late
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
				x := &expiring{}
				store := &forgetful{Store: new(memstore.Store)}
				cfg.Store, cfg.Replica, cfg.Targets["chat"] = store, "a", x
				e := open(t, cfg)
				id := begin(t, e, plan())
				time.Sleep(2 * time.Second)
				early, err := store.Store.Get(t.Context(), "rollout/chat")
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Do(t.Context(), id, strategies.Promote, ana); err != nil {
					t.Fatal(err)
				}
				time.Sleep(12 * time.Second)
				if x.current().Weight("1.5.0") != 2500 || x.stale() {
					t.Fatalf("at first it serves %v, stale %t", x.current().Arms, x.stale())
				}
				late, err := store.Store.Get(t.Context(), "rollout/chat")
				if err != nil {
					t.Fatal(err)
				}
				damaged := c.damage(early, late)
				store.show(&damaged)
				time.Sleep(6 * time.Second)
				if !x.stale() || x.current().Reaches("1.5.0") {
					t.Errorf("after a validity it serves %v, stale %t; want the baseline", x.current().Arms, x.stale())
				}
				store.show(nil)
				time.Sleep(3 * time.Second)
				if x.stale() || x.current().Weight("1.5.0") != 2500 {
					t.Errorf("with the store back it serves %v, stale %t", x.current().Arms, x.stale())
				}
			})
		})
	}
}

// TestReplicasAddUp has two processes of which each sees too little to tell:
// together they find out, and whoever drives rolls both back.
func TestReplicasAddUp(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		targets := []*expiring{{}, {}, {}}
		var engines []*rollout.Engine
		for i, x := range targets {
			x.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01}
			go x.serve(t.Context(), 200*time.Millisecond)
			c := cfg
			c.Store, c.Replica, c.Targets = store, fmt.Sprintf("replica-%d", i), map[string]rollout.Splitter{"chat": x}
			engines = append(engines, open(t, c))
		}
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Hour, Limit: 20 * time.Hour}
		id := begin(t, engines[1], p)
		time.Sleep(time.Minute)
		leaders, sum := 0, 0
		for i, e := range engines {
			st := status(t, e, id)
			if targets[i].current().Weight("1.5.0") != 5000 {
				t.Errorf("%d serves %v", i, targets[i].current().Arms)
			}
			if st.Leader {
				leaders++
				sum = st.Exposed
			}
		}
		seen := targets[0].count("1.5.0") + targets[1].count("1.5.0") + targets[2].count("1.5.0")
		if leaders != 1 || sum < seen-20 || sum > seen {
			t.Errorf("%d processes lead, and know of %d of %d requests", leaders, sum, seen)
		}
		// A command is given to one that does not drive.
		for _, e := range engines {
			if st := status(t, e, id); !st.Leader {
				if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		time.Sleep(time.Second)
		for i, e := range engines {
			st := status(t, e, id)
			if st.Phase != strategies.Aborted || targets[i].current().Reaches("1.5.0") {
				t.Errorf("%d: %v, serves %v a second after the abort", i, st.Phase, targets[i].current().Arms)
			}
			if !st.SettledBy.After(last(finish(t, e, id)).At) {
				t.Errorf("%d: settled by %v, before the abort", i, st.SettledBy)
			}
		}
	})
}

// TestLocalBreaker: a process that does not drive stops a candidate that fails
// only there.
func TestLocalBreaker(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		targets := []*expiring{{}, {}}
		var engines []*rollout.Engine
		for i, x := range targets {
			go x.serve(t.Context(), 50*time.Millisecond)
			c := cfg
			c.Store, c.Replica, c.Targets = store, fmt.Sprintf("replica-%d", i), map[string]rollout.Splitter{"chat": x}
			engines = append(engines, open(t, c))
		}
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Hour, Limit: 20 * time.Hour}
		p.Analysis = analysis.Plan{AlphaRollback: 1e-9} // statistics will not find it soon
		id := begin(t, engines[0], p)
		time.Sleep(10 * time.Second)
		follower := 0
		if status(t, engines[0], id).Leader {
			follower = 1
		}
		targets[follower].mu.Lock()
		targets[follower].errorRate = map[string]float64{"1.5.0": 1}
		targets[follower].mu.Unlock()
		end := last(finish(t, engines[1-follower], id))
		if end.Phase != strategies.RolledBack || !strings.Contains(end.Reason, fmt.Sprintf("replica-%d: ", follower)) {
			t.Errorf("%v: %s; want a rollback by the process that sees it", end.Phase, end.Reason)
		}
	})
}
