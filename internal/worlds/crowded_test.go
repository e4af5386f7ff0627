package worlds_test

import (
	"fmt"
	"testing"

	"github.com/serin-go/serin/internal/worlds"
)

// TestCrowded: where more requests arrive than can be followed, so many are followed at
// all times that an equal candidate is proven, whatever the rate.
func TestCrowded(t *testing.T) {
	alone(t)
	s := worlds.Service{Document: 1, Errors: .01}
	for _, perSecond := range []float64{500} {
		t.Run(fmt.Sprint(perSecond, " a second"), func(t *testing.T) {
			w := worlds.World{
				Number: 1, Name: "crowded", Variant: t.Name(), Runs: max(*runs, 4), PerSecond: perSecond, Looks: 200,
				Split: []worlds.Stage{{Shares: worlds.Shares{worlds.Baseline: .5, worlds.Candidate: .5}}}, Arms: [worlds.NumArms]worlds.Service{s, s, s},
				Claims: []worlds.Claim{{Kind: worlds.SafeAtLeast, Bound: .9}, {Kind: worlds.HarmedAtMost, Bound: .05}},
			}
			none := 0.
			try(t, &w, &none)
		})
	}
}
