package rollout_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// BenchmarkAbort is the time until an abort is stored and in force: in memory,
// which is the engine's own share, and in a file with its two fsyncs.
func BenchmarkAbort(b *testing.B) {
	for _, c := range []struct {
		name string
		open func(b *testing.B) rollout.Store
	}{
		{"memstore", func(*testing.B) rollout.Store { return new(memstore.Store) }},
		{"boltstore", func(b *testing.B) rollout.Store {
			s, err := boltstore.Open(filepath.Join(b.TempDir(), "serin.db"))
			if err != nil {
				b.Fatal(err)
			}
			return s
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			store := c.open(b)
			defer store.Close()
			e, err := rollout.Open(b.Context(), rollout.Config{
				Store: store, Targets: map[string]rollout.Splitter{"chat": &target{}}, Tick: time.Hour,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			var total time.Duration
			for b.Loop() {
				id, err := e.Start(b.Context(), plan(), ana)
				if err != nil {
					b.Fatal(err)
				}
				for { // until the first stage is in force
					st, err := e.Status(b.Context(), id)
					if err != nil {
						b.Fatal(err)
					}
					if st.Phase == strategies.Baking {
						break
					}
					time.Sleep(50 * time.Microsecond)
				}
				began := time.Now()
				if err := e.Do(b.Context(), id, strategies.Abort, ana); err != nil {
					b.Fatal(err)
				}
				total += time.Since(began)
			}
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/abort")
		})
	}
}
