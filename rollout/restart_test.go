package rollout_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// TestRestartContinues closes the engine in the middle of the second stage. The
// next one goes on there, with the bake time that was served.
func TestRestartContinues(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		go tgt.serve(t.Context(), 20*time.Millisecond)
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second) // a minute at 5 %, half a minute at 25 %
		before, err := e.Status(t.Context(), id)
		if err != nil || before.Stage != 1 {
			t.Fatalf("stage %d, %v; want 1", before.Stage, err)
		}
		e.Close()

		again := &target{}
		go again.serve(t.Context(), 20*time.Millisecond)
		cfg.Targets = map[string]rollout.Splitter{"chat": again}
		e = open(t, cfg)
		after, err := e.Status(t.Context(), id)
		if err != nil || after.Stage != 1 || after.Baked < before.Baked || after.Baked > before.Baked+time.Second {
			t.Fatalf("after the restart: stage %d, baked %v, %v; want stage 1 with %v", after.Stage, after.Baked, err, before.Baked)
		}
		if after.Exposed < before.Exposed {
			t.Errorf("%d exposed requests are known after the restart, %d before it", after.Exposed, before.Exposed)
		}
		if got := again.current().Weight("1.5.0"); got != 2500 {
			t.Errorf("the new process gives the candidate %v, want 25%%", got)
		}
		events := finish(t, e, id)
		if end := last(events); end.Phase != strategies.Promoted {
			t.Errorf("ended with %v", end)
		}
		continued := 0
		for _, ev := range events {
			if ev.Kind == rollout.Continued {
				continued++
			}
		}
		if continued != 1 {
			t.Errorf("%d events tell of the restart, want 1", continued)
		}
	})
}

func TestRestartAppliesTheOutcome(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		e.Close()
		again := &target{}
		cfg.Targets = map[string]rollout.Splitter{"chat": again}
		open(t, cfg)
		if got := again.current(); got.Weight("1.4.0") != strategies.Full {
			t.Errorf("after a restart the split is %v, want all on 1.4.0", got)
		}
	})
}

func TestRestartWithoutACheckPauses(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		p := plan()
		p.Postflight = []string{"pass"}
		id, err := e.Start(t.Context(), p, ana)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		cfg.Checks = nil
		e = open(t, cfg)
		st, err := e.Status(t.Context(), id)
		if err != nil || !st.Paused || rule(t, e, id) != "unbound" || !strings.Contains(st.Reason, "pass") {
			t.Errorf("paused %v, %q, %v; want it paused with the name of the check", st.Paused, st.Reason, err)
		}
	})
}

// TestCustomMetricSurvivesARestart: its function is found by name.
func TestCustomMetricSurvivesARestart(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		long := analysis.Metric{Name: "long answers", Kind: analysis.Rate, Role: analysis.Guard, Of: func(o analysis.Observation) (float64, bool) {
			if o.OutputTokens > 100 {
				return 1, true
			}
			return 0, true
		}}
		p := plan()
		p.Analysis.Metrics = append(analysis.DefaultMetrics(), long)
		e := open(t, cfg)
		var invalid *checks.InvalidError
		if _, err := e.Start(t.Context(), p, ana); !errors.As(err, &invalid) || invalid.Field != fmt.Sprintf("Plan.Analysis.Metrics[%d]", len(p.Analysis.Metrics)-1) {
			t.Errorf("Start with a metric that a restart would lose = %v", err)
		}
		e.Close()

		cfg.Metrics = []analysis.Metric{long}
		e = open(t, cfg)
		id, err := e.Start(t.Context(), p, ana)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		e.Close()
		e = open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		end := last(finish(t, e, id))
		if end.Phase != strategies.Promoted {
			t.Fatalf("ended with %v", end)
		}
		for _, m := range end.Judgement.Metrics {
			if m.Metric == long.Name && m.CandidateN == 0 {
				t.Error("the custom metric was not measured after the restart")
			}
		}
	})
}

