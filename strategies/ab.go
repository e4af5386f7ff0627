package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// AB serves versions side by side, each user always by the same one, until the
// evidence decides or the horizon ends. A candidate that is worse than the
// baseline drops out at once. When all that are left have been shown to be no
// worse the best of them wins and takes everything; at the horizon OnTie
// decides.
type AB struct {
	// Rivals are the arms of further candidates, which compete with the first
	// one for the baseline's place. Their releases are in the rollout's plan.
	Rivals []string
	// Share is that of each candidate. Zero means equal shares for all versions.
	Share Weight
	// Horizon is the longest time that the comparison lasts. Zero means 14 days.
	Horizon time.Duration
	// Bake and MinSamples are the least that the comparison takes, of each
	// candidate; see [Stage].
	Bake       time.Duration
	MinSamples int
	// OnTie is what happens when the horizon ends undecided: RollBack stays with
	// the baseline, Continue takes the best candidate that is left, Hold and
	// Escalate ask a person.
	OnTie Action
	// Allocate, if not nil, gives more traffic to the candidates that do well while
	// the comparison lasts. It needs Rivals.
	Allocate *Allocation
}

// DefaultHorizon is how long an [AB] lasts that names no Horizon: two weeks, so
// that each day of the week counts twice.
const DefaultHorizon = 14 * 24 * time.Hour

// Stages implements [Strategy].
func (ab AB) Stages(baseline, candidate string) ([]Stage, error) {
	candidates := append([]string{candidate}, ab.Rivals...)
	n := Weight(len(candidates))
	if ab.Share == 0 {
		ab.Share = Full / (n + 1)
	}
	if ab.Share*n >= Full || ab.Share > Full {
		return nil, &checks.InvalidError{Package: "strategies", Field: "AB.Share", Value: uint32(ab.Share), Want: fmt.Sprintf("a weight from 1 to %d, so that the baseline serves too", (Full-1)/n)}
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
	return stages, ValidateStages(stages)
}
