package strategies

import (
	"fmt"
	"math"
	"time"

	"github.com/serin-go/serin/checks"
)

// Linear returns the weights of a ramp in n equal steps that ends at to:
// Linear(Percent(50), 5) is 10, 20, 30, 40 and 50 %. It returns nil unless
// 1 <= n <= to <= Full.
func Linear(to Weight, n int) []Weight {
	if n < 1 || to > Full || n > int(to) {
		return nil
	}
	weights := make([]Weight, n)
	for i := range weights {
		weights[i] = Weight((int64(to)*int64(i+1) + int64(n)/2) / int64(n))
	}
	return weights
}

// Exponential returns the weights of a ramp that begins at from, grows by factor and ends
// at Full: Exponential(1, 10) is 0.01, 0.1, 1, 10 and 100 %. Each weight is at least 0.01 %
// above the one before. It returns nil unless 1 <= from <= Full and factor > 1.
func Exponential(from Weight, factor float64) []Weight {
	if from < 1 || from > Full || !(factor > 1) {
		return nil
	}
	weights := []Weight{from}
	for exact := float64(from); weights[len(weights)-1] < Full; {
		exact *= factor
		next := Weight(min(math.Round(exact), float64(Full)))
		weights = append(weights, max(next, weights[len(weights)-1]+1))
	}
	return weights
}

// RampSteps returns a ramp-down from a share to zero in n equal steps. Each step lasts the
// time each. See [RampDown]. It returns no steps unless 2 <= n <= from <= Full.
func RampSteps(from Weight, n int, each time.Duration) []RampStep {
	up := Linear(from, n)
	steps := make([]RampStep, 0, len(up))
	for i := len(up) - 2; i >= 0; i-- {
		steps = append(steps, RampStep{Weight: up[i], For: each})
	}
	return steps
}

// ValidateRampSteps returns an [*checks.InvalidError] unless steps is nil or has 1 to [MaxStages]
// steps, each with a weight below the one before and a positive duration.
func ValidateRampSteps(steps []RampStep) error {
	if steps != nil && len(steps) == 0 {
		return &checks.InvalidError{Package: "strategies", Field: "RampDown", Value: "empty", Want: "nil, or at least one step; RampSteps returns none for arguments that it cannot use"}
	}
	if len(steps) > MaxStages {
		return &checks.InvalidError{Package: "strategies", Field: "RampDown", Value: len(steps), Want: fmt.Sprintf("at most %d steps", MaxStages)}
	}
	for i, d := range steps {
		if d.Weight >= Full || i > 0 && d.Weight >= steps[i-1].Weight {
			return &checks.InvalidError{Package: "strategies", Field: fmt.Sprintf("RampDown[%d].Weight", i), Value: d.Weight, Want: "a weight below Full and below the one before"}
		}
		if d.For <= 0 {
			return &checks.InvalidError{Package: "strategies", Field: fmt.Sprintf("RampDown[%d].For", i), Value: d.For, Want: "a duration > 0"}
		}
	}
	return nil
}
