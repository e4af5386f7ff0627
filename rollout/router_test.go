package rollout_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// reluctant is a router of one of several processes that takes no split while it is told
// so: it refuses, or does not return.
type reluctant struct {
	expiring
	refuses, hangs atomic.Bool
}

func (r *reluctant) SetSplit(ctx context.Context, s strategies.Split) error {
	for r.hangs.Load() {
		time.Sleep(time.Second)
	}
	if r.refuses.Load() {
		return errors.New("no room")
	}
	return r.expiring.SetSplit(ctx, s)
}

// share returns what the split that it has taken last gives the candidate.
func (r *reluctant) share() strategies.Weight {
	all := r.history()
	return all[len(all)-1].Weight("1.5.0")
}

// TestRouterThatTakesNoSplit: a router that does not take the rollback relies on the split
// before it no longer than that is valid, although the store answers. Where nothing is
// driven, its refusal decides nothing.
func TestRouterThatTakesNoSplit(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
			cfg.Checkpoint = 10 * time.Second // which puts the split in force again
			leader, follower := &expiring{}, &reluctant{}
			open1 := func(name string, s rollout.Splitter) *rollout.Engine {
				c := cfg
				c.Replica, c.Targets = name, map[string]rollout.Splitter{"chat": s}
				return open(t, c)
			}
			e := open1("a", leader)
			id := begin(t, e, lastingPlan())
			time.Sleep(10 * time.Second)
			other := open1("b", follower)
			time.Sleep(10 * time.Second)
			if w := follower.share(); w != 5000 || follower.stale() {
				t.Fatalf("the follower gives the candidate %v, stale %v", w, follower.stale())
			}
			follower.refuses.Store(!hangs)
			follower.hangs.Store(hangs)
			// A split that it cannot take, and a command that it carries out.
			var refused *rollout.RefusedError
			if err := other.Do(t.Context(), id, strategies.Pause, ana); errors.As(err, &refused) {
				t.Errorf("a command at the follower: %v", err)
			}
			if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6 * time.Second) // longer than a split is valid
			if w := follower.share(); w != 5000 || !follower.stale() {
				t.Errorf("hangs %v: it has taken %v, stale %v", hangs, w, follower.stale())
			}
			follower.refuses.Store(false)
			follower.hangs.Store(false)
			time.Sleep(time.Minute)
			if st := status(t, other, id); st.Phase != strategies.Aborted {
				t.Errorf("%v: %s", st.Phase, st.Reason)
			}
			if w := follower.share(); w != 0 || follower.stale() {
				t.Errorf("hangs %v: in the end it has %v, stale %v", hangs, w, follower.stale())
			}
		})
	}
}
