package traffic

import (
	"net/http"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// measured returns an exchange that has ended, and its observation.
func measured(r *Router, model string) (*exchange, analysis.Observation) {
	x := &exchange{router: r, arm: r.arms["a"], model: model, status: http.StatusOK, ask: answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}}}
	x.outcome = answer.Outcome{
		Class: analysis.OK, Status: http.StatusOK, FirstByte: 200 * time.Millisecond, First: 250 * time.Millisecond, Last: 3 * time.Second,
		Usage: answer.Usage{Input: 800, Output: 200, Cached: 100, Reported: true},
	}
	o := analysis.Observation{Latency: 3 * time.Second, Cost: 700}
	x.outcome.Observe(&o)
	return x, o
}

func oneArm(t testing.TB) *Router {
	t.Helper()
	r, err := New(Config{Arms: map[string]Backend{"a": {URL: "http://a.invalid"}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// BenchmarkMeter measures what all histograms and counters of a request cost.
func BenchmarkMeter(b *testing.B) {
	r := oneArm(b)
	x, o := measured(r, "meta-llama/Llama-3.3-70B-Instruct")
	y, _ := measured(r, "small")
	b.Run("one model", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.meter(&o)
		}
	})
	b.Run("two models in turn", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			x.meter(&o)
			x, y = y, x
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			x, o := measured(r, "small")
			for pb.Next() {
				x.meter(&o)
			}
		})
	})
}

func TestMeterDoesNotAllocate(t *testing.T) {
	r := oneArm(t)
	x, o := measured(r, "m")
	for range 2 * bufferedSamples * len(r.meters.buffers) {
		x.meter(&o) // the first values of an octave allocate its counters
	}
	r.meters.collect()
	if n := testing.AllocsPerRun(1000, func() { x.meter(&o) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// Full buffers are not waited for as long as another one has room.
func TestMetersGoToABufferThatIsFree(t *testing.T) {
	r := oneArm(t)
	x, o := measured(r, "m")
	for i := range r.meters.buffers[1:] {
		r.meters.buffers[1+i].mu.Lock()
	}
	for range 10 {
		x.meter(&o)
	}
	if n := r.meters.buffers[0].n; n != 10 {
		t.Errorf("%d samples in the buffer that is free, want 10", n)
	}
	for i := range r.meters.buffers[1:] {
		r.meters.buffers[1+i].mu.Unlock()
	}
	if n := r.Metrics()[0].Operations[0].Duration[analysis.OK].Count; n != 10 {
		t.Errorf("%d requests, want 10", n)
	}
	// A buffer keeps nothing of an arm that is gone.
	for i := range r.meters.buffers {
		for j := range r.meters.buffers[i].samples {
			if r.meters.buffers[i].samples[j].series != nil {
				t.Fatal("a buffer that is empty refers to an arm")
			}
		}
	}
}
