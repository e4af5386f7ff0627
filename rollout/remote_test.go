package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// fleet opens two engines over one store.
func fleet(t *testing.T, cfg rollout.Config) (engines []*rollout.Engine, targets []*expiring) {
	t.Helper()
	for i := range 2 {
		x := &expiring{}
		go x.serve(t.Context(), 100*time.Millisecond)
		c := cfg
		c.Replica, c.Targets = fmt.Sprintf("replica-%d", i), map[string]rollout.Splitter{"chat": x}
		engines, targets = append(engines, open(t, c)), append(targets, x)
	}
	return engines, targets
}

func lastingPlan() rollout.Plan {
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Hour, Limit: 20 * time.Hour}
	return p
}

// TestOpenWithoutTargets: an engine without targets reads and gives commands, and drives
// nothing, also while no process serves.
func TestOpenWithoutTargets(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		engines, targets := fleet(t, cfg)
		id, err := engines[0].Start(t.Context(), lastingPlan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		far := cfg
		far.Targets, far.Replica = nil, "ctl"
		ctl := open(t, far)
		if err := ctl.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if st := status(t, engines[1], id); !st.Paused {
			t.Error("the pause has not reached the engines")
		}
		if err := ctl.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		engines[0].Close()
		engines[1].Close()
		set := len(targets[0].history()) + len(targets[1].history())
		time.Sleep(time.Hour)
		if st := status(t, ctl, id); st.Leader || st.Stage > 0 || st.Split.Weight("1.5.0") > 5000 {
			t.Errorf("it drives: %v, stage %d, the candidate has %v", st.Leader, st.Stage, st.Split.Weight("1.5.0"))
		}
		if n := len(targets[0].history()) + len(targets[1].history()); n > set {
			t.Errorf("%d splits were set while no process serves", n-set)
		}
		if len(ctl.Targets()) > 0 || ctl.Changed("chat") != nil {
			t.Error("it has targets")
		}
		var unknown *checks.InvalidError
		p := lastingPlan()
		p.Target = "nowhere"
		if _, err := ctl.Start(t.Context(), p, ana); !errors.As(err, &unknown) {
			t.Errorf("Start for a target that no process has: %v", err)
		}
		if err := ctl.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Error(err)
		}
	})
}

// written is a store that lists the keys that were written through it.
type written struct {
	rollout.Store
	keys []string
}

func (w *written) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	w.keys = append(w.keys, key)
	return w.Store.Put(ctx, key, value, prev)
}

