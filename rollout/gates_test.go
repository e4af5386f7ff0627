package rollout_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// checklist is a check with a digest. It counts its looks.
type checklist struct {
	digest string
	looks  *int
}

func (c checklist) Digest() string {
	if c.digest == "panic" {
		panic("digest")
	}
	return c.digest
}

func (c checklist) Check(context.Context) checks.Result {
	if c.looks != nil {
		*c.looks++
	}
	return checks.Result{Status: checks.Pass}
}

func listed() rollout.Plan {
	p := quick()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Need: 2}}
	p.Preflight = []string{"list"}
	return p
}

// TestDigestCoversChecks: the digest that approvals bind to depends on what the checks
// of the plan are bound to, and on nothing else.
func TestDigestCoversChecks(t *testing.T) {
	digests := map[string]string{}
	for name, bound := range map[string]checks.Check{
		"none": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} }), "empty": checklist{},
		"34 items": checklist{digest: "34"}, "33 items": checklist{digest: "33"},
		"34 items in a decorator": checks.WithTimeout(time.Minute, checklist{digest: "34"}),
	} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			cfg.Checks["list"], cfg.Checks["not in the plan"] = bound, checklist{digest: name[:2]}
			e := open(t, cfg)
			healthy(t, tgt)
			st := status(t, e, begin(t, e, listed()))
			if digests[name] = st.Digest; (st.Digest == st.Plan.Digest()) != (name == "none" || name == "empty") {
				t.Errorf("%s: digest %s, the plan's is %s", name, st.Digest, st.Plan.Digest())
			}
		})
	}
	if digests["none"] != digests["empty"] || digests["34 items"] != digests["34 items in a decorator"] || digests["34 items"] == digests["33 items"] {
		t.Errorf("digests %v", digests)
	}
}

func TestBadDigestIsRefused(t *testing.T) {
	for _, bad := range []string{"panic", "with blank", strings.Repeat("a", 129)} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			cfg.Checks["list"] = checklist{digest: bad}
			e := open(t, cfg)
			var invalid *checks.InvalidError
			if id, err := e.Start(t.Context(), listed(), ana); !errors.As(err, &invalid) || !strings.Contains(invalid.Field, "list") {
				t.Errorf("%.20q: %v, %v, want an InvalidError", bad, id, err)
			}
		})
	}
}

// TestChangedChecksVoidVotes: an engine that takes a rollout up with other checks pauses
// it once, voids its votes, and has the preflight looked at again.
func TestChangedChecksVoidVotes(t *testing.T) {
	for name, c := range map[string]struct {
		later  checks.Check
		paused bool
	}{
		"the same":         {checklist{digest: "34"}, false},
		"fewer items":      {checklist{digest: "33"}, true},
		"without a digest": {checklist{}, true},
		"with a panic":     {checklist{digest: "panic"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				healthy(t, tgt)
				cfg.Checks["list"] = checklist{digest: "34"}
				e := open(t, cfg)
				id := begin(t, e, listed())
				time.Sleep(2 * time.Minute)
				ben, cy := rollout.Actor{Name: "ben"}, rollout.Actor{Name: "cy"}
				before := status(t, e, id)
				if err := e.Do(t.Context(), id, strategies.Approve, ben, rollout.OfPlan(before.Digest)); err != nil {
					t.Fatal(err)
				}
				for range 2 { // one pause, not one for each restart
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
					cfg.Checks["list"] = c.later
					e = open(t, cfg)
					time.Sleep(time.Minute)
				}
				st := status(t, e, id)
				if st.Phase != strategies.Approving || st.Paused != c.paused || (len(st.Votes) == 0) != c.paused || (st.Digest != before.Digest) != c.paused {
					t.Errorf("%v, paused %t, votes %v, digest changed %t (%s)", st.Phase, st.Paused, st.Votes, st.Digest != before.Digest, st.Reason)
				}
				if c.paused {
					if !strings.Contains(st.Reason, "list: 34 → ") {
						t.Errorf("reason %q", st.Reason)
					}
					var conflict *rollout.ConflictError
					if err := e.Do(t.Context(), id, strategies.Approve, cy, rollout.OfPlan(before.Digest)); !errors.As(err, &conflict) {
						t.Errorf("approval of what was there before = %v, want a ConflictError", err)
					}
					for _, err := range []error{e.Do(t.Context(), id, strategies.Resume, ana), e.Do(t.Context(), id, strategies.Approve, ben, rollout.OfPlan(st.Digest))} {
						if err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := e.Do(t.Context(), id, strategies.Approve, cy, rollout.OfPlan(st.Digest)); err != nil {
					t.Fatal(err)
				}
				pauses := 0
				for _, ev := range finish(t, e, id) {
					if ev.Kind == rollout.Paused && ev.Rule == "gates" && ev.Urgent {
						pauses++
					}
				}
				if st := status(t, e, id); st.Phase != strategies.Promoted || (pauses == 1) != c.paused || pauses > 1 {
					t.Errorf("%v (%s) after %d pauses", st.Phase, st.Reason, pauses)
				}
			})
		})
	}
}

