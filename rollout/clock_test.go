package rollout_test

import (
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestBakeIsServed: the time of a pause is not part of a stage's bake, and the time before
// it stays.
func TestBakeIsServed(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 500*time.Millisecond)
		p := briskly("1.4.0", "1.5.0")
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Minute, Limit: time.Hour, DangerouslyPromoteUnproven: true}
		id := begin(t, e, p)
		baked := func(after, want time.Duration) {
			t.Helper()
			time.Sleep(after)
			st := status(t, e, id)
			if d := st.Baked - want; st.Phase != strategies.Baking || st.Stage != 0 || d < -3*time.Second || d > 3*time.Second {
				t.Fatalf("%v of stage %d, baked %v, want %v", st.Phase, st.Stage, st.Baked, want)
			}
		}
		baked(4*time.Minute, 4*time.Minute)
		if err := e.Do(t.Context(), id, strategies.Pause, ana); err != nil {
			t.Fatal(err)
		}
		baked(20*time.Minute, 4*time.Minute)
		if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
			t.Fatal(err)
		}
		baked(time.Second, 4*time.Minute)
		baked(5*time.Minute, 9*time.Minute)
		time.Sleep(2 * time.Minute)
		if st := status(t, e, id); st.Phase == strategies.Baking && st.Stage == 0 {
			t.Errorf("the stage has not ended: %s", st.Waiting)
		}
	})
}
