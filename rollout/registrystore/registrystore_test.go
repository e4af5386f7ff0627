package registrystore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/registrystore"
	"github.com/serin-go/serin/rollout/rollouttest"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/registry"
	"github.com/serin-go/serin/versioning/registry/registrytest"
)

func open(t *testing.T, c registrystore.Config) *registrystore.Registry {
	t.Helper()
	r, err := registrystore.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistry(t *testing.T) {
	registrytest.Exercise(t, func(t *testing.T) registry.Registry {
		return open(t, registrystore.Config{Store: new(memstore.Store), MinNotice: registrytest.Notice})
	})
}

func TestRegistryInAFile(t *testing.T) {
	registrytest.Exercise(t, func(t *testing.T) registry.Registry {
		store, err := boltstore.New(boltstore.Config{Path: filepath.Join(t.TempDir(), "rollouts.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return open(t, registrystore.Config{Store: store, MinNotice: registrytest.Notice})
	})
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func key(version string) registry.Key {
	return registry.Key{Name: "chat", Version: versioning.MustParse(version)}
}

// TestSharedByProcesses: every change of several processes is kept, and none is lost.
func TestSharedByProcesses(t *testing.T) {
	store := new(memstore.Store)
	const processes, each = 3, 40
	var all sync.WaitGroup
	for p := range processes {
		r := open(t, registrystore.Config{Store: store})
		all.Go(func() {
			for i := range each {
				k := key(fmt.Sprintf("%d.%d.0", p+1, i))
				if err := r.Register(t.Context(), k, digest("a")); err != nil {
					t.Error(err)
				}
				for {
					now, err := r.Alias(t.Context(), "chat", registry.Production)
					if err != nil && !errors.Is(err, registry.ErrNotFound) {
						t.Error(err)
					}
					err = r.Move(t.Context(), registry.Move{Name: "chat", Alias: registry.Production, From: now.Key, To: k, By: fmt.Sprint("process ", p)})
					if err == nil {
						break
					}
					if !errors.Is(err, registry.ErrConflict) {
						t.Error(err)
						break
					}
				}
			}
		})
	}
	all.Wait()
	r := open(t, registrystore.Config{Store: store})
	records, err := r.List(t.Context(), "chat")
	if err != nil || len(records) != processes*each {
		t.Errorf("%d records, %v", len(records), err)
	}
	// The moves are a chain, whatever was archived.
	moves, err := r.History(t.Context(), "chat", registry.Production)
	if err != nil || len(moves) != processes*each {
		t.Fatalf("%d moves, %v", len(moves), err)
	}
	for i := 1; i < len(moves); i++ {
		if moves[i].From != moves[i-1].To {
			t.Errorf("move %d begins at %v, and the one before ends at %v", i, moves[i].From, moves[i-1].To)
		}
	}
}

func TestNamesAndDamage(t *testing.T) {
	store := new(memstore.Store)
	r := open(t, registrystore.Config{Store: store})
	names := []string{"chat", "org/chat", "Org/Chat", "org_chat", "_2f", "ü", strings.Repeat("long/", 50), strings.Repeat("long/", 50) + "x"}
	for i, name := range names {
		k := registry.Key{Name: name, Version: versioning.MustParse(fmt.Sprintf("1.%d.0", i))}
		if err := r.Register(t.Context(), k, digest("a")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, name := range names {
		if got, err := r.List(t.Context(), name); err != nil || len(got) != 1 || got[0].Version.Minor() != uint64(i) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	other := open(t, registrystore.Config{Store: store, Name: "staging"})
	if got, err := other.List(t.Context(), "chat"); err != nil || len(got) != 0 {
		t.Errorf("another registry: %v, %v", got, err)
	}
	for entry, err := range store.List(t.Context(), "registry/main/chat/") {
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"{", `{"format":9,"model":"chat"}`, `{"format":1,"model":"other"}`, `{"format":1,"model":"chat","x":1}`, `{"format":1,"model":"chat","builds":[{"name":"chat","version":"1.0.0","digest":"x"}]}`} {
			now, err := store.Get(t.Context(), entry.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Put(t.Context(), entry.Key, []byte(text), now.Revision); err != nil {
				t.Fatal(err)
			}
			if _, err := r.List(t.Context(), "chat"); err == nil {
				t.Errorf("%s was read", text)
			}
			if err := r.Register(t.Context(), key("9.0.0"), digest("a")); err == nil {
				t.Errorf("%s was overwritten", text)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	for field, c := range map[string]registrystore.Config{
		"Config.Store": {}, "Config.Name": {Store: new(memstore.Store), Name: "A b"},
		"Config.Alias":     {Store: new(memstore.Store), Alias: " "},
		"Config.MinNotice": {Store: new(memstore.Store), MinNotice: -1},
	} {
		_, err := registrystore.New(c)
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// unknown is the plan of a rollout of the conformance suite.
func unknown(_ context.Context, id rollout.ID) (rollout.Status, error) {
	return rollout.Status{ID: id, Plan: rollout.Plan{Target: id.Target()}}, nil
}

func TestSink(t *testing.T) {
	rollouttest.Sink(t, func(t *testing.T) rollout.Sink {
		return open(t, registrystore.Config{Store: new(memstore.Store), Status: unknown})
	})
}

// traffic stands for what divides the traffic; it may report that the candidate fails.
type traffic struct{}

func (traffic) SetSplit(context.Context, strategies.Split) error { return nil }

// world is an engine whose store holds the registry.
type world struct {
	*rollout.Engine
	store rollout.Store
	reg   *registrystore.Registry
	led   *ledger.Ledger
	sound bool // what the check after the last stage says
}

func start(t *testing.T) *world {
	t.Helper()
	store := new(memstore.Store)
	led, err := ledger.Open(t.Context(), ledger.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: store, led: led, sound: true}
	w.reg = open(t, registrystore.Config{Store: store, Note: led.Note})
	w.Engine, err = rollout.Open(t.Context(), rollout.Config{
		Store: store, Targets: map[string]rollout.Splitter{"chat": traffic{}}, Sinks: map[string]rollout.Sink{"registry": w.reg},
		Checks: map[string]checks.Check{"sound": checks.Func(func(context.Context) checks.Result {
			if w.sound {
				return checks.Result{Status: checks.Pass}
			}
			return checks.Result{Status: checks.Fail, Summary: "wrong answers"}
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = led.Close() })
	return w
}

// roll carries out a rollout to its end.
func (w *world) roll(t *testing.T, from, to string, digest string) rollout.ID {
	t.Helper()
	stages := []strategies.Stage{{Name: "all", Split: strategies.Split{Arms: []strategies.Arm{{Name: from}, {Name: to, Weight: strategies.Full}}}}}
	id, err := w.Start(t.Context(), rollout.Plan{
		Target:   "chat",
		Baseline: versioning.Release{Version: versioning.MustParse(from)}, Candidate: versioning.Release{Version: versioning.MustParse(to), Digest: digest},
		Stages: stages, Postflight: []string{"sound"},
	}, rollout.Actor{Name: "ana"})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range w.Events(t.Context(), id, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == rollout.PhaseEntered && e.Phase == strategies.Baking {
			if err := w.Do(t.Context(), id, strategies.Promote, rollout.Actor{Name: "ana"}); err != nil {
				t.Fatal(err)
			}
		}
		if e.Kind == rollout.Ended {
			break
		}
	}
	time.Sleep(time.Minute) // for the sink, in virtual time
	return id
}

func (w *world) production(t *testing.T) (now string, moves []registry.Move) {
	t.Helper()
	r, err := w.reg.Alias(t.Context(), "chat", registry.Production)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		t.Fatal(err)
	}
	moves, err = w.reg.History(t.Context(), "chat", registry.Production)
	if err != nil {
		t.Fatal(err)
	}
	return r.Version.String(), moves
}

// TestPromotionsAndRollbacks: production follows the rollouts, the history says which,
// and the ledger has the same.
func TestPromotionsAndRollbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		for _, v := range []string{"1.4.0", "1.5.0", "1.6.0"} {
			if err := w.reg.Register(t.Context(), key(v), digest("a")); err != nil {
				t.Fatal(err)
			}
		}
		first := w.roll(t, "1.4.0", "1.5.0", "")
		if now, moves := w.production(t); now != "1.5.0" || len(moves) != 1 || moves[0].Rollout != string(first) || moves[0].At.IsZero() || moves[0].By == "" {
			t.Errorf("after the promotion: %s, %+v", now, moves)
		}
		w.sound = false
		second := w.roll(t, "1.5.0", "1.6.0", digest("a"))
		if s, err := w.Status(t.Context(), second); err != nil || s.Phase != strategies.RolledBack {
			t.Fatalf("%v, %v", s.Phase, err)
		}
		now, moves := w.production(t)
		if now != "1.5.0" || len(moves) != 3 || moves[1].To != key("1.6.0") || moves[2].To != key("1.5.0") || moves[2].Rollout != string(second) || !strings.Contains(moves[2].Reason, "wrong answers") {
			t.Errorf("after the rollback: %s, %+v", now, moves)
		}
		notes := 0
		for e, err := range w.led.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == ledger.Noted && e.Name == registry.Production && strings.Contains(string(e.Note), digest("a")) {
				notes++
			}
		}
		if notes < 3 || w.led.Verify(t.Context()) != nil {
			t.Errorf("%d notes in the ledger", notes)
		}
		// Events that come again change nothing.
		for _, id := range []rollout.ID{second, first} {
			events, err := w.Read(t.Context(), id, 1, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if err := w.reg.Notify(t.Context(), e); err != nil {
					t.Errorf("%v: %v", e, err)
				}
			}
		}
		if again, repeated := w.production(t); again != now || len(repeated) != len(moves) {
			t.Errorf("after events that came again: %s, %+v", again, repeated)
		}
	})
}

// TestCandidatesThatAreNotWhatWasRegistered move nothing, and a dead letter says why.
func TestCandidatesThatAreNotWhatWasRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		if err := w.reg.Register(t.Context(), key("1.5.0"), digest("a")); err != nil {
			t.Fatal(err)
		}
		w.roll(t, "1.4.0", "1.5.0", digest("b"))
		w.roll(t, "1.5.0", "1.6.0", "")
		if now, moves := w.production(t); now != "0.0.0" || len(moves) != 0 {
			t.Errorf("%s, %+v", now, moves)
		}
		letters := 0
		for letter, err := range rollout.DeadLetters(t.Context(), w.store) {
			if err != nil {
				t.Fatal(err)
			}
			if letter.Sink == "registry" {
				letters++
			}
		}
		if letters < 2 {
			t.Errorf("%d dead letters", letters)
		}
	})
}

// TestMovesByHand: an event that comes again does not undo what an operator has done since, and
// after a rollback the alias does not name the bad build, even if the former one was withdrawn.
func TestMovesByHand(t *testing.T) {
	p := rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")}}
	fresh := func() *registrystore.Registry {
		r := open(t, registrystore.Config{Store: new(memstore.Store), Status: func(_ context.Context, id rollout.ID) (rollout.Status, error) {
			return rollout.Status{ID: id, Plan: p}, nil
		}})
		for _, v := range []string{"1.4.0", "1.5.0"} {
			if err := r.Register(t.Context(), key(v), digest("a")); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SetAlias(t.Context(), "chat", registry.Production, registry.Key{}, key("1.4.0")); err != nil {
			t.Fatal(err)
		}
		return r
	}
	promoted := rollout.Event{Rollout: "chat/1", Kind: rollout.PhaseEntered, Phase: strategies.Monitoring, At: time.Now()}
	ended := rollout.Event{Rollout: "chat/1", Kind: rollout.Ended, Phase: strategies.RolledBack, At: time.Now()}
	notify := func(r *registrystore.Registry, e rollout.Event) {
		t.Helper()
		if err := r.Notify(t.Context(), e); err != nil {
			t.Error(err)
		}
	}

	r := fresh()
	notify(r, promoted)
	if err := r.Move(t.Context(), registry.Move{Name: "chat", Alias: registry.Production, From: key("1.5.0"), To: key("1.4.0"), By: "operator", Reason: "incident 17"}); err != nil {
		t.Fatal(err)
	}
	notify(r, promoted)
	if a, err := r.Alias(t.Context(), "chat", registry.Production); err != nil || a.Key != key("1.4.0") {
		t.Errorf("after the operator's move and the event again: %v, %v", a.Key, err)
	}

	r = fresh()
	notify(r, promoted)
	if err := r.Yank(t.Context(), key("1.4.0"), "old"); err != nil {
		t.Fatal(err)
	}
	notify(r, ended)
	if a, err := r.Alias(t.Context(), "chat", registry.Production); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("after the rollback to a withdrawn build: %v, %v", a.Key, err)
	}
}
