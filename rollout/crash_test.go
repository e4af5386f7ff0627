package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// process is what one process has of the world: its view of the store, and the
// router in it. When it crashes the store hears nothing more from it.
type process struct {
	rollout.Store
	router *target
	crash  int  // at which Put; 0 means never
	after  bool // after the Put was applied, but before the answer

	mu   sync.Mutex
	puts int
	dead chan struct{}
}

var errCrashed = errors.New("the process has crashed")

func newProcess(s rollout.Store, crash int, after bool) *process {
	return &process{Store: s, router: &target{}, crash: crash, after: after, dead: make(chan struct{})}
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

func (p *process) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isDead() {
		return "", errCrashed
	}
	if p.puts++; p.puts != p.crash {
		return p.Store.Put(ctx, key, value, prev)
	}
	close(p.dead)
	if p.after {
		p.Store.Put(ctx, key, value, prev)
	}
	return "", errCrashed
}

func (p *process) Delete(ctx context.Context, key string, prev rollout.Revision) error {
	if p.isDead() {
		return errCrashed
	}
	return p.Store.Delete(ctx, key, prev)
}

func (p *process) Get(ctx context.Context, key string) (rollout.Entry, error) {
	if p.isDead() {
		return rollout.Entry{}, errCrashed
	}
	return p.Store.Get(ctx, key)
}

func (p *process) List(ctx context.Context, prefix string) iter.Seq2[rollout.Entry, error] {
	return p.Store.List(ctx, prefix)
}

// SetSplit checks, besides setting it, that a split takes effect only after it
// was committed.
func (p *process) SetSplit(ctx context.Context, s strategies.Split) error {
	if p.isDead() {
		return errCrashed
	}
	return p.router.SetSplit(ctx, s)
}

func (p *process) Measure(r *analysis.Recorder) { p.router.Measure(r) }

// story is what a rollout's events tell, restarts and checkpoints left out.
func story(events []rollout.Event) []string {
	var out []string
	for _, ev := range events {
		if ev.Kind != rollout.Measured && ev.Kind != rollout.Continued {
			out = append(out, fmt.Sprintf("%s %s %s", ev.Kind, ev.Phase, ev.Name))
		}
	}
	return out
}

// crashOnce runs a rollout in a process that crashes at one Put, starts another
// process, and returns all events. crashed is false if the rollout ended first.
func crashOnce(t *testing.T, crash int, after bool) (events []rollout.Event, crashed bool) {
	store := new(memstore.Store)
	start := func(p *process) *rollout.Engine {
		go p.router.serve(t.Context(), 50*time.Millisecond)
		e, err := rollout.Open(t.Context(), rollout.Config{
			Store: p, Targets: map[string]rollout.Splitter{"chat": p},
			Checks: map[string]checks.Check{"pass": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} })},
		})
		if err != nil {
			t.Fatalf("crash at %d: %v", crash, err)
		}
		return e
	}
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: 20 * time.Second, MinSamples: 10, DangerouslyPromoteUnproven: true}
	p.Preflight, p.Postflight = []string{"pass"}, []string{"pass"}

	first := newProcess(store, crash, after)
	e := start(first)
	id, err := e.Start(t.Context(), p, ana)
	if err == nil {
		select {
		case <-first.dead:
		case <-time.After(10 * time.Minute):
		}
	}
	e.Close()

	second := newProcess(store, 0, false)
	e = start(second)
	defer e.Close()
	if id == "" { // the answer to Start was lost; the user looks, and tries again
		st, err := e.Newest(t.Context(), "chat")
		if id = st.ID; errors.Is(err, rollout.ErrNotFound) {
			id, err = e.Start(t.Context(), p, ana)
		}
		if err != nil {
			t.Fatalf("crash at %d: %v", crash, err)
		}
	}
	events = finish(t, e, id) // verifies numbers and chain
	if got, want := second.router.current(), last(events).Split; !cmp.Equal(got, want) {
		t.Errorf("crash at %d: the split in force is %v, the outcome demands %v", crash, got, want)
	}
	return events, first.isDead()
}

// TestCrashAtEveryWrite crashes the engine before and after each of its writes.
// Each time the rollout comes to the same end by the same way, with at least
// its bake time in each stage.
func TestCrashAtEveryWrite(t *testing.T) {
	var want []string
	var wantTimes int
	synctest.Test(t, func(t *testing.T) {
		events, _ := crashOnce(t, 0, false)
		want, wantTimes = story(events), len(events)
	})
	if len(want) != 5 {
		t.Fatalf("without a crash: %q", want)
	}
	for _, after := range []bool{false, true} {
		for crash := 1; ; crash++ {
			if crash > 10*wantTimes {
				t.Fatalf("%d writes and no end", crash)
			}
			over := false
			synctest.Test(t, func(t *testing.T) {
				events, crashed := crashOnce(t, crash, after)
				over = !crashed
				if diff := cmp.Diff(want, story(events)); diff != "" {
					t.Errorf("crash at write %d, applied %v (-want +got):\n%s", crash, after, diff)
				}
				var entered time.Time
				for _, ev := range events {
					if ev.Kind != rollout.PhaseEntered && ev.Kind != rollout.Ended {
						continue
					}
					if !entered.IsZero() && ev.At.Sub(entered) < 20*time.Second {
						t.Errorf("crash at write %d, applied %v: a stage took %v, want its bake of 20 s", crash, after, ev.At.Sub(entered))
					}
					if entered = (time.Time{}); ev.Phase == strategies.Baking {
						entered = ev.At
					}
				}
			})
			if over {
				break
			}
		}
	}
}

// TestCrashDuringRollback: whenever the process dies around a rollback, the
// candidate never gets traffic again once the rollback was stored.
func TestCrashDuringRollback(t *testing.T) {
	for _, after := range []bool{false, true} {
		for crash := 1; crash <= 12; crash++ {
			synctest.Test(t, func(t *testing.T) {
				store := new(memstore.Store)
				first := newProcess(store, 0, false)
				first.after = after
				e := open(t, rollout.Config{Store: first, Targets: map[string]rollout.Splitter{"chat": first}})
				id, err := e.Start(t.Context(), plan(), ana)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				first.mu.Lock()
				first.crash = first.puts + crash
				first.mu.Unlock()
				err = e.Do(t.Context(), id, strategies.Abort, ana)
				e.Close()

				second := newProcess(store, 0, false)
				e = open(t, rollout.Config{Store: second, Targets: map[string]rollout.Splitter{"chat": second}})
				st, statusErr := e.Status(t.Context(), id)
				if statusErr != nil {
					t.Fatal(statusErr)
				}
				stored := st.Phase == strategies.Aborted
				if err == nil && !stored {
					t.Errorf("crash at %d, applied %v: Abort had returned, but the rollout is %v", crash, after, st.Phase)
				}
				for _, s := range second.router.splits {
					if stored && s.Weight("1.5.0") != 0 {
						t.Errorf("crash at %d, applied %v: the candidate got %v after the abort", crash, after, s.Weight("1.5.0"))
					}
				}
			})
		}
	}
}
