package strategies

import "time"

// AB serves two versions side by side, each user always by the same one, until
// the evidence decides or the horizon ends. A candidate that is worse loses at
// once; one that is shown to be no worse wins and takes everything; at the
// horizon OnTie decides.
type AB struct {
	// Share is the candidate's. Zero means one half.
	Share Weight
	// Horizon is the longest time that the comparison lasts. Zero means 14 days.
	Horizon time.Duration
	// Bake and MinSamples are the least that the comparison takes; see [Stage].
	Bake       time.Duration
	MinSamples int
	// OnTie is what happens when the horizon ends undecided: RollBack stays with
	// the baseline, Continue takes the candidate, Hold and Escalate ask a person.
	OnTie Action
}

// DefaultHorizon is how long an [AB] lasts that names no Horizon: two weeks, so
// that each day of the week counts twice.
const DefaultHorizon = 14 * 24 * time.Hour

// Stages implements [Strategy].
func (ab AB) Stages(baseline, candidate string) ([]Stage, error) {
	if ab.Share == 0 {
		ab.Share = Full / 2
	}
	if ab.Share >= Full {
		return nil, &InvalidError{Field: "AB.Share", Value: uint32(ab.Share), Want: "a weight from 1 to 9999, so that both versions serve"}
	}
	if ab.Horizon == 0 {
		ab.Horizon = max(DefaultHorizon, ab.Bake)
	}
	stages := []Stage{
		{
			Name:  "a/b " + ab.Share.String(),
			Split: Split{Arms: []Arm{{baseline, Full - ab.Share}, {candidate, ab.Share}}},
			Bake:  ab.Bake, Limit: ab.Horizon, MinSamples: ab.MinSamples, Until: UntilSafe, OnLimit: ab.OnTie,
		},
		{
			Name:  "winner",
			Split: Split{Arms: []Arm{{baseline, 0}, {candidate, Full}}},
			Until: UntilBaked,
		},
	}
	return stages, ValidateStages(stages)
}