// TestDamagedDocument: the target is left alone until somebody starts anew.
func TestDamagedDocument(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		first, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		entry, err := cfg.Store.Get(t.Context(), "rollout/chat")
		if err != nil {
			t.Fatal(err)
		}
		bad := []byte(strings.Replace(string(entry.Value), `"stage":0`, `"stage":2`, 1))
		if _, err := cfg.Store.Put(t.Context(), "rollout/chat", bad, entry.Revision); err != nil {
			t.Fatal(err)
		}
		again := &target{}
		cfg.Targets = map[string]rollout.Splitter{"chat": again}
		e = open(t, cfg)
		var damaged *rollout.DamagedError
		if _, err := e.Status(t.Context(), first); !errors.As(err, &damaged) || damaged.Target != "chat" {
			t.Errorf("Status = %v, want a DamagedError", err)
		}
		if len(again.splits) != 0 {
			t.Errorf("a damaged document set the split %v", again.splits)
		}
		second, err := e.Start(t.Context(), plan(), ana)
		if err != nil || second != "chat/2" {
			t.Fatalf("Start = %s, %v; want chat/2", second, err)
		}
		if kept, err := cfg.Store.Get(t.Context(), "quarantine/chat/1"); err != nil || string(kept.Value) != string(bad) {
			t.Errorf("the damaged document was not kept: %v", err)
		}
	})
}

// TestEvidenceThatCannotBeRead: a release that counted otherwise, or damage, has left
// evidence that means nothing now. The rollout goes on in its stage, proves again, and says
// so.
func TestEvidenceThatCannotBeRead(t *testing.T) {
	for name, change := range map[string][2]string{
		"of another format": {`"evidence":{"format":2`, `"evidence":{"format":1`},
		"damaged":           {`"tests":"`, `"tests":"////`},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				serving, stop := context.WithCancel(t.Context())
				go tgt.serve(serving, 20*time.Millisecond)
				e := open(t, cfg)
				id, err := e.Start(t.Context(), plan(), ana)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(90 * time.Second)
				e.Close()
				stop()
				rewrite(t, cfg.Store, change[0], change[1])

				again := &target{}
				again.errorRate = map[string]float64{"1.5.0": 0.3}
				go again.serve(t.Context(), 20*time.Millisecond)
				cfg.Targets = map[string]rollout.Splitter{"chat": again}
				e = open(t, cfg)
				if st, err := e.Status(t.Context(), id); err != nil || st.Stage != 1 {
					t.Errorf("stage %d, %v; want 1", st.Stage, err)
				}
				events := finish(t, e, id)
				if end := last(events); end.Phase != strategies.RolledBack {
					t.Errorf("ended with %v, want what harms now to be rolled back", end)
				}
				if !slices.ContainsFunc(events, func(ev rollout.Event) bool {
					return ev.Kind == rollout.Continued && strings.Contains(ev.Reason, "the evidence starts from zero: ")
				}) {
					t.Errorf("no event says that the evidence starts from zero: %v", lines(events))
				}
			})
		})
	}
}

// rewrite changes the stored document of chat.
func rewrite(t *testing.T, store rollout.Store, from, to string) {
	t.Helper()
	entry, err := store.Get(t.Context(), "rollout/chat")
	if err != nil {
		t.Fatal(err)
	}
	var env struct {
		Sum string          `json:"sha256"`
		Doc json.RawMessage `json:"doc"`
	}
	if err := json.Unmarshal(entry.Value, &env); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(env.Doc), from) {
		t.Fatalf("there is no %s in the document", from)
	}
	env.Doc = []byte(strings.Replace(string(env.Doc), from, to, 1))
	sum := sha256.Sum256(env.Doc)
	env.Sum = hex.EncodeToString(sum[:])
	value, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "rollout/chat", value, entry.Revision); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFile: the same where the store itself finds the damage. A target that
// is whole goes on.
func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	both := func() (*rollout.Engine, *boltstore.Store) {
		store, err := boltstore.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": &target{}, "code": &target{}}})
		if err != nil {
			t.Fatal(err)
		}
		return e, store
	}
	e, store := both()
	for _, name := range []string{"chat", "code"} {
		p := plan()
		p.Target = name
		if _, err := e.Start(t.Context(), p, ana); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	entry, err := store.Get(t.Context(), "rollout/chat")
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The nonce is in this document alone, wherever its copies are.
	part := entry.Value[bytes.Index(entry.Value, []byte(`"nonce":`)):][:24]
	if !bytes.Contains(file, part) {
		t.Fatal("the document is not in the file")
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(file, part, bytes.ToUpper(part)), 0o600); err != nil {
		t.Fatal(err)
	}
	e, store = both()
	defer store.Close()
	defer e.Close()
	var damaged *rollout.DamagedError
	if _, err := e.Status(t.Context(), "chat/1"); !errors.As(err, &damaged) || !errors.Is(err, rollout.ErrDamaged) {
		t.Errorf("Status of the damaged one = %v", err)
	}
	if st, err := e.Status(t.Context(), "code/1"); err != nil || st.Phase.Terminal() {
		t.Errorf("Status of the whole one = %v, %v", st.Phase, err)
	}
	id, err := e.Start(t.Context(), plan(), ana)
	if err != nil || id != "chat/2" {
		t.Fatalf("Start = %s, %v; want chat/2", id, err)
	}
	if kept, err := store.Get(t.Context(), "quarantine/chat/1"); err != nil || len(kept.Value) == 0 {
		t.Errorf("what is left of the damaged document was not kept: %v", err)
	}
	if err := e.Do(t.Context(), "code/1", strategies.Abort, ana); err != nil {
		t.Errorf("the whole one does not go on: %v", err)
	}
}

