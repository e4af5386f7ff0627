package rollout_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// busy is a router that has as many requests as two goroutines can make, and
// counts those that it assigns to the candidate.
func busy(t testing.TB) (r *traffic.Router, candidate *atomic.Int64) {
	t.Helper()
	r, err := traffic.New(traffic.Config{
		Arms:  map[string]traffic.Backend{"1.4.0": {URL: "http://127.0.0.1:9"}, "1.5.0": {URL: "http://127.0.0.1:9"}},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	candidate = new(atomic.Int64)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a := r.Assign(t.Context(), "")
				if a.Arm() == "1.5.0" {
					candidate.Add(1)
				}
				a.Done(analysis.Observation{Class: analysis.OK, Latency: time.Second, TTFT: time.Second / 5})
				if n%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	t.Cleanup(func() { close(stop); wg.Wait() })
	return r, candidate
}

// aborts starts rollouts and aborts each at half its traffic. It returns how many requests
// the candidate was assigned after an abort had returned.
func aborts(t testing.TB, store rollout.Store, n int) (late int64) {
	t.Helper()
	r, candidate := busy(t)
	e, err := rollout.Open(t.Context(), rollout.Config{Store: store, Targets: map[string]rollout.Splitter{"chat": r}, Tick: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: time.Hour}
	p.Analysis = analysis.Plan{Breakers: []analysis.Breaker{}}
	for range n {
		id, err := e.Start(t.Context(), p, ana)
		if err != nil {
			t.Fatal(err)
		}
		for seen := candidate.Load(); candidate.Load() == seen; {
			time.Sleep(time.Millisecond)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		// Two requests may have been assigned before and be counted after.
		after := candidate.Load() + 2
		time.Sleep(2 * time.Millisecond)
		late += max(0, candidate.Load()-after)
	}
	return late
}

// TestAbortUnderLoad aborts while requests pour in: once Abort has returned, none
// is assigned to the candidate any more.
func TestAbortUnderLoad(t *testing.T) {
	if late := aborts(t, new(memstore.Store), 20); late != 0 {
		t.Errorf("%d requests were assigned to the candidate after Abort had returned", late)
	}
}
