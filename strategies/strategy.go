package strategies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Strategy is a way from a baseline to a candidate. Stages must be pure: equal
// names give equal stages.
type Strategy interface {
	// Stages compiles the strategy for two arms. The first arm of every split
	// is the baseline. Errors are [*checks.InvalidError] values, joined.
	Stages(baseline, candidate string) ([]Stage, error)
}

// Canary raises the candidate's share step by step and demands proof before
// the candidate takes everything. The zero Canary is valid: it goes through
// [DefaultWeights] without waiting longer than the evidence takes.
type Canary struct {
	// Weights are the candidate's shares, strictly rising, each in (0, Full].
	// Full is appended when it is not the last. Nil means [DefaultWeights];
	// [Linear] and [Exponential] make ramps.
	Weights []Weight
	// Prove is the share at which the candidate must be shown to be no worse; it
	// is one of Weights below Full. The weights after it are the ramp of the
	// promotion. Zero means the last weight below Full.
	Prove Weight
	// Approve says who must agree before the candidate takes everything, and
	// Before names the checks that must pass then. Nil asks nobody.
	Approve *Approval
	Before  []string
	// Bake, Limit, MinSamples, OnLimit and OnNoEvidence hold for each stage;
	// see [Stage].
	Bake, Limit           time.Duration
	MinSamples            int
	OnLimit, OnNoEvidence Action
	// DangerouslyPromoteUnproven lets the candidate take all traffic as soon as
	// no harm was seen, though nothing shows that it is as good as the
	// baseline. By default the last stage below Full lasts [UntilSafe].
	DangerouslyPromoteUnproven bool
}

// DefaultWeights are the shares of a [Canary] that names none: 5, 25, 50 and
// 100 percent.
func defaultWeights() []Weight { return []Weight{Percent(5), Percent(25), Percent(50), Full} }

// Stages implements [Strategy].
func (c Canary) Stages(baseline, candidate string) ([]Stage, error) {
	weights := c.Weights
	if weights == nil {
		weights = defaultWeights()
	}
	var errs []error
	for i, w := range weights {
		if w == 0 || w > Full || i > 0 && w <= weights[i-1] {
			errs = append(errs, &checks.InvalidError{
				Package: "strategies", Field: fmt.Sprintf("Canary.Weights[%d]", i), Value: uint32(w),
				Want: fmt.Sprintf("a weight from 1 to %d, larger than the one before", Full),
			})
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	if len(weights) == 0 || weights[len(weights)-1] != Full {
		weights = append(weights[:len(weights):len(weights)], Full)
	}
	// At full weight there is no baseline left to compare with, so the proof is
	// due one stage earlier.
	proof := len(weights) - 2
	if c.Prove != 0 {
		if proof = slices.Index(weights, c.Prove); proof < 0 || c.Prove == Full {
			return nil, &checks.InvalidError{Package: "strategies", Field: "Canary.Prove", Value: c.Prove, Want: fmt.Sprintf("one of the weights below Full in %v", weights)}
		}
	}
	if proof < 0 && !c.DangerouslyPromoteUnproven {
		return nil, &checks.InvalidError{
			Package: "strategies", Field: "Canary.Weights", Value: weights,
			Want: "a weight below Full first, at which the candidate can be compared, or DangerouslyPromoteUnproven",
		}
	}
	stages := make([]Stage, len(weights))
	for i, w := range weights {
		stages[i] = Stage{
			Name:  "canary " + w.String(),
			Split: Split{Arms: []Arm{{baseline, Full - w}, {candidate, w}}},
			Bake:  c.Bake, Limit: c.Limit, MinSamples: c.MinSamples,
			Until: UntilBaked, OnLimit: c.OnLimit, OnNoEvidence: c.OnNoEvidence,
		}
	}
	if !c.DangerouslyPromoteUnproven {
		stages[proof].Until = UntilSafe
	}
	last := &stages[len(stages)-1]
	last.Approve, last.Before = c.Approve, c.Before
	return stages, ValidateStages(stages)
}

// Sequence runs strategies one after the other. A stage name that occurs twice
// is an [*checks.InvalidError], as is an empty sequence.
func Sequence(ss ...Strategy) Strategy { return sequence(ss) }

type sequence []Strategy

func (q sequence) Stages(baseline, candidate string) ([]Stage, error) {
	var all []Stage
	var errs []error
	for i, s := range q {
		if s == nil {
			errs = append(errs, &checks.InvalidError{Package: "strategies", Field: fmt.Sprintf("Sequence[%d]", i), Value: nil, Want: "a strategy"})
			continue
		}
		stages, err := s.Stages(baseline, candidate)
		if err != nil {
			part := strings.TrimPrefix(fmt.Sprintf("%T", s), "strategies.")
			errs = append(errs, checks.Within(err, "strategies", part, fmt.Sprintf("Sequence[%d]", i)))
		}
		all = append(all, stages...)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return all, ValidateStages(all)
}
