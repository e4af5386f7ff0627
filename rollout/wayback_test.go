package rollout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/strategies"
)

// faulty is a store that a fault befalls: by operation, by key, by size, or by never
// answering.
type faulty struct {
	rollout.Store
	mu    sync.Mutex
	fault func(op, key string, size int) error // errHang: no answer until repair
	mend  chan struct{}
}

var (
	errFull = errors.New("no space left on device")
	errHang = errors.New("no answer")
)

func newFaulty(s rollout.Store) *faulty { return &faulty{Store: s, mend: make(chan struct{})} }

// befall begins the fault; nil repairs the store.
func (f *faulty) befall(fault func(op, key string, size int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	if fault == nil {
		close(f.mend)
		f.mend = make(chan struct{})
	}
}

func (f *faulty) do(op, key string, size int) error {
	f.mu.Lock()
	fault, mend := f.fault, f.mend
	f.mu.Unlock()
	if fault == nil {
		return nil
	}
	err := fault(op, key, size)
	if errors.Is(err, errHang) {
		<-mend // whatever the context says
	}
	return err
}

func (f *faulty) Get(ctx context.Context, key string) (rollout.Entry, error) {
	if err := f.do("get", key, 0); err != nil {
		return rollout.Entry{}, err
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if err := f.do("put", key, len(value)); err != nil {
		return "", err
	}
	return f.Store.Put(ctx, key, value, prev)
}

func (f *faulty) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if err := f.do("delete", key, 0); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key, prev)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	if err := f.do("list", prefix, 0); err != nil {
		return func(yield func(rollout.Entry, error) bool) { yield(rollout.Entry{}, err) }
	}
	return f.Store.List(ctx, prefix)
}

// faults are what a store may do while the candidate has to go. silent says that it
// takes no document.
var faults = map[string]struct {
	fault  func(op, key string, size int) error
	silent bool
}{
	"full disk": {func(op, _ string, _ int) error {
		if op == "put" {
			return errFull
		}
		return nil
	}, true},
	"nothing works":      {func(string, string, int) error { return errors.New("connection refused") }, true},
	"nothing comes back": {func(string, string, int) error { return errHang }, true},
	"writes that hang": {func(op, _ string, _ int) error {
		if op == "put" {
			return errHang
		}
		return nil
	}, true},
	"documents that are refused": {func(op, key string, _ int) error {
		if op == "put" && strings.HasPrefix(key, "rollout/") {
			return errors.New("permission denied")
		}
		return nil
	}, true},
	"audit trail that is refused": {func(op, key string, _ int) error {
		if op == "put" && strings.HasPrefix(key, "audit/") {
			return errors.New("permission denied")
		}
		return nil
	}, false},
	"no new keys": {func(op, key string, _ int) error { // as bolt, when an entry is damaged
		if op == "put" && !strings.HasPrefix(key, "rollout/") {
			return fmt.Errorf("entries of the file: %w", rollout.ErrDamaged)
		}
		return nil
	}, false},
	"listing that fails": {func(op, _ string, _ int) error {
		if op == "list" {
			return errFull
		}
		return nil
	}, false},
}

// steady is a plan that keeps 50 % for an hour.
func steady() rollout.Plan {
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: time.Hour, Limit: 48 * time.Hour}
	return p
}