// TestChangedChecksOfAnotherReplica: a replica that takes the rollout over from one that
// has gone compares the checks too, and the preflight is looked at again before traffic.
func TestChangedChecksOfAnotherReplica(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		looks := 0
		opened := func(name, digest string) *rollout.Engine {
			x := new(target)
			healthy(t, x)
			c := cfg
			c.Store, c.Replica, c.Targets = store, name, map[string]rollout.Splitter{"chat": x}
			c.Checks = map[string]checks.Check{"list": checklist{digest: digest, looks: &looks}}
			return open(t, c)
		}
		a := opened("a", "34")
		p := listed()
		stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
		if err != nil {
			t.Fatal(err)
		}
		stages[0].Approve = &strategies.Approval{}
		p.Stages = stages
		id := begin(t, a, p)
		time.Sleep(10 * time.Second)
		if st := status(t, a, id); st.Phase != strategies.Approving || looks != 1 {
			t.Fatalf("%v (%s) after %d looks", st.Phase, st.Reason, looks)
		}
		b := opened("b", "33")
		time.Sleep(10 * time.Second)
		if st := status(t, b, id); st.Paused {
			t.Errorf("a follower has paused it: %s", st.Reason)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		st := status(t, b, id)
		if !st.Leader || !st.Paused || !strings.Contains(st.Reason, "34 → 33") {
			t.Fatalf("leads %t, paused %t (%s)", st.Leader, st.Paused, st.Reason)
		}
		for _, c := range []strategies.Command{strategies.Resume, strategies.Approve} {
			if err := b.Do(t.Context(), id, c, rollout.Actor{Name: "cy"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		if st := status(t, b, id); st.Phase != strategies.Baking || looks != 2 {
			t.Errorf("%v (%s) after %d looks, want baking after 2", st.Phase, st.Reason, looks)
		}
	})
}

// unwilling is a store that refuses to pause rollouts because of their checks.
type unwilling struct {
	rollout.Store
	refuses atomic.Bool
}

func (u *unwilling) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if u.refuses.Load() && bytes.Contains(value, []byte(`"rule":"gates"`)) {
		return "", errors.New("full")
	}
	return u.Store.Put(ctx, key, value, prev)
}

// TestChangedChecksThatCannotBeStored: until the pause is stored nothing goes on.
func TestChangedChecksThatCannotBeStored(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		store := &unwilling{Store: cfg.Store}
		cfg.Store = store
		cfg.Checks["list"] = checklist{digest: "34"}
		e := open(t, cfg)
		id := begin(t, e, listed())
		time.Sleep(30 * time.Second)
		if st := status(t, e, id); st.Phase != strategies.Baking {
			t.Fatalf("%v (%s)", st.Phase, st.Reason)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		store.refuses.Store(true)
		cfg.Checks["list"] = checklist{digest: "33"}
		e = open(t, cfg)
		time.Sleep(5 * time.Minute)
		if st := status(t, e, id); st.Phase != strategies.Baking || st.Paused || tgt.current().Reaches("1.5.0") {
			t.Errorf("%v, paused %t, serves %v; want the baseline", st.Phase, st.Paused, tgt.current().Arms)
		}
		store.refuses.Store(false)
		time.Sleep(5 * time.Minute)
		if st := status(t, e, id); st.Phase != strategies.Baking || !st.Paused || !strings.Contains(st.Reason, "34 → 33") {
			t.Errorf("%v, paused %t (%s)", st.Phase, st.Paused, st.Reason)
		}
		claims := 0
		for ev, err := range e.Events(t.Context(), id, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == rollout.Continued {
				claims++
			}
			if ev.Kind == rollout.Paused {
				break // Events waits for more
			}
		}
		if claims != 1 {
			t.Errorf("%d claims, want 1", claims)
		}
	})
}
