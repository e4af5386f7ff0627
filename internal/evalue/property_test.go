package evalue

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// expectation returns E[exp(L_j)] of one block for each alternative j, exactly:
// the sum over all outcomes at the true rates.
func expectation(t *TwoByTwo, b, c float64, nb, nc int) []float64 {
	sum := make([]float64, len(t.grid))
	for xb := range nb + 1 {
		for xc := range nc + 1 {
			u := newTwoByTwo(t.prior, t.factor, t.points, t.grid, t.within)
			u.Block(xb, nb, xc, nc)
			for j, l := range u.state.L {
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

// The theorem on which everything rests, checked by summation: wherever in the
// null the true rates lie, each alternative's factor has expectation at most 1.
func TestBlockIsEValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prior := rapid.Float64Range(0.001, 0.9).Draw(t, "prior")
		factor, points := 1.0, 0.0
		switch rapid.IntRange(0, 2).Draw(t, "margin") {
		case 1:
			factor = rapid.Float64Range(1, 4).Draw(t, "factor")
		case 2:
			points = rapid.Float64Range(0.001, 0.3).Draw(t, "points")
		}
		nb, nc := rapid.IntRange(0, 8).Draw(t, "nb"), rapid.IntRange(0, 8).Draw(t, "nc")
		b, c := rapid.Float64Range(0, 1).Draw(t, "b"), rapid.Float64Range(0, 1).Draw(t, "c")
		test := NewWithin(prior, factor, points)
		if c <= factor*b+points {
			test = NewBeyond(prior, factor, points)
		}
		for j, e := range expectation(test, b, c, nb, nc) {
			if e > 1+1e-9 {
				t.Errorf("alternative %d has expectation %v at rates %v and %v", j, e, b, c)
			}
		}
	})
}

// Under an alternative the evidence grows.
func TestBlockHasPower(t *testing.T) {
	for _, tt := range []struct {
		name string
		test *TwoByTwo
		x    [4]int
	}{
		{"worse", NewTwoByTwo(0), [4]int{1, 100, 5, 100}},
		{"beyond a factor", NewBeyond(0, 2, 0), [4]int{1, 100, 6, 100}},
		{"beyond points", NewBeyond(0, 1, 0.02), [4]int{1, 100, 8, 100}},
		{"within a factor", NewWithin(0, 2, 0), [4]int{10, 1000, 10, 1000}},
		{"within points", NewWithin(0, 1, 0.01), [4]int{1, 100, 1, 100}},
		{"within points, no events", NewWithin(0, 1, 0.01), [4]int{0, 100, 0, 100}},
		{"within points, little of the candidate", NewWithin(0, 1, 0.02), [4]int{9, 900, 1, 100}},
	} {
		for range 40 {
			tt.test.Block(tt.x[0], tt.x[1], tt.x[2], tt.x[3])
		}
		if e := tt.test.LogE(); e < math.Log(20) {
			t.Errorf("%s: ln E = %v after 40 blocks", tt.name, e)
		}
	}
}

func TestBlocksThatCannotBe(t *testing.T) {
	test := NewTwoByTwo(0)
	for _, x := range [][4]int{{-1, 5, 0, 5}, {0, 5, -1, 5}, {6, 5, 0, 5}, {0, 5, 6, 5}, {0, -1, 0, -1}} {
		test.Block(x[0], x[1], x[2], x[3])
	}
	if diff := cmp.Diff(NewTwoByTwo(0).State(), test.State()); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	for range 1000 { // everything fails everywhere
		test.Block(5, 5, 5, 5)
	}
	if e := test.LogE(); math.IsNaN(e) || e > math.Log(20) {
		t.Errorf("all errors on both sides: ln E = %v", e)
	}
}

// A state that was stored and added to a fresh test goes on like the original.
func TestStateContinues(t *testing.T) {
	whole, first := NewWithin(0, 1, 0.01), NewWithin(0, 1, 0.01)
	for range 10 {
		whole.Block(1, 50, 0, 50)
		first.Block(1, 50, 0, 50)
	}
	second := NewWithin(0, 1, 0.01)
	if err := second.Add(first.State()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		whole.Block(0, 30, 1, 70)
		second.Block(0, 30, 1, 70)
	}
	if diff := cmp.Diff(whole.State(), second.State()); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	for _, bad := range []Blocks{
		{Events: 2, N: 1}, {N: -1}, {L: []float64{1}}, {L: []float64{0, 0, 0, 0, math.NaN()}}, {L: []float64{0, 0, 0, 0, math.Inf(1)}},
	} {
		if err := second.Add(bad); err == nil {
			t.Errorf("Add(%+v) was accepted", bad)
		}
	}
	if diff := cmp.Diff(whole.State(), second.State()); diff != "" {
		t.Errorf("what was refused has changed the state (-want +got):\n%s", diff)
	}
}

func TestNearestIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		test := NewWithin(0, rapid.Float64Range(1, 5).Draw(t, "factor"), rapid.Float64Range(0, 0.5).Draw(t, "points"))
		b := rapid.Float64Range(0.0005, 0.9).Draw(t, "b")
		c := min(test.factor*b+test.points, 1) * rapid.Float64Range(0.1, 0.9).Draw(t, "c")
		nb, nc := rapid.Float64Range(1, 1000).Draw(t, "nb"), rapid.Float64Range(1, 1000).Draw(t, "nc")
		kl := func(p, q float64) float64 { return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q)) }
		divergence := func(x float64) float64 {
			return nb*kl(b, x) + nc*kl(c, test.factor*x+test.points)
		}
		x, y := test.nearest(b, c, nb, nc)
		if !(x > 0 && x < 1 && y > 0 && y < 1) {
			t.Fatalf("nearest = (%v, %v)", x, y)
		}
		for _, step := range []float64{0.999, 0.9999, 1.0001, 1.001} {
			if other := x * step; test.factor*other+test.points < 1 && divergence(other) < divergence(x)-1e-9*nb {
				t.Fatalf("(%v) is nearer than %v: %v < %v", other, x, divergence(other), divergence(x))
			}
		}
	})
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
		// Without a margin and at equal shares, proving no harm is showing harm
		// with the arms swapped, but for the largest alternative.
		if w+l > 0 && w+l < 40 {
			a, b := EventsWithinLogE(w, l, 0.5, 1), EventsLogE(l, w, 0.5, 1)
			full := 6 * math.Exp(b)
			last := math.Pow(2*10./11, float64(l)) * math.Pow(2./11, float64(w))
			if diff := cmp.Diff((full-last)/5, math.Exp(a), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestEventsLogEIsEValue(t *testing.T) {
	for _, share := range []float64{0.01, 0.3, 0.9} {
		for _, margin := range []float64{1, 2} {
			q := nullShare(share, margin)
			var beyond, within float64
			for x := range 31 {
				beyond += binomial(30, x, q) * math.Exp(EventsLogE(x, 30-x, share, margin))
				within += binomial(30, x, q) * math.Exp(EventsWithinLogE(x, 30-x, share, margin))
			}
			near(t, "expectation beyond", beyond, 1, 1e-9)
			near(t, "expectation within", within, 1, 1e-9)
		}
	}
}

func TestBet(t *testing.T) {
	var worse, same Bet
	for i := range 400 {
		worse.Add(0.3+0.2*math.Sin(float64(i)), 0)
		same.Add(0.2*math.Sin(float64(i)), 0)
	}
	if worse.LogE() < math.Log(20) || same.LogE() > math.Log(20) {
		t.Errorf("ln E = %v above the bound and %v at it", worse.LogE(), same.LogE())
	}
	before := worse
	for _, d := range []float64{math.NaN(), 1.5, -2, math.Inf(1)} {
		worse.Add(d, 0)
	}
	worse.Add(0.5, 1)
	worse.Add(0.5, math.NaN())
	if worse != before {
		t.Error("impossible values have changed the bet")
	}
	worse.Merge(same)
	if worse.N != 800 || worse.L != before.L+same.L {
		t.Errorf("merged: %+v", worse)
	}
}

func TestAverage(t *testing.T) {
	got := Average([]float64{math.Log(40), 0, 700}, []float64{1, 1, 0})
	near(t, "average", got, math.Log(20.5), 1e-12)
	near(t, "huge", Average([]float64{5000, 0}, []float64{1, 1}), 5000-math.Ln2, 1e-9)
}
