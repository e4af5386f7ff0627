package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestBlueGreenWithoutARequest: a target that nothing is asked of is switched as any
// other, and each wait names what it waits for; the way back needs no request either.
func TestBlueGreenWithoutARequest(t *testing.T) {
	p := briskly("1.4.0", "1.5.0")
	p.Strategy = strategies.BlueGreen{Warm: time.Minute, Smoke: []string{"slow"}, Approve: &strategies.Approval{Need: 1}, Keep: 10 * time.Minute}
	for _, back := range []bool{false, true} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			cfg.Checks["slow"] = checks.Func(func(ctx context.Context) checks.Result {
				select {
				case <-ctx.Done():
					return checks.Result{}
				case <-time.After(30 * time.Second):
					return checks.Result{Status: checks.Pass}
				}
			})
			e := open(t, cfg)
			id := begin(t, e, p)
			at := func(after time.Duration, phase strategies.Phase, stage int, waits string) {
				t.Helper()
				time.Sleep(after)
				st := status(t, e, id)
				if st.Phase != phase || st.Stage != stage || !strings.Contains(st.Waiting, waits) {
					t.Fatalf("%v of stage %d, waits for %q, want %v of %d and %q", st.Phase, st.Stage, st.Waiting, phase, stage, waits)
				}
			}
			share := func(want strategies.Weight) {
				t.Helper()
				if got := status(t, e, id).Split.Weight("1.5.0"); got != want {
					t.Fatalf("the candidate has %v, want %v", got, want)
				}
			}
			at(5*time.Second, strategies.Baking, 0, " of 1m0s")
			share(0)
			at(time.Minute, strategies.AfterStage, 0, "checks after the stage: slow")
			at(30*time.Second, strategies.Approving, 1, "waiting for approval")
			share(0)
			if err := e.Do(t.Context(), id, strategies.Approve, ana); err != nil {
				t.Fatal(err)
			}
			at(time.Minute, strategies.Baking, 1, " of 10m0s")
			share(strategies.Full)
			if back {
				if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
					t.Fatal(err)
				}
				at(0, strategies.Aborted, 1, "")
				share(0)
				return
			}
			at(10*time.Minute, strategies.Promoted, 1, "")
			share(strategies.Full)
		})
	}
}
