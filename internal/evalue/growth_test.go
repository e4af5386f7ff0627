package evalue

import (
	"math"
	"testing"
)

func TestFactor(t *testing.T) {
	for _, l := range [][]float64{{1}, {1, -5}, {0.3, 0.2, -1, 2}} {
		f := Factor(l, 3)
		scaled := make([]float64, len(l))
		for j := range l {
			scaled[j] = f * l[j]
		}
		if got := logMeanExp(scaled); math.Abs(got-3) > 0.01 {
			t.Errorf("%v times %v gives ln E = %v, want 3", l, f, got)
		}
	}
	for _, l := range [][]float64{nil, {0}, {-1, -2}, {math.Inf(1)}, {math.NaN()}} {
		if f := Factor(l, 3); !math.IsInf(f, 1) {
			t.Errorf("%v: %v, want +Inf", l, f)
		}
	}
}
