package strategies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Strategy compiles the path from a baseline to a candidate. Stages is pure: equal names
// give equal stages. Package strategytest tests implementations.
type Strategy interface {
	// Stages compiles the strategy for two arms. The first arm of every split is the
	// baseline. Errors are [*checks.InvalidError] values, joined.
	Stages(baseline, candidate string) ([]Stage, error)
}

// Canary is a canary release. It raises the candidate's share in steps, and requires proof
// before the candidate gets all traffic. The zero Canary is valid: it has the default
// weights, and each stage ends as soon as its evidence is complete.
type Canary struct {
	// Weights lists the candidate's shares, strictly rising, each in (0, Full]. Full is
	// appended if it is missing. Default 5, 25, 50 and 100 %. [Linear] and
	// [Exponential] return ramps.
	Weights []Weight
	// Prove is the share at which the candidate must be shown to be no worse. It is one
	// of Weights below Full. Default the last of these.
	Prove Weight
	// Approve is the approval of the last stage. If nil, none is required. Before lists
	// the checks before the last stage.
	Approve *Approval
	Before  []string
	// Bake, Limit, MinSamples, OnLimit and OnNoEvidence apply to each stage; see
	// [Stage].
	Bake, Limit           time.Duration
	MinSamples            int
	OnLimit, OnNoEvidence Action
	// DangerouslyPromoteUnproven promotes the candidate if no harm is seen, without
	// proof that it is as good as the baseline. By default, the stage of Prove lasts
	// [UntilSafe].
	DangerouslyPromoteUnproven bool
}

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
				Package: "strategies", Field: fmt.Sprintf("Canary.Weights[%d]", i), Value: w,
				Want: "a weight from 0.01% to 100%, larger than the one before",
			})
		}
	}
	// What applies to each stage is reported once, as a field of the Canary.
	each := Stage{
		Name: "each", Split: Split{Arms: []Arm{{"baseline", Full}}}, Approve: c.Approve,
		Bake: c.Bake, Limit: c.Limit, MinSamples: c.MinSamples, OnLimit: c.OnLimit, OnNoEvidence: c.OnNoEvidence,
	}
	if err := ValidateStages([]Stage{each}); err != nil {
		errs = append(errs, checks.Within(err, "strategies", "Stages[0]", "Canary"))
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	if len(weights) == 0 || weights[len(weights)-1] != Full {
		weights = append(weights[:len(weights):len(weights)], Full)
	}
	// At full weight there is no baseline to compare with, so the proof is one stage
	// earlier.
	proof := len(weights) - 2
	if c.Prove != 0 {
		if proof = slices.Index(weights, c.Prove); proof < 0 || c.Prove == Full {
			return nil, &checks.InvalidError{Package: "strategies", Field: "Canary.Prove", Value: c.Prove, Want: fmt.Sprintf("one of the weights below Full in %v", weights)}
		}
	}
	if proof < 0 && !c.DangerouslyPromoteUnproven {
		return nil, &checks.InvalidError{
			Package: "strategies", Field: "Canary.Weights", Value: weights,
			Want: "a weight below Full first, for a comparison, or DangerouslyPromoteUnproven",
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
	return stages, validate(stages, [2]string{"Stages[].Split.Arms[1].Name", "candidate"}, [2]string{"Stages[]", "Canary"}, [2]string{"Stages", "Canary.Weights"})
}

// validate returns the problems of the stages that a strategy has made, under the fields
// of the strategy that they come from. names pairs the path of a generated field, or its
// beginning, with the field; "Stages[]" stands for every stage. The first pair that fits
// counts, and each field is reported once.
func validate(stages []Stage, names ...[2]string) error {
	var errs []error
	reported := make(map[string]bool)
	for invalid := range checks.Invalid(ValidateStages(stages)) {
		at := *invalid
		for _, n := range names {
			if rest, ok := below(invalid.Field, n[0]); ok {
				at.Field = n[1] + rest
				break
			}
		}
		if !reported[at.Field] {
			reported[at.Field] = true
			errs = append(errs, &at)
		}
	}
	return errors.Join(errs...)
}

// below returns what follows path in field.
func below(field, path string) (rest string, ok bool) {
	if beginning, end, every := strings.Cut(path, "[]"); every {
		if rest, ok = strings.CutPrefix(field, beginning+"["); ok {
			_, rest, ok = strings.Cut(rest, "]")
		}
		if ok {
			rest, ok = strings.CutPrefix(rest, end)
		}
	} else {
		rest, ok = strings.CutPrefix(field, path)
	}
	return rest, ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Sequence returns a strategy that runs strategies in order. Its Stages returns an
// [*checks.InvalidError] if the sequence is empty or two stages have the same name.
func Sequence(ss ...Strategy) Strategy { return sequence(ss) }

type sequence []Strategy

// Parts returns the strategies of a [Sequence] in order, or nil for any other strategy.
func Parts(s Strategy) []Strategy {
	if q, ok := s.(sequence); ok {
		return slices.Clone(q)
	}
	return nil
}

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
