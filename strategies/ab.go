package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// AB is an A/B or A/B/n test. It serves versions side by side, with each user on one
// version, until the evidence decides or the horizon ends. A candidate that is worse than
// the baseline is removed immediately. When all remaining candidates are shown to be no
// worse, the best one wins and gets all traffic.
type AB struct {
	// Rivals lists the arms of additional candidates. The plan of the rollout has
	// their releases.
	Rivals []string
	// Share is the share of each candidate. Default equal shares for all versions.
	Share Weight
	// Horizon is the maximum duration of the comparison. Default [DefaultHorizon].
	Horizon time.Duration
	// Bake is the minimum duration of the comparison. MinSamples is the minimum
	// number of requests of each candidate. See [Stage].
	Bake       time.Duration
	MinSamples int
	// OnTie is the action if the horizon ends without a winner: ActionRollBack keeps
	// the baseline, and ActionContinue promotes the best remaining candidate.
	// ActionHold, the zero value, and ActionEscalate wait for a person.
	OnTie Action
	// Allocate moves traffic to better candidates during the comparison. It requires
	// Rivals. If nil, shares are constant.
	Allocate *Allocation
}

// DefaultHorizon is the Horizon of an [AB] if it is zero: two weeks, so that each day of
// the week counts twice.
const DefaultHorizon = 14 * 24 * time.Hour

// Stages implements [Strategy].
func (ab AB) Stages(baseline, candidate string) ([]Stage, error) {
	candidates := append([]string{candidate}, ab.Rivals...)
	n := Weight(len(candidates))
	if ab.Share == 0 {
		ab.Share = Full / (n + 1)
	}
	if ab.Share*n >= Full || ab.Share > Full {
		return nil, &checks.InvalidError{Package: "strategies", Field: "AB.Share", Value: ab.Share, Want: fmt.Sprintf("a weight from 0.01%% to %v, so that the baseline serves too", (Full-1)/n)}
	}
	if ab.Horizon == 0 {
		ab.Horizon = max(DefaultHorizon, ab.Bake)
	}
	arms := []Arm{{baseline, Full - n*ab.Share}}
	for _, c := range candidates {
		arms = append(arms, Arm{c, ab.Share})
	}
	stages := []Stage{
		{
			Name: "a/b " + ab.Share.String(), Split: Split{Arms: arms}, Contest: len(ab.Rivals) > 0, Allocate: ab.Allocate,
			Bake: ab.Bake, Limit: ab.Horizon, MinSamples: ab.MinSamples, Until: UntilSafe, OnLimit: ab.OnTie,
		},
		{
			Name:  "winner",
			Split: Split{Arms: []Arm{{baseline, 0}, {candidate, Full}}},
			Until: UntilBaked,
		},
	}
	names := [][2]string{
		{"Stages[0].Limit", "AB.Horizon"}, {"Stages[0].OnLimit", "AB.OnTie"}, {"Stages[].Split.Arms[1].Name", "candidate"},
	}
	for i := range ab.Rivals {
		names = append(names, [2]string{fmt.Sprintf("Stages[0].Split.Arms[%d].Name", i+2), fmt.Sprintf("AB.Rivals[%d]", i)})
	}
	return stages, validate(stages, append(names, [2]string{"Stages[0].Split.Arms", "AB.Rivals"}, [2]string{"Stages[0]", "AB"})...)
}
