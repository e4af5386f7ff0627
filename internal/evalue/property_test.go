package evalue

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// expectation returns E[exp(L_j)] of one block for each alternative j, exactly:
// the sum over all outcomes at the true rates.
func expectation(prior, b, c float64, nb, nc int) []float64 {
	sum := make([]float64, len(worse))
	for xb := range nb + 1 {
		for xc := range nc + 1 {
			u := NewTwoByTwo(prior)
			u.Block(xb, nb, xc, nc)
			for j, l := range u.l {
				sum[j] += binomial(nb, xb, b) * binomial(nc, xc, c) * math.Exp(l)
			}
		}
	}
	return sum
}

func binomial(n, x int, p float64) float64 {
	l := logGamma(float64(n+1)) - logGamma(float64(x+1)) - logGamma(float64(n-x+1))
	if x > 0 {
		l += float64(x) * math.Log(p)
	}
	if n > x {
		l += float64(n-x) * math.Log(1-p)
	}
	return math.Exp(l)
}

// Wherever in the null the true rates are, the factor of each alternative has an
// expectation of at most 1. This sums over all outcomes.
func TestBlockIsEValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prior := rapid.Float64Range(0.001, 0.9).Draw(t, "prior")
		nb, nc := rapid.IntRange(0, 8).Draw(t, "nb"), rapid.IntRange(0, 8).Draw(t, "nc")
		b := rapid.Float64Range(0, 1).Draw(t, "b")
		c := rapid.Float64Range(0, b).Draw(t, "c")
		for j, e := range expectation(prior, b, c, nb, nc) {
			if e > 1+1e-9 {
				t.Errorf("alternative %d has expectation %v at rates %v and %v", j, e, b, c)
			}
		}
	})
}

// Under an alternative the evidence grows.
func TestBlockHasPower(t *testing.T) {
	test := NewTwoByTwo(0)
	for range 40 {
		test.Block(1, 100, 5, 100)
	}
	if e := test.LogE(); e < math.Log(20) {
		t.Errorf("ln E = %v after 40 blocks", e)
	}
}

func TestBlocksThatCannotBe(t *testing.T) {
	test := NewTwoByTwo(0)
	for _, x := range [][4]int{{-1, 5, 0, 5}, {0, 5, -1, 5}, {6, 5, 0, 5}, {0, 5, 6, 5}, {0, -1, 0, -1}} {
		test.Block(x[0], x[1], x[2], x[3])
	}
	if *test != *NewTwoByTwo(0) {
		t.Errorf("impossible blocks have changed the state: %+v", test)
	}
	for range 1000 { // everything fails everywhere
		test.Block(5, 5, 5, 5)
	}
	if e := test.LogE(); math.IsNaN(e) || e > math.Log(20) {
		t.Errorf("all errors on both sides: ln E = %v", e)
	}
}

func TestMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, l := rapid.IntRange(0, 1000).Draw(t, "wins"), rapid.IntRange(0, 1000).Draw(t, "losses")
		if e := math.Max(PairsLogE(w, l), PairsLogE(l, w)); w != l && e <= PairsLogE(min(w, l), max(w, l)) {
			t.Fatalf("PairsLogE does not favour the majority at %d and %d", w, l)
		}
		if e := PairsLogE(w+1, l) - PairsLogE(w, l); e <= 0 {
			t.Fatalf("a win is no evidence at %d and %d", w, l)
		}
	})
}

func TestAverage(t *testing.T) {
	got := Average([]float64{math.Log(40), 0, 700}, []float64{1, 1, 0})
	near(t, "average", got, math.Log(20.5), 1e-12)
	near(t, "huge", Average([]float64{5000, 0}, []float64{1, 1}), 5000-math.Ln2, 1e-9)
}
