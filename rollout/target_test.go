package rollout_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// target is live traffic in virtual time: requests arrive at a steady rate, go
// where the split sends them, and behave as their version does.
type target struct {
	errorRate map[string]float64       // by version
	ttft      map[string]time.Duration // median, by version
	refuse    error                    // what SetSplit says about splits that give the candidate traffic

	mu     sync.Mutex
	split  strategies.Split
	splits []strategies.Split // all that were set, in order
	rec    *analysis.Recorder
	served map[string]int
}

var (
	_ rollout.Splitter = (*target)(nil)
	_ rollout.Measurer = (*target)(nil)
)

// history returns all splits that were set so far, in order. A rollout may be under way.
func (t *target) history() []strategies.Split {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.splits)
}

func (t *target) SetSplit(_ context.Context, s strategies.Split) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refuse != nil && s.Weight(s.Baseline()) != strategies.Full {
		return t.refuse
	}
	t.split = s
	t.splits = append(t.splits, s)
	return nil
}

func (t *target) Measure(r *analysis.Recorder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rec = r
}

// serve sends traffic until ctx ends.
func (t *target) serve(ctx context.Context, every time.Duration) {
	rng := rand.New(rand.NewPCG(1, 1))
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.request(rng)
		}
	}
}

func (t *target) request(rng *rand.Rand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.split.Arms) == 0 {
		return
	}
	arm := t.split.Arms[t.split.Slots()[rng.IntN(int(strategies.Full))]].Name
	if t.served == nil {
		t.served = make(map[string]int)
	}
	t.served[arm]++
	if t.rec == nil {
		return
	}
	ttft := 200 * time.Millisecond
	if m, ok := t.ttft[arm]; ok {
		ttft = m
	}
	ttft = time.Duration(float64(ttft) * (0.7 + 0.6*rng.Float64()))
	o := analysis.Observation{
		Class: analysis.OK, At: time.Now(), Arm: arm, Generation: t.split.Generation,
		TTFT: ttft, ITL: ttft / 10, Latency: 6 * ttft, InputTokens: 100, OutputTokens: 50,
		Cost: analysis.Money(100 + rng.IntN(10)),
	}
	if rng.Float64() < t.errorRate[arm] {
		o.Class, o.Err = analysis.Error, errors.New("internal error")
	}
	t.rec.Record(o)
}

func (t *target) count(arm string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.served[arm]
}

func (t *target) current() strategies.Split {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.split
}

func release(version string) versioning.Release {
	return versioning.Release{Model: "chat", Version: versioning.MustParse(version)}
}

// plan goes 5, 25, 50, 100 % with a minute each.
func plan() rollout.Plan {
	return rollout.Plan{
		Target: "chat", Baseline: release("1.4.0"), Candidate: release("1.5.0"),
		Strategy: strategies.Canary{Bake: time.Minute, Limit: time.Hour, MinSamples: 20},
	}
}

var ana = rollout.Actor{Name: "ana"}

// open opens an engine that is closed before the test's bubble ends.
func open(t *testing.T, cfg rollout.Config) *rollout.Engine {
	t.Helper()
	e, err := rollout.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// finish follows a rollout to its end and returns its events. A rollout that
// has not ended after three days never will.
func finish(t *testing.T, e *rollout.Engine, id rollout.ID) []rollout.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour)
	defer cancel()
	var events []rollout.Event
	var prev rollout.Event
	for ev, err := range e.Events(ctx, id, 1) {
		if err != nil {
			st, _ := e.Status(t.Context(), id)
			t.Fatalf("after %d events: %v; the last: %v; status: %v stage %d, paused %v, %d samples, waiting for %s", len(events), err, prev, st.Phase, st.Stage, st.Paused, st.Samples, st.Waiting)
		}
		if err := ev.Verify(prev); err != nil {
			t.Fatal(err)
		}
		events, prev = append(events, ev), ev
	}
	return events
}

func last(events []rollout.Event) rollout.Event { return events[len(events)-1] }
