package strategies

import (
	"fmt"

	"github.com/serin-go/serin/checks"
)

// Adjust returns a strategy that compiles s and changes the named stage with f, for
// example its limit, checks or approval. Stages returns an [*checks.InvalidError] if no
// stage has the name.
func Adjust(s Strategy, stage string, f func(*Stage)) Strategy { return adjusted{s, stage, f} }

type adjusted struct {
	Strategy
	stage string
	f     func(*Stage)
}

func (a adjusted) Stages(baseline, candidate string) ([]Stage, error) {
	stages, err := a.Strategy.Stages(baseline, candidate)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range stages {
		if stages[i].Name == a.stage {
			a.f(&stages[i])
			return stages, ValidateStages(stages)
		}
		names = append(names, stages[i].Name)
	}
	return nil, &checks.InvalidError{Package: "strategies", Field: "Adjust.stage", Value: fmt.Sprintf("%q", a.stage), Want: fmt.Sprintf("one of %q", names)}
}
