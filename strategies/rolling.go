package strategies

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// Rolling is a rolling update. It replaces replicas of the baseline by replicas of the
// candidate in batches. The candidate's share of the traffic equals its share of the
// replicas. The candidate must be shown to be no worse before the last batch.
type Rolling struct {
	// Replicas is the number of replicas, 2 to 1,000. Batch is the number of replicas
	// that are replaced at a time. Default 1.
	Replicas, Batch int
	// Ready lists the checks that must pass before the traffic of each step moves,
	// such as a readiness check of the new replicas.
	Ready []string
	// Bake, Limit, MinSamples and OnLimit apply to each step; see [Stage].
	Bake, Limit time.Duration
	MinSamples  int
	OnLimit     Action
}

// Stages implements [Strategy].
func (r Rolling) Stages(baseline, candidate string) ([]Stage, error) {
	if r.Batch == 0 {
		r.Batch = 1
	}
	if r.Replicas < 2 || r.Replicas > 1000 {
		return nil, &checks.InvalidError{Package: "strategies", Field: "Rolling.Replicas", Value: r.Replicas, Want: "2 to 1000"}
	}
	if r.Batch < 1 || r.Batch >= r.Replicas {
		return nil, &checks.InvalidError{Package: "strategies", Field: "Rolling.Batch", Value: r.Batch, Want: "0 (for 1) to one less than Replicas"}
	}
	var stages []Stage
	for n := r.Batch; ; n = min(n+r.Batch, r.Replicas) {
		w := Weight(n * int(Full) / r.Replicas)
		stages = append(stages, Stage{
			Name:   fmt.Sprintf("replica %d/%d", n, r.Replicas),
			Split:  Split{Arms: []Arm{{baseline, Full - w}, {candidate, w}}},
			Before: r.Ready,
			Bake:   r.Bake, Limit: r.Limit, MinSamples: r.MinSamples, Until: UntilBaked, OnLimit: r.OnLimit,
		})
		if n == r.Replicas {
			break
		}
	}
	stages[len(stages)-2].Until = UntilSafe
	return stages, validate(stages, [2]string{"Stages[].Split.Arms[1].Name", "candidate"}, [2]string{"Stages[]", "Rolling"}, [2]string{"Stages", "Rolling.Batch"})
}
