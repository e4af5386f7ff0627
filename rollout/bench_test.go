package rollout_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// stopwatch is a target that notes when the candidate loses its traffic.
type stopwatch struct {
	target
	began   atomic.Pointer[time.Time]
	lowered chan time.Duration
}

func (s *stopwatch) SetSplit(ctx context.Context, split strategies.Split) error {
	if began := s.began.Load(); began != nil && split.Weight("1.5.0") == 0 && s.began.CompareAndSwap(began, nil) {
		s.lowered <- time.Since(*began)
	}
	return s.target.SetSplit(ctx, split)
}

// stuck is a store that takes no write while it hangs.
type stuck struct {
	rollout.Store
	hangs atomic.Bool
}

func (h *stuck) Put(ctx context.Context, key string, value []byte, prev rollout.Revision) (rollout.Revision, error) {
	if h.hangs.Load() {
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	return h.Store.Put(ctx, key, value, prev)
}

// BenchmarkAbort is the time from an abort until the candidate has no traffic in this
// process, and until that is stored, while the target serves and the engine judges. Of
// each the 99th percentile counts:
//
//	go test ./rollout -run '^$' -bench Abort -benchtime 500x -timeout 1h
//
// The disk is the one of the temporary folder. After a store that hangs each rollout takes
// seconds to end.
func BenchmarkAbort(b *testing.B) {
	bolt := func(noSync bool) func(b *testing.B) rollout.Store {
		return func(b *testing.B) rollout.Store {
			s, err := boltstore.New(boltstore.Config{Path: filepath.Join(b.TempDir(), "serin.db"), DangerouslyNoSync: noSync})
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
	}
	memory := func(*testing.B) rollout.Store { return new(memstore.Store) }
	for _, c := range []struct {
		name    string
		open    func(b *testing.B) rollout.Store
		replica string
		hangs   bool
	}{
		{"memstore", memory, "", false},
		{"memstore, several processes", memory, "a", false},
		{"boltstore", bolt(false), "", false},
		{"boltstore without sync", bolt(true), "", false},
		{"a store that hangs", memory, "", true},
		{"a store that hangs, several processes", memory, "a", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			store := &stuck{Store: c.open(b)}
			defer store.Close()
			tgt := &stopwatch{lowered: make(chan time.Duration, 1)}
			e, err := rollout.Open(b.Context(), rollout.Config{
				Store: store, Targets: map[string]rollout.Splitter{"chat": tgt}, Replica: c.replica, Tick: 20 * time.Millisecond,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			go tgt.load(ctx)
			var lowered, stored []time.Duration
			for b.Loop() {
				id := baking(b, e)
				asked := ctx
				if c.hangs {
					var cancel context.CancelFunc
					asked, cancel = context.WithTimeout(ctx, 10*time.Millisecond)
					defer cancel()
					store.hangs.Store(true)
				}
				began := time.Now()
				tgt.began.Store(&began)
				err := e.Do(asked, id, strategies.Abort, ana)
				stored = append(stored, time.Since(began))
				lowered = append(lowered, <-tgt.lowered)
				store.hangs.Store(false)
				var unstored *rollout.UnstoredError
				if err != nil && !(c.hangs && errors.As(err, &unstored)) {
					b.Fatal(err)
				}
				for !over(b, e, id) {
					time.Sleep(time.Millisecond)
				}
			}
			b.ReportMetric(float64(p99(lowered).Nanoseconds()), "p99-ns/lowered")
			if !c.hangs {
				b.ReportMetric(float64(p99(stored).Nanoseconds()), "p99-ns/stored")
			}
		})
	}
}

// load measures requests as fast as one core does, with pauses.
func (t *target) load(ctx context.Context) {
	for ctx.Err() == nil {
		t.mu.Lock()
		rec, generation := t.rec, t.split.Generation
		t.mu.Unlock()
		for i := range 200 {
			if rec != nil {
				rec.Record(analysis.Observation{Arm: []string{"1.4.0", "1.5.0"}[i%2], Class: analysis.OK, Generation: generation, Latency: time.Second, Cost: -1})
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// baking begins a rollout and waits until its first stage is in force.
func baking(b *testing.B, e *rollout.Engine) rollout.ID {
	b.Helper()
	for {
		id, err := e.Start(b.Context(), plan(), ana)
		if errors.Is(err, rollout.ErrConflict) {
			continue
		} else if err != nil {
			b.Fatal(err)
		}
		for {
			st, err := e.Status(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			if st.Phase == strategies.Baking {
				return id
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
}

func over(b *testing.B, e *rollout.Engine, id rollout.ID) bool {
	b.Helper()
	st, err := e.Status(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return st.Phase.Terminal()
}

func p99(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)*99-1)/100]
}