// TestWayBackIsFree: whatever the store does, a candidate that does harm, or that
// is aborted, has no traffic one tick later. The record follows when the store
// takes it, and then says when it was.
func TestWayBackIsFree(t *testing.T) {
	for name, fault := range faults {
		for _, replica := range []string{"", "a"} {
			for _, by := range []string{"harm", "abort"} {
				t.Run(fmt.Sprintf("%s/replica %q/%s", name, replica, by), func(t *testing.T) {
					run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
						tgt := &expiring{}
						store := newFaulty(cfg.Store)
						cfg.Store, cfg.Replica, cfg.Targets["chat"] = store, replica, tgt
						e := open(t, cfg)
						go tgt.serve(t.Context(), 20*time.Millisecond)
						time.Sleep(time.Second)
						id := begin(t, e, steady())
						time.Sleep(10 * time.Second)
						if share := tgt.current().Weight("1.5.0"); share != 5000 {
							t.Fatalf("at first the candidate has %v", share)
						}
						store.befall(fault.fault)
						t.Cleanup(func() { store.befall(nil) })
						var err error
						if by == "abort" {
							ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
							err = e.Do(ctx, id, strategies.Abort, ana, rollout.Because("it is slow"), rollout.Key("T-1"))
							cancel()
						} else {
							tgt.mu.Lock()
							tgt.errorRate = map[string]float64{"1.5.0": 1}
							tgt.mu.Unlock()
							waitFor(t, e, id, func(st rollout.Status) bool {
								return st.Judgement.Verdict.String() == "harmed" || st.Lowered != "" || st.Phase.Terminal()
							})
							time.Sleep(time.Second)
						}
						if share := tgt.current().Weight("1.5.0"); share != 0 && !tgt.stale() {
							t.Fatalf("the candidate has %v (%s: %v)", share, by, err)
						}
						served := tgt.count("1.5.0")
						st, statusErr := e.Status(t.Context(), id)
						var unstored *rollout.UnstoredError
						switch {
						case statusErr != nil:
							t.Fatal(statusErr)
						case st.Lowered == "store unreachable": // before it knew of harm
							return
						case fault.silent && (st.Phase.Terminal() || !strings.HasPrefix(st.Lowered, "not stored yet: ")):
							t.Errorf("nothing is stored: %v, lowered %q", st.Phase, st.Lowered)
						case fault.silent && by == "abort" && !errors.As(err, &unstored):
							t.Errorf("Abort that is not stored: %v", err)
						case st.Split.Reaches("1.5.0"):
							t.Errorf("the status says %v", st.Split.Arms)
						}
						time.Sleep(time.Minute)
						if more := tgt.count("1.5.0") - served; more > 0 && !tgt.stale() {
							t.Errorf("%d requests reached the candidate in the minute after that", more)
						}
						store.befall(nil)
						time.Sleep(time.Minute)
						want := map[string]strategies.Phase{"harm": strategies.RolledBack, "abort": strategies.Aborted}[by]
						st, err = e.Status(t.Context(), id)
						if err != nil || st.Phase != want || st.Lowered != "" {
							t.Fatalf("with the store back: %v, %v, lowered %q", st.Phase, err, st.Lowered)
						}
						end := last(finish(t, e, id))
						if fault.silent && !end.Urgent {
							t.Errorf("no person is woken: %v", end)
						}
						if by == "abort" && (end.By.Name != "ana" || !strings.Contains(end.Reason, "it is slow")) {
							t.Errorf("the record says %v by %s", end, end.By.Name)
						}
						if by == "abort" {
							if err := e.Do(t.Context(), id, strategies.Abort, ana, rollout.Key("T-1")); err != nil {
								t.Errorf("the same once more: %v", err)
							}
						}
						if more := tgt.count("1.5.0") - served; more > 0 {
							t.Errorf("%d requests reached the candidate in all", more)
						}
					})
				})
			}
		}
	}
}

// waitFor waits until the status is as wanted, an hour at most.
func waitFor(t *testing.T, e *rollout.Engine, id rollout.ID, want func(rollout.Status) bool) {
	t.Helper()
	for range 36_000 {
		if st, err := e.Status(t.Context(), id); err == nil && want(st) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("it never came to that")
}

// TestRestartOnAFullDisk: a process whose disk is full has aborted, and starts again.
// The candidate does not come back; with a last resort not when there is space either,
// and the record then names the person who has aborted.
func TestRestartOnAFullDisk(t *testing.T) {
	for _, replica := range []string{"", "a"} {
		for _, resort := range []bool{true, false} {
			t.Run(fmt.Sprintf("replica %q, last resort %t", replica, resort), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					store := newFaulty(cfg.Store)
					cfg.Store, cfg.Replica = store, replica
					if resort {
						cfg.LastResort = rollout.LastResortFile(filepath.Join(t.TempDir(), "last"))
					}
					e := open(t, cfg)
					go tgt.serve(t.Context(), 20*time.Millisecond)
					time.Sleep(time.Second)
					id := begin(t, e, steady())
					time.Sleep(10 * time.Second)
					store.befall(faults["full disk"].fault)
					var unstored *rollout.UnstoredError
					if err := e.Do(t.Context(), id, strategies.Abort, ana); !errors.As(err, &unstored) || unstored.Rollout != id || !errors.Is(err, errFull) {
						t.Fatal(err)
					}
					e.Close()
					again := &target{}
					go again.serve(t.Context(), 20*time.Millisecond)
					cfg.Targets = map[string]rollout.Splitter{"chat": again}
					e = open(t, cfg)
					time.Sleep(time.Minute)
					if n := again.count("1.5.0"); n > 0 {
						t.Errorf("after the restart %d requests reached the candidate", n)
					}
					if st, err := e.Status(t.Context(), id); err != nil || st.Lowered == "" || st.Split.Reaches("1.5.0") {
						t.Errorf("status: %v, split %v, lowered %q", err, st.Split.Arms, st.Lowered)
					}
					store.befall(nil)
					time.Sleep(time.Minute)
					st, err := e.Status(t.Context(), id)
					if err != nil || st.Lowered != "" {
						t.Fatalf("with the store back: %v, lowered %q", err, st.Lowered)
					}
					if !resort {
						if st.Phase != strategies.Baking || again.current().Weight("1.5.0") != 5000 {
							t.Errorf("nothing is known of the abort: %v, %v", st.Phase, again.current().Arms)
						}
						return
					}
					end := last(finish(t, e, id))
					if end.Phase != strategies.Aborted || end.By.Name != "ana" || !end.Urgent || again.count("1.5.0") > 0 {
						t.Errorf("%v by %s, urgent %t, and %d requests", end, end.By.Name, end.Urgent, again.count("1.5.0"))
					}
					if record, err := cfg.LastResort.Load(); err != nil || string(record) != "{}" {
						t.Errorf("the last resort holds %q, %v", record, err)
					}
				})
			})
		}
	}
}

