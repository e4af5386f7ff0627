package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// TestStartOnce: a start that is repeated with its key, at the same moment, through two processes
// and a commander that share a store, after the rollout has ended, and after a restart, begins
// one rollout, also where the plan supersedes what is active.
func TestStartOnce(t *testing.T) {
	for _, supersede := range []bool{false, true} {
		run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
			var starters []interface {
				Start(ctx context.Context, p rollout.Plan, by rollout.Actor, opts ...rollout.Option) (rollout.ID, error)
			}
			var engines []*rollout.Engine
			for i := range 2 {
				c := cfg
				c.Replica = fmt.Sprint("p", i)
				x := &expiring{}
				c.Targets = map[string]rollout.Splitter{"chat": x}
				go x.serve(t.Context(), 50*time.Millisecond)
				e := open(t, c)
				engines, starters = append(engines, e), append(starters, e)
			}
			commander, err := rollout.Commander(cfg.Store, rollout.Config{})
			if err != nil {
				t.Fatal(err)
			}
			starters = append(starters, commander)
			time.Sleep(5 * time.Second)
			p := quick()
			p.Supersede = supersede
			want := rollout.ID("chat/1")
			if supersede {
				begin(t, engines[0], quick())
				time.Sleep(5 * time.Second)
				want = "chat/2"
			}
			all := func(when string) {
				t.Helper()
				var sent sync.WaitGroup
				ids, errs := make([]rollout.ID, 3*len(starters)), make([]error, 3*len(starters))
				for i := range ids {
					sent.Go(func() { ids[i], errs[i] = starters[i%len(starters)].Start(t.Context(), p, ana, rollout.Key("release")) })
				}
				sent.Wait()
				for i := range ids {
					if ids[i] != want || errs[i] != nil {
						t.Errorf("%s, %d: %q, %v", when, i, ids[i], errs[i])
					}
				}
			}
			all("together")
			time.Sleep(10 * time.Second)
			all("while it is active")
			if err := engines[0].Do(t.Context(), want, strategies.Abort, ana); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			all("after its end")
			begin(t, engines[0], quick())
			time.Sleep(10 * time.Second)
			all("beside a newer one")
			for _, e := range engines {
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(10 * time.Second)
			engines[0] = open(t, cfg)
			starters = starters[:0]
			starters = append(starters, engines[0])
			all("after a restart")
		})
	}
}

// TestStartKeys: a key stands for one request of one person, and a target remembers the last 16.
func TestStartKeys(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		was := true
		id, err := e.Start(t.Context(), quick(), ana, rollout.Key("k"), rollout.Replayed(&was))
		if err != nil || was {
			t.Fatal(was, err)
		}
		if again, err := e.Start(t.Context(), quick(), ana, rollout.Key("k"), rollout.Replayed(&was)); err != nil || again != id || !was {
			t.Errorf("the same again: %q, replayed %t, %v", again, was, err)
		}
		other := quick()
		other.Candidate = release("1.6.0")
		for name, start := range map[string]func() (rollout.ID, error){
			"another plan": func() (rollout.ID, error) { return e.Start(t.Context(), other, ana, rollout.Key("k")) },
			"another person": func() (rollout.ID, error) {
				return e.Start(t.Context(), quick(), rollout.Actor{Name: "ben"}, rollout.Key("k"))
			},
			"a retry": func() (rollout.ID, error) { return e.Retry(t.Context(), id, ana, rollout.Key("k")) },
		} {
			var reused *rollout.KeyReusedError
			if got, err := start(); !errors.As(err, &reused) || reused.Rollout != id || reused.Key != "k" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		var busy *rollout.BusyError
		if _, err := e.Start(t.Context(), quick(), ana, rollout.Key("l")); !errors.As(err, &busy) {
			t.Errorf("another key: %v", err)
		}
		var invalid *checks.InvalidError
		for name, opt := range map[string]rollout.Option{"a key that does not show": rollout.Key("a\x1fb"), "a condition": rollout.IfSeq(1), "a reason": rollout.Because("x"), "a digest": rollout.OfPlan("x")} {
			if _, err := e.Start(t.Context(), quick(), ana, opt); !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		end := func(id rollout.ID) {
			t.Helper()
			if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		end(id)
		next, err := e.Retry(t.Context(), id, ana, rollout.Key("again"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := e.Retry(t.Context(), id, ana, rollout.Key("again"), rollout.Replayed(&was)); err != nil || got != next || !was {
				t.Errorf("the same retry again: %q, replayed %t, %v", got, was, err)
			}
			if st := status(t, e, next); !st.Phase.Terminal() {
				end(next)
			}
		}
		for i := range 14 {
			id, err := e.Start(t.Context(), quick(), ana, rollout.Key(fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			end(id)
		}
		if got, err := e.Start(t.Context(), quick(), ana, rollout.Key("k")); err != nil || got != id {
			t.Errorf("the first of 16: %q, %v", got, err)
		}
		last, err := e.Start(t.Context(), quick(), ana, rollout.Key("17th"))
		if err != nil {
			t.Fatal(err)
		}
		end(last)
		if got, err := e.Start(t.Context(), quick(), ana, rollout.Key("k")); err != nil || got == id {
			t.Errorf("the first of 17: %q, %v", got, err)
		}
	})
}

// TestStartKeyIsStored: the key of a start is in the file of a store that is opened again.
func TestStartKeyIsStored(t *testing.T) {
	file := filepath.Join(t.TempDir(), "serin.db")
	var first rollout.ID
	for i := range 2 {
		store, err := boltstore.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &target{}}})
		if err != nil {
			t.Fatal(err)
		}
		id, err := e.Start(t.Context(), quick(), ana, rollout.Key("release"))
		if i == 0 {
			first = id
		}
		if err != nil || id != first {
			t.Errorf("life %d: %q, %v", i, id, err)
		}
		if err := errors.Join(e.Close(), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStartKeyAfterDamage: a document that cannot be read keeps no start from beginning.
func TestStartKeyAfterDamage(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		if _, err := store.Put(t.Context(), "rollout/chat", []byte("{"), ""); err != nil {
			t.Fatal(err)
		}
		cfg.Store = store
		e := open(t, cfg)
		for range 2 {
			if _, err := e.Start(t.Context(), quick(), ana, rollout.Key("k")); err != nil {
				t.Error(err)
			}
		}
	})
}
