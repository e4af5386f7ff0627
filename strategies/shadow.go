package strategies

import "time"

// Shadow sends copies of live requests to the candidate (traffic mirroring). Callers do
// not see its answers, which are measured and compared. It moves no traffic, so combine it
// with another strategy: Sequence(Shadow{}, Canary{}).
type Shadow struct {
	// Share is the share of the requests that are copied. Default 10 %.
	Share Weight
	// Bake, Limit, MinSamples, OnLimit, OnNoEvidence and Until apply to the stage; see
	// [Stage]. MinSamples defaults to 100.
	Bake, Limit           time.Duration
	MinSamples            int
	OnLimit, OnNoEvidence Action
	Until                 Until
}

// Stages implements [Strategy].
func (s Shadow) Stages(baseline, candidate string) ([]Stage, error) {
	if s.Share == 0 {
		s.Share = Percent(10)
	}
	if s.MinSamples == 0 {
		s.MinSamples = 100
	}
	stages := []Stage{{
		Name: "shadow " + s.Share.String(),
		Split: Split{
			Arms:    []Arm{{baseline, Full}, {candidate, 0}},
			Mirrors: []Mirror{{Arm: candidate, Share: s.Share}},
		},
		Bake: s.Bake, Limit: s.Limit, MinSamples: s.MinSamples,
		Until: s.Until, OnLimit: s.OnLimit, OnNoEvidence: s.OnNoEvidence,
	}}
	return stages, validate(stages, [2]string{"Stages[0].Split.Mirrors[0].Share", "Shadow.Share"},
		[2]string{"Stages[0].Split.Arms[1].Name", "candidate"}, [2]string{"Stages[0].Split.Mirrors[0].Arm", "candidate"}, [2]string{"Stages[0]", "Shadow"})
}