// TestAbortThatDoesNotHold: what makes an abort void leaves the candidate its traffic.
func TestAbortThatDoesNotHold(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		id := begin(t, e, steady())
		time.Sleep(10 * time.Second)
		if err := e.Do(t.Context(), id, strategies.Pause, ana, rollout.Key("T-1")); err != nil {
			t.Fatal(err)
		}
		var conflict *rollout.ConflictError
		var reused *rollout.KeyReusedError
		var invalid *checks.InvalidError
		for name, tt := range map[string]struct {
			opt rollout.Option
			as  any
		}{
			"of an older state":              {rollout.IfSeq(1), &conflict},
			"of another plan":                {rollout.OfPlan("0"), &conflict},
			"under a used key":               {rollout.Key("T-1"), &reused},
			"under a long key":               {rollout.Key(strings.Repeat("k", 129)), &invalid},
			"under a key that does not show": {rollout.Key("a\x1fb"), &invalid},
		} {
			if err := e.Do(t.Context(), id, strategies.Abort, ana, tt.opt); !errors.As(err, tt.as) {
				t.Errorf("%s: %v", name, err)
			}
			if share := tgt.current().Weight("1.5.0"); share != 5000 {
				t.Errorf("%s: the candidate has %v", name, share)
			}
		}
		if st, err := e.Status(t.Context(), id); err != nil || st.Lowered != "" || st.Phase != strategies.Baking {
			t.Errorf("%v, %v, lowered %q", st.Phase, err, st.Lowered)
		}
	})
}

// TestAuditEntryInTheWay: something else is where the next audit entry belongs. The
// entry is kept in quarantine, people are woken, and the rollout goes on to its end.
func TestAuditEntryInTheWay(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		id := begin(t, e, plan())
		time.Sleep(5 * time.Second)
		st, err := e.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		place := fmt.Sprintf("audit/%s/%010d", id, st.Seq+1)
		if _, err := cfg.Store.Put(t.Context(), place, []byte("{}"), ""); err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id)
		if end := last(events); end.Phase != strategies.Promoted {
			t.Errorf("ended with %v", end)
		}
		if next := events[st.Seq+1]; !next.Urgent || !strings.Contains(next.Reason, "quarantine/"+place) {
			t.Errorf("the event after it says %v, urgent %t", next, next.Urgent)
		}
		if kept, err := cfg.Store.Get(t.Context(), "quarantine/"+place); err != nil || !bytes.Contains(kept.Value, []byte(events[st.Seq].Hash)) {
			t.Errorf("in quarantine: %s, %v", kept.Value, err)
		}
	})
}