// TestReader: it returns what the engines return, and writes nothing.
func TestReader(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		cfg.Checkpoint = 10 * time.Second
		store := &written{Store: cfg.Store}
		r := rollout.Reader(store)
		if names, err := r.Targets(t.Context()); err != nil || len(names) > 0 {
			t.Errorf("targets of an empty store: %q, %v", names, err)
		}
		if _, err := r.Newest(t.Context(), "chat"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("Newest of an empty store: %v", err)
		}
		engines, _ := fleet(t, cfg)
		for range 3 {
			id := begin(t, engines[0], lastingPlan())
			time.Sleep(12 * time.Second)
			if err := engines[1].Do(t.Context(), id, strategies.Abort, ana); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		id := begin(t, engines[0], lastingPlan())
		time.Sleep(time.Minute)
		if names, err := r.Targets(t.Context()); err != nil || !slices.Equal(names, []string{"chat"}) {
			t.Errorf("targets: %q, %v", names, err)
		}
		now, want := must(r.Newest(t.Context(), "chat")), status(t, engines[0], id)
		if now.ID != id || now.Phase != want.Phase || now.Exposed == 0 || now.Leader || !now.Split.Equal(want.Split) {
			t.Errorf("the newest is %+v", now)
		}
		if again := must(r.Status(t.Context(), id)); again.Seq != now.Seq {
			t.Errorf("Status: event %d, Newest: event %d", again.Seq, now.Seq)
		}
		page, err := r.Rollouts(t.Context(), "chat", id, 2)
		if err != nil || len(page) != 2 || page[0].ID != "chat/3" || page[1].ID != "chat/2" {
			t.Errorf("%d rollouts, %v", len(page), err)
		}
		events, err := r.Read(t.Context(), "chat/2", 1, 100)
		other, err2 := engines[0].Read(t.Context(), "chat/2", 1, 100)
		if diff := cmp.Diff(other, events, cmpopts.EquateEmpty()); diff != "" || errors.Join(err, err2) != nil {
			t.Errorf("%v, events (-engine +reader):\n%s", errors.Join(err, err2), diff)
		}
		go func() {
			time.Sleep(time.Minute)
			_ = engines[0].Do(t.Context(), id, strategies.Abort, ana)
		}()
		var end rollout.Event
		for ev, err := range r.Events(t.Context(), id, 1) {
			if err != nil {
				t.Fatal(err)
			}
			end = ev
		}
		if end.Kind != rollout.Ended {
			t.Errorf("the last event is %v", end)
		}
		if len(store.keys) > 0 {
			t.Errorf("the reader wrote %q", store.keys)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestCommander: commands are in force in the processes that serve, under the same rules.
// The lease stays where it is, and nothing but the record is written.
func TestCommander(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		engines, targets := fleet(t, cfg)
		store := &written{Store: cfg.Store}
		var refused []rollout.Refusal
		c, err := rollout.Commander(store, rollout.Config{
			Checks:    cfg.Checks,
			Authorize: rollout.Roles{"sre": {"*"}}.Authorize,
			Refused:   func(_ context.Context, r rollout.Refusal) { refused = append(refused, r) },
		})
		if err != nil {
			t.Fatal(err)
		}
		sre := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
		time.Sleep(time.Second)
		for _, name := range []string{"chta", "No Target", ""} {
			p := lastingPlan()
			p.Target = name
			var invalid *checks.InvalidError
			if _, err := c.Start(t.Context(), p, sre); !errors.As(err, &invalid) {
				t.Errorf("start for target %q: %v", name, err)
			}
		}
		p := lastingPlan()
		p.Preflight = []string{"nothing of this name"}
		var invalid *checks.InvalidError
		if _, err := c.Start(t.Context(), p, sre); !errors.As(err, &invalid) {
			t.Errorf("start with a check that is not bound: %v", err)
		}
		p.Preflight = []string{"pass"}
		var forbidden *rollout.ForbiddenError
		if _, err := c.Start(t.Context(), p, rollout.Actor{Name: "ben"}); !errors.As(err, &forbidden) {
			t.Errorf("start by another person: %v", err)
		}
		id, err := c.Start(t.Context(), p, sre)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		serves := func(want strategies.Weight) {
			t.Helper()
			for i, x := range targets {
				if got := x.current().Weight("1.5.0"); got != want {
					t.Errorf("%d gives the candidate %v, want %v", i, got, want)
				}
			}
		}
		serves(5000)
		leader := leaderOf(t, cfg.Store)
		var busy *rollout.BusyError
		if _, err := c.Start(t.Context(), p, sre); !errors.As(err, &busy) {
			t.Errorf("a second start: %v", err)
		}
		var no *rollout.RefusedError
		if err := c.Do(t.Context(), id, strategies.Resume, sre); !errors.As(err, &no) {
			t.Errorf("resume of what is not paused: %v", err)
		}
		if err := c.Do(t.Context(), id, strategies.Pause, sre, rollout.IfSeq(1)); !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("a command for a state that is past: %v", err)
		}
		if err := c.Do(t.Context(), id, strategies.Abort, rollout.Actor{Name: "ben"}); !errors.As(err, &forbidden) {
			t.Errorf("abort by another person: %v", err)
		}
		for range 2 { // a repetition changes nothing
			if err := c.Do(t.Context(), id, strategies.Pause, sre, rollout.Key("once"), rollout.Because("lunch")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		for i, e := range engines {
			if st := status(t, e, id); !st.Paused || st.Reason == "" {
				t.Errorf("%d: paused %t (%s)", i, st.Paused, st.Reason)
			}
		}
		if err := c.Do(t.Context(), id, strategies.Abort, sre); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		serves(0)
		if err := c.Do(t.Context(), id, strategies.Pause, sre); !errors.As(err, &no) {
			t.Errorf("a command after the end: %v", err)
		}
		if err := c.Do(t.Context(), "chat/9", strategies.Pause, sre); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("a command on an unknown rollout: %v", err)
		}
		again, err := c.Retry(t.Context(), id, sre)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		serves(5000)
		p.Supersede = true
		p.Candidate = release("1.6.0")
		third, err := c.Start(t.Context(), p, sre)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if st := must(c.Status(t.Context(), again)); st.Phase != strategies.Superseded {
			t.Errorf("%s is %v", again, st.Phase)
		}
		if targets[0].current().Weight("1.6.0") != 5000 || status(t, engines[1], third).Phase != strategies.Baking {
			t.Errorf("%s serves %v", third, targets[0].current().Arms)
		}
		if now := leaderOf(t, cfg.Store); now != leader {
			t.Errorf("%s drives, %s did", now, leader)
		}
		for _, key := range store.keys {
			if !slices.ContainsFunc([]string{"rollout/chat", "audit/chat/", "archive/chat/"}, func(p string) bool { return len(key) >= len(p) && key[:len(p)] == p }) {
				t.Errorf("the commander wrote %s", key)
			}
		}
		if len(refused) < 4 {
			t.Errorf("%d refusals were reported", len(refused))
		}
		for _, id := range []rollout.ID{id, again} {
			finish(t, engines[0], id) // verifies the chain
		}
	})
}

func leaderOf(t *testing.T, s rollout.Store) string {
	t.Helper()
	e, err := s.Get(t.Context(), "lease/chat")
	if err != nil {
		t.Fatal(err)
	}
	var holder string
	if _, after, ok := strings.Cut(string(e.Value), `"holder":"`); ok {
		holder, _, _ = strings.Cut(after, `"`)
	}
	return holder
}

// TestCommanderBesideALoneEngine: an engine that does not share its store learns of an
// abort with its next checkpoint, and the rollout ends.
func TestCommanderBesideALoneEngine(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Checkpoint = 10 * time.Second // a lone engine sees a command then
		healthy(t, tgt)
		e := open(t, cfg)
		id := begin(t, e, lastingPlan())
		time.Sleep(15*time.Second + 500*time.Millisecond)
		c, err := rollout.Commander(cfg.Store, rollout.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var invalid *checks.InvalidError
		p := lastingPlan()
		p.Target = "search"
		if _, err := c.Start(t.Context(), p, ana); !errors.As(err, &invalid) {
			t.Errorf("start where no engine would notice: %v", err)
		}
		if err := c.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		if st := status(t, e, id); st.Phase != strategies.Aborted || tgt.current().Reaches("1.5.0") {
			t.Errorf("%v, serves %v", st.Phase, tgt.current().Arms)
		}
		finish(t, e, id)
	})
}

func TestCommanderConfig(t *testing.T) {
	var invalid *checks.InvalidError
	if _, err := rollout.Commander(nil, rollout.Config{}); !errors.As(err, &invalid) || invalid.Field != "Config.Store" {
		t.Errorf("without a store: %v", err)
	}
	if _, err := rollout.Commander(new(memstore.Store), rollout.Config{Poll: -1}); !errors.As(err, &invalid) {
		t.Errorf("with a bad Poll: %v", err)
	}
}