// TestLaterEngineTakesOver: the engine that was first writes no more.
func TestLaterEngineTakesOver(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		go tgt.serve(t.Context(), 20*time.Millisecond)
		old := open(t, cfg)
		id, err := old.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		e := open(t, cfg)
		if err := old.Do(t.Context(), id, strategies.Promote, ana); !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("a command to the old engine = %v, want an error that wraps %v", err, rollout.ErrConflict)
		}
		finish(t, e, id) // verifies the chain
	})
}

// TestLeaderSeesALaterEpoch: a leader that reads what a later one has written leads no more,
// before the next look at its lease.
func TestLeaderSeesALaterEpoch(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		x := &expiring{}
		cfg.Replica, cfg.Targets["chat"] = "a", x
		e := open(t, cfg)
		begin(t, e, plan())
		time.Sleep(2 * time.Second)
		if led, leads := e.SeeEpoch(t.Context(), "chat"); !led || leads {
			t.Errorf("it led: %t, and still leads: %t", led, leads)
		}
	})
}

// flaky is a store whose writes fail: some before they are applied, some after.
type flaky struct {
	rollout.Store
	n, every atomic.Int64
}

var errFlaky = errors.New("the network went away")

func (f *flaky) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	every := f.every.Load()
	switch n := f.n.Add(1); {
	case every > 0 && n%every == 0:
		return "", errFlaky
	case every > 0 && n%every == 1:
		if _, err := f.Store.Put(ctx, key, value, prev); err != nil {
			return "", err
		}
		return "", errFlaky
	}
	return f.Store.Put(ctx, key, value, prev)
}

func (f *flaky) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	every := f.every.Load()
	switch n := f.n.Add(1); {
	case every > 0 && n%every == 0:
		return errFlaky
	case every > 0 && n%every == 1:
		if err := f.Store.Delete(ctx, key, prev); err != nil {
			return err
		}
		return errFlaky
	}
	return f.Store.Delete(ctx, key, prev)
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return f.Store.List(ctx, prefix)
}

// TestUnknownOutcomes: whatever the store answers, each commit happens once and
// the audit trail has no gap.
func TestUnknownOutcomes(t *testing.T) {
	for _, every := range []int64{3, 4, 5, 7} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			go tgt.serve(t.Context(), 20*time.Millisecond)
			store := &flaky{Store: new(memstore.Store)}
			cfg.Store = store
			e := open(t, cfg)
			id, err := e.Start(t.Context(), plan(), ana)
			if err != nil {
				t.Fatal(err)
			}
			store.every.Store(every)
			events := finish(t, e, id) // verifies numbers and chain
			if end := last(events); end.Phase != strategies.Promoted {
				t.Errorf("every %d: ended with %v", every, end)
			}
			stages := 0
			for _, ev := range events {
				if ev.Kind == rollout.PhaseEntered && ev.Phase == strategies.Baking {
					stages++
				}
			}
			if stages != 4 {
				t.Errorf("every %d: %d stages were entered, want 4", every, stages)
			}
		})
	}
}

// TestCloseWhileStarting: whatever is begun while the engine closes is either under
// way, and waited for, or is not.
func TestCloseWhileStarting(t *testing.T) {
	for range 100 {
		e, err := rollout.Open(t.Context(), rollout.Config{
			Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": &target{}},
			Observer: rollout.ObserverFunc(func(context.Context, rollout.Event) {}),
		})
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan error)
		go func() {
			_, err := e.Start(t.Context(), plan(), ana)
			started <- err
		}()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-started; err != nil && !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("Start = %v", err)
		}
	}
}