// TestFlippedBitInTheOldestEntry: one bit of the first audit entry has changed in a
// bolt file, which then takes no new key. Harm and Abort still take the candidate out, and
// the end is stored.
func TestFlippedBitInTheOldestEntry(t *testing.T) {
	for _, by := range []string{"harm", "abort"} {
		t.Run(by, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				path := filepath.Join(t.TempDir(), "serin.db")
				store, err := boltstore.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				cfg.Store = store
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				id := begin(t, e, steady())
				time.Sleep(12 * time.Second) // a checkpoint is at 10 s
				e.Close()
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				word := []byte(`"kind":"started"`)
				if !bytes.Contains(file, word) {
					t.Fatal("the first entry is not in the file")
				}
				if err := os.WriteFile(path, bytes.ReplaceAll(file, word, []byte(`"kind":"startee"`)), 0o600); err != nil {
					t.Fatal(err)
				}
				if store, err = boltstore.Open(path); err != nil {
					t.Fatal(err)
				}
				defer store.Close()
				cfg.Store = store
				var log bytes.Buffer
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				defer func() {
					if t.Failed() {
						t.Log(log.String())
					}
				}()
				e = open(t, cfg)
				time.Sleep(5 * time.Second)
				if by == "harm" {
					tgt.mu.Lock()
					tgt.errorRate = map[string]float64{"1.5.0": 1}
					tgt.mu.Unlock()
					time.Sleep(time.Minute)
				} else if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
				st, err := e.Status(t.Context(), id)
				if share := tgt.current().Weight("1.5.0"); err != nil || share > 0 || !st.Phase.Terminal() {
					t.Errorf("%v, %v: the candidate has %v; lowered %q, waiting for %q", st.Phase, err, share, st.Lowered, st.Waiting)
				}
				e.Close()
			})
		})
	}
}

// TestUnreadableEvidence: a value under evidence/ cannot be read. The process that drives judges
// by the others, says what is missing, and gives the candidate no more until it is
// there again.
func TestUnreadableEvidence(t *testing.T) {
	for name, value := range map[string]string{"no JSON": "\x00\x01", "another type": `{"1.5.0":7}`, "another plan": `{"1.5.0":{"plan":"x"}}`} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				cfg.Replica = "a"
				e := open(t, cfg)
				go tgt.serve(t.Context(), 100*time.Millisecond)
				time.Sleep(time.Second)
				p := plan()
				p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500, 5000}, Bake: time.Minute, Limit: time.Hour, MinSamples: 20}
				id := begin(t, e, p)
				time.Sleep(5 * time.Second)
				key := "evidence/" + string(id) + "/b.dead"
				rev, err := cfg.Store.Put(t.Context(), key, []byte(value), "")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				st, err := e.Status(t.Context(), id)
				if err != nil || st.Stage != 0 || !strings.Contains(st.Waiting, key) {
					t.Errorf("stage %d, %v, waiting for %q", st.Stage, err, st.Waiting)
				}
				if err := e.Do(t.Context(), id, strategies.Promote, ana); err == nil {
					t.Error("it can be promoted by what is known")
				}
				if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
					t.Error(err)
				}
				if err := e.Do(t.Context(), id, strategies.Resume, ana); err == nil {
					t.Error("it can be resumed by what is known")
				}
				if _, err := cfg.Store.Put(t.Context(), key, []byte("{}"), rev); err != nil {
					t.Fatal(err)
				}
				if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
					t.Error(err)
				}
				time.Sleep(20 * time.Second)
				if st, err = e.Status(t.Context(), id); err != nil || st.Stage != 1 {
					t.Errorf("with it back: stage %d, %v", st.Stage, err)
				}
				if _, err := cfg.Store.Put(t.Context(), key+"2", []byte(value), ""); err != nil {
					t.Fatal(err)
				}
				tgt.mu.Lock()
				tgt.errorRate = map[string]float64{"1.5.0": 1}
				tgt.mu.Unlock()
				if end := last(finish(t, e, id)); end.Phase != strategies.RolledBack {
					t.Errorf("ended with %v", end)
				}
			})
		})
	}
}

