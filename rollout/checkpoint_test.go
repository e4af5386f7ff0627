package rollout_test

import (
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestPauseWritesLittle: a paused rollout adds a sign of life to its audit trail every
// hour, and nothing else. What a crash finds is as new as the last checkpoint.
func TestPauseWritesLittle(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		cfg.Tick, cfg.Checkpoint = 15*time.Second, time.Minute
		e := open(t, cfg)
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 100 * time.Hour, Limit: 200 * time.Hour}
		id := begin(t, e, p)
		time.Sleep(time.Minute)
		if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		before := status(t, e, id)
		time.Sleep(6*time.Hour + 7*time.Second) // between two ticks, when nothing is written
		now := status(t, e, id)
		if n := now.Seq - before.Seq; n < 5 || n > 6 {
			t.Errorf("%d events in six hours of a pause, want one an hour", n)
		}
		keys := uint64(0)
		for entry, err := range cfg.Store.List(t.Context(), "audit/"+string(id)+"/") {
			if err != nil {
				t.Fatal(err)
			}
			if keys++; len(entry.Value) > 64<<10 {
				t.Errorf("%s has %d bytes", entry.Key, len(entry.Value))
			}
		}
		if keys != now.Seq {
			t.Errorf("%d audit entries for %d events", keys, now.Seq)
		}
		var prev rollout.Event
		for ev, err := range e.Events(t.Context(), id, 1) {
			if err != nil {
				t.Fatal(err)
			}
			if err := ev.Verify(prev); err != nil {
				t.Error(err)
			}
			if gap := ev.At.Sub(prev.At); ev.Kind == rollout.Measured && (gap < time.Hour || gap > time.Hour+2*cfg.Checkpoint) {
				t.Errorf("%v comes %v after the event before it", ev, gap)
			}
			if prev = ev; ev.Seq == now.Seq {
				break
			}
		}
		// Another engine takes over, as after a crash: it knows what was stored. The first
		// one must not write at the same moment.
		time.Sleep(time.Second)
		now = status(t, e, id)
		after := status(t, open(t, cfg), id)
		lost := now.Exposed - after.Exposed
		if after.Seq != now.Seq+1 || after.Exposed == 0 || lost > now.Exposed/10 {
			t.Errorf("after a crash: event %d, %d requests; want event %d and nearly %d requests", after.Seq, after.Exposed, now.Seq+1, now.Exposed)
		}
	})
}
