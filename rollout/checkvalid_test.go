package rollout_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestPreflightResultsAge: results that are older than Config.CheckValid when the window
// opens or the approval comes are looked at again, and count as they are then.
func TestPreflightResultsAge(t *testing.T) {
	for _, gate := range []string{"window", "approval", "window and checks before the stage"} {
		for _, tt := range []struct {
			wait  time.Duration
			later checks.Status // what the check finds from the second time on
			want  strategies.Phase
			looks int64
		}{
			{5 * time.Minute, checks.Fail, strategies.Baking, 1},
			{time.Hour, checks.Pass, strategies.Baking, 2},
			{time.Hour, checks.Fail, strategies.Failed, 2},
			{time.Hour, checks.Unknown, strategies.Failed, 2},
		} {
			t.Run(fmt.Sprintf("%s, after %v, then %v", gate, tt.wait, tt.later), func(t *testing.T) {
				run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
					var looks atomic.Int64
					cfg.Checks["image"] = checks.Func(func(context.Context) checks.Result {
						if looks.Add(1) > 1 {
							return checks.Result{Status: tt.later}
						}
						return checks.Result{Status: checks.Pass}
					})
					cfg.Tick = 2 * time.Second
					e := open(t, cfg)
					go tgt.serve(t.Context(), time.Second)
					p := plan()
					stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
					if err != nil {
						t.Fatal(err)
					}
					p.Stages, p.Preflight = stages, []string{"image"}
					switch gate {
					case "approval":
						stages[0].Approve = &strategies.Approval{}
					case "window and checks before the stage":
						stages[0].Before = []string{"pass"}
						fallthrough
					default:
						p.Freezes = []rollout.Freeze{{From: time.Now().Add(-time.Hour), To: time.Now().Add(tt.wait)}}
					}
					id := begin(t, e, p)
					time.Sleep(tt.wait - 10*time.Second)
					if n := tgt.count("1.5.0"); n > 0 || looks.Load() != 1 {
						t.Errorf("before that %d requests have reached the candidate, and there were %d looks", n, looks.Load())
					}
					if gate == "approval" {
						if err := e.Do(t.Context(), id, strategies.Approve, rollout.Actor{Name: "ben"}); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(20 * time.Second)
					st := status(t, e, id)
					if st.Phase != tt.want || looks.Load() != tt.looks {
						t.Errorf("%v after %d looks, want %v after %d: %s", st.Phase, looks.Load(), tt.want, tt.looks, st.Reason)
					}
					if n := tgt.count("1.5.0"); n > 0 && tt.want == strategies.Failed {
						t.Errorf("%d requests have reached the candidate", n)
					}
				})
			})
		}
	}
}