// TestDecisionThatIsTooLarge: a store takes no more than fits, and the decision has
// much to say. It is stored with less.
func TestDecisionThatIsTooLarge(t *testing.T) {
	for _, by := range []string{"checks", "abort"} {
		t.Run(by, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				cfg.Checks["talks"] = checks.Func(func(context.Context) checks.Result {
					return checks.Result{Status: checks.Fail, Summary: strings.Repeat("z", 300_000), Err: io.ErrUnexpectedEOF}
				})
				for i := range 90 {
					name := fmt.Sprintf("talks-%d", i)
					cfg.Checks[name] = cfg.Checks["talks"]
				}
				store := newFaulty(cfg.Store)
				cfg.Store = store
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				p := steady()
				stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
				if err != nil {
					t.Fatal(err)
				}
				stages[0].Bake = time.Minute
				for name := range cfg.Checks {
					if strings.HasPrefix(name, "talks") {
						stages[0].After = append(stages[0].After, name)
					}
				}
				p.Stages = stages
				id := begin(t, e, p)
				time.Sleep(10 * time.Second)
				if by == "abort" { // the document has the evidence of this moment
					for _, a := range []strategies.Command{strategies.Pause, strategies.Resume} {
						if err := e.Do(t.Context(), id, a, ana); err != nil {
							t.Fatal(err)
						}
					}
				}
				entry, err := cfg.Store.Get(t.Context(), "rollout/chat")
				if err != nil {
					t.Fatal(err)
				}
				most := len(entry.Value) + 30<<10 // for the evidence of a minute more
				if by == "abort" {
					most = len(entry.Value) + 3<<10
				}
				store.befall(func(op, _ string, size int) error {
					if op == "put" && size > most {
						return fmt.Errorf("%d bytes are too many", size)
					}
					return nil
				})
				if by == "abort" {
					if err := e.Do(t.Context(), id, strategies.Abort, ana, rollout.Because(strings.Repeat("x", 300_000))); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Minute)
				if st, err := e.Status(t.Context(), id); err != nil || !st.Phase.Terminal() {
					t.Fatalf("%v, %v, lowered %q", st.Phase, err, st.Lowered)
				}
				end := last(finish(t, e, id))
				if !end.Phase.Terminal() || end.Checks != nil || len(end.Reason) > 512 || tgt.current().Reaches("1.5.0") {
					t.Errorf("%v, report %v", end, end.Checks)
				}
			})
		})
	}
}

// TestPlaneThatHangs: a splitter that does not answer holds up neither Close
// nor a person without end.
func TestPlaneThatHangs(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		plane := &hanging{target: tgt, mend: make(chan struct{})}
		cfg.Targets["chat"] = plane
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		id := begin(t, e, steady())
		time.Sleep(10 * time.Second)
		plane.hang(true)
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err == nil || !strings.Contains(err.Error(), "stored, but the split is not in force") {
			t.Errorf("Abort: %v", err)
		}
		closed := make(chan struct{})
		go func() { e.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Error("Close has not returned after a minute")
		}
		plane.hang(false)
		time.Sleep(time.Second)
		if share := tgt.current().Weight("1.5.0"); share != 0 {
			t.Errorf("when it answers again the candidate has %v", share)
		}
		<-closed
	})
}

// hanging is a splitter that ignores its context while it hangs.
type hanging struct {
	*target
	hm    sync.Mutex
	hangs bool
	mend  chan struct{}
}

func (h *hanging) hang(on bool) {
	h.hm.Lock()
	defer h.hm.Unlock()
	if h.hangs = on; !on {
		close(h.mend)
	}
}

func (h *hanging) SetSplit(ctx context.Context, s strategies.Split) error {
	h.hm.Lock()
	hangs := h.hangs
	h.hm.Unlock()
	if hangs {
		<-h.mend
	}
	return h.target.SetSplit(ctx, s)
}

// TestLastResortFile: the record outlives torn and lost writes, and what cannot be
// read is no record.
func TestLastResortFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "last")
	f := rollout.LastResortFile(path)
	if got, err := f.Load(); err != nil || got != nil {
		t.Fatalf("a new one holds %q, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() < 2*rollout.MaxLastResort {
		t.Fatalf("it takes %d bytes, %v", info.Size(), err)
	}
	if err := f.Save(make([]byte, rollout.MaxLastResort+1)); err == nil {
		t.Error("it takes a record that is too long")
	}
	for i := range 5 {
		want := fmt.Sprintf("record %d", i)
		if err := f.Save([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := rollout.LastResortFile(path).Load(); err != nil || string(got) != want {
			t.Fatalf("after %q it holds %q, %v", want, got, err)
		}
	}
	if now, err := os.Stat(path); err != nil || now.Size() != info.Size() {
		t.Errorf("it has grown to %d bytes, %v", now.Size(), err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		broken func([]byte)
		want   string
		err    error
	}{
		"the newer one is torn": {func(b []byte) { copy(b[bytes.Index(b, []byte("record 4")):], "recxrd") }, "record 3", nil},
		"both are torn": {func(b []byte) {
			copy(b[bytes.Index(b, []byte("record 4")):], "recxrd")
			copy(b[bytes.Index(b, []byte("record 3")):], "recxrd")
		}, "", rollout.ErrDamaged},
		"cut": {func(b []byte) { clear(b[len(b)/2:]) }, "record 3", nil},
	} {
		b := bytes.Clone(file)
		tt.broken(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Load(); string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := rollout.LastResortFile(t.TempDir()).Load(); err == nil {
		t.Error("a directory is read")
	}
}
