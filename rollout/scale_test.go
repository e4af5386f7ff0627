package rollout_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// TestLongRollout drives a rollout of 26 hours through the virtual clock, with a
// request every ten seconds and a judgement every thirty.
func TestLongRollout(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		go tgt.serve(t.Context(), 10*time.Second)
		cfg.Tick, cfg.Checkpoint = 30*time.Second, 5*time.Minute
		e := open(t, cfg)
		p := plan()
		p.Strategy = strategies.Canary{
			Weights: strategies.Linear(strategies.Full, 13), Bake: 2 * time.Hour, DangerouslyPromoteUnproven: true,
		}
		began := time.Now()
		end := last(finish(t, e, begin(t, e, p)))
		if took := time.Since(began); end.Phase != strategies.Promoted || took < 26*time.Hour || took > 27*time.Hour {
			t.Errorf("%v after %v, want promoted after 26 h", end.Phase, took)
		}
	})
}

// BenchmarkManyRollouts is what a process with many active rollouts costs: the
// memory of each, and the CPU time of one tick of each.
//
//	go test ./rollout -run '^$' -bench ManyRollouts -benchtime 10x
func BenchmarkManyRollouts(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			targets := make(map[string]rollout.Splitter, n)
			for i := range n {
				targets[fmt.Sprintf("target-%d", i)] = &target{}
			}
			before := heap()
			e, err := rollout.Open(b.Context(), rollout.Config{
				Store: new(memstore.Store), Targets: targets, Tick: time.Hour, Checkpoint: 24 * time.Hour,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			ids := make([]rollout.ID, 0, n)
			for name := range targets {
				p := plan()
				p.Target = name
				id, err := e.Start(b.Context(), p, ana)
				if err != nil {
					b.Fatal(err)
				}
				ids = append(ids, id)
			}
			for _, id := range ids {
				for {
					if st, err := e.Status(b.Context(), id); err != nil {
						b.Fatal(err)
					} else if st.Phase == strategies.Baking {
						break
					}
					time.Sleep(time.Millisecond)
				}
			}
			memory := float64(heap()-before) / float64(n) / 1024
			b.ResetTimer()
			for b.Loop() {
				for _, id := range ids {
					if err := e.Tick(b.Context(), id); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n)/1000, "us/tick")
			b.ReportMetric(memory, "KiB/rollout")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
