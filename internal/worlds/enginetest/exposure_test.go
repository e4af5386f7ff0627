package enginetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// rare is so low a rate that requests alone count, and no time. An engine does not know
// the rate before it starts.
const rare = .001

// exposure returns in how many requests of the candidate plain harm is found.
func exposure(t testing.TB, perSecond float64, candidate strategies.Weight) int64 {
	t.Helper()
	out, err := analysis.Plan{}.Outlook(analysis.Traffic{PerSecond: perSecond, Share: float64(candidate) / float64(strategies.Full)})
	if err != nil {
		t.Fatal(err)
	}
	return int64(out.Exposure)
}

// TestZeroCanary: no stage of a canary for which nothing was said ends before half a
// minute, and before the candidate has had the requests in which plain harm is found.
func TestZeroCanary(t *testing.T) {
	for _, perSecond := range []float64{5, 50, 500} {
		t.Run(fmt.Sprint(perSecond, " a second"), func(t *testing.T) {
			var entered rollout.Event // the last stage
			var had, ended int64      // requests of the candidate by then, and stages
			tr := trial{
				number: 24, variant: "zero canary", perSecond: perSecond, services: both(quick(.01)),
				claims: []worlds.Claim{neverHarmed},
				look: func(t testing.TB, ev rollout.Event, asked []int64) {
					if ev.Kind != rollout.PhaseEntered || ev.Phase != strategies.Baking {
						return
					}
					before, seen := entered, asked[1]-had
					entered, had = ev, asked[1]
					if before.Seq == 0 {
						return
					}
					ended++
					weight := before.Split.Weight(versions[1])
					lasted := ev.At.Sub(before.At)
					want, rated := exposure(t, rare, weight), exposure(t, perSecond, weight)
					t.Logf("%s: %v and %d requests of the candidate, exposure %d, at this rate %d", before.Name, lasted, seen, want, rated)
					if lasted < 30*time.Second || seen < want {
						t.Errorf("%s lasts %v and %d requests of the candidate, want at least 30 s and %d", before.Name, lasted, seen, want)
					}
				},
			}
			var all []worlds.Result
			for i := range number(1) {
				entered, had, ended = rollout.Event{}, 0, 0
				out := tr.play(t, uint64(i+1))
				t.Log(out.end)
				if out.end.Phase == strategies.Promoted && ended != 3 {
					t.Errorf("%d stages have ended, want 3", ended)
				}
				all = append(all, out.Result)
			}
			hold(t, tr.claims, all)
		})
	}
}
