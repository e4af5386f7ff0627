package evalue

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Growth is what blocks and pairs add up to on average, and how much that
// varies.
func TestGrowth(t *testing.T) {
	const n = 20_000
	rng := rand.New(rand.NewPCG(1, 5))
	for name, test := range map[string]func() *TwoByTwo{
		"worse": func() *TwoByTwo { return NewTwoByTwo(0.02) }, "beyond": func() *TwoByTwo { return NewBeyond(0.02, 1.5, 0) },
		"within": func() *TwoByTwo { return NewWithin(0.02, 1, 0.01) },
	} {
		want := test().Growth(0.02, 0.03, 90, 10)
		sum, squares := make([]float64, len(want)), make([]float64, len(want))
		for range n {
			x := test() // with the baseline's rate known
			x.Block(binom(rng, 90, 0.02), 90, binom(rng, 10, 0.03), 10)
			for j, l := range x.state.L {
				sum[j] += l
				squares[j] += l * l
			}
		}
		for j, w := range want {
			mean := sum[j] / n
			variance := squares[j]/n - mean*mean
			if math.Abs(mean-w.Mean) > 4*math.Sqrt(w.Variance/n)+1e-9 || math.Abs(variance/w.Variance-1) > 0.1 {
				t.Errorf("%s, alternative %d: %v and %v, want %+v", name, j, mean, variance, w)
			}
		}
	}
	for j, g := range PairsGrowth(0.6) {
		w, l := PairLogs(1, 0)[j], PairLogs(0, 1)[j]
		if mean := 0.6*w + 0.4*l; math.Abs(g.Mean-mean) > 1e-12 || math.Abs(g.Variance-(0.6*w*w+0.4*l*l-mean*mean)) > 1e-12 {
			t.Errorf("pairs, alternative %d: %+v", j, g)
		}
	}
	if g := NewTwoByTwo(0).Growth(0, 0.5, 1, 1); g[0] != (Growth{}) {
		t.Errorf("a rate of 0: %+v", g)
	}
}

func TestFactor(t *testing.T) {
	for _, l := range [][]float64{{1}, {1, -5}, {0.3, 0.2, -1, 2}, PairLogs(30, 20)} {
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
	if got, want := logMeanExp(PairLogs(24, 6)), PairsLogE(24, 6); math.Abs(got-want) > 1e-12 {
		t.Errorf("ln E = %v, want %v", got, want)
	}
}
