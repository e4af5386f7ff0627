package evalue

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var rounding = cmpopts.EquateApprox(1e-9, 1e-9)

// The states of N replicas, each of which has seen some of the data, add up to
// that of one which has seen all.
func TestMergeEqualsUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "replicas")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		weights := []float64{0.9, 0.1}
		type states struct {
			Regression Regression
			Pairs      Pairs
			Split      Split
			Beyond     []float64
			Within     []float64
		}
		newTests := func() (*states, *Events, *Events) {
			s := new(states)
			s.Split.Stage(weights)
			return s, NewEventsBeyond(1), NewEventsWithin(2)
		}
		whole, beyond, within := newTests()
		sum, sumBeyond, sumWithin := newTests()
		for range n {
			part, partBeyond, partWithin := newTests()
			for range 50 {
				x, y := rng.NormFloat64(), 1000+rng.NormFloat64()
				arm, share := rng.IntN(2), 0.05+0.5*rng.Float64()
				for _, s := range []*states{whole, part} {
					s.Regression.Add(x, y)
					s.Pairs.Add(math.Abs(x), math.Abs(y-1000), 1.1)
					s.Split.Count(arm, 1)
				}
				for _, e := range []*Events{beyond, within, partBeyond, partWithin} {
					e.Count(arm, 1-arm, share)
				}
			}
			// By way of JSON, as from another process.
			part.Beyond, part.Within = partBeyond.State(), partWithin.State()
			data, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			var got states
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			sum.Regression.Merge(got.Regression)
			sum.Pairs.Merge(got.Pairs)
			for _, err := range []error{sum.Split.Merge(got.Split), sumBeyond.Add(got.Beyond), sumWithin.Add(got.Within)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		whole.Beyond, whole.Within = beyond.State(), within.State()
		sum.Beyond, sum.Within = sumBeyond.State(), sumWithin.State()
		if diff := cmp.Diff(whole, sum, rounding); diff != "" {
			t.Fatalf("states (-whole +sum):\n%s", diff)
		}
	})
}

func TestBoundedMerges(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var a, b Bounded
	for range 2000 {
		a.Add(math.Sqrt(rng.Float64()), 0.05)
		b.Add(math.Sqrt(rng.Float64()), 0.05)
	}
	alone := a
	a.Merge(b)
	low, high := a.Interval(0.05)
	aloneLow, aloneHigh := alone.Interval(0.05)
	if !(low < 2./3 && 2./3 < high && high-low < aloneHigh-aloneLow) {
		t.Errorf("[%v, %v] of both, [%v, %v] of one; the mean is 2/3", low, high, aloneLow, aloneHigh)
	}
	before := a
	for _, x := range []float64{-0.1, 1.1, math.NaN()} {
		a.Add(x, 0.05)
	}
	a.Add(0.5, 0)
	if a != before {
		t.Error("impossible values have changed the state")
	}
	if low, high := new(Bounded).Interval(0.05); low != 0 || high != 1 {
		t.Errorf("the interval of nothing is [%v, %v]", low, high)
	}
}

// Counts under one constant share give what EventsLogE gives.
func TestEventsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.01, 0.99).Draw(t, "share")
		margin := rapid.Float64Range(0.5, 3).Draw(t, "margin")
		beyond, within := NewEventsBeyond(margin), NewEventsWithin(margin)
		cand, base := 0, 0
		for range rapid.IntRange(0, 20).Draw(t, "blocks") {
			c, b := rapid.IntRange(0, 9).Draw(t, "candidate"), rapid.IntRange(0, 9).Draw(t, "baseline")
			cand, base = cand+c, base+b
			beyond.Count(c, b, share)
			within.Count(c, b, share)
		}
		got := []float64{beyond.LogE(), within.LogE()}
		want := []float64{EventsLogE(cand, base, share, margin), EventsWithinLogE(cand, base, share, margin)}
		if diff := cmp.Diff(want, got, rounding); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEventsThatCannotBe(t *testing.T) {
	e := NewEventsBeyond(1)
	e.Count(3, 1, 0.5)
	before := e.State()
	e.Count(-1, 1, 0.5)
	e.Count(1, 1, 0)
	e.Count(1, 1, math.NaN())
	for _, bad := range [][]float64{{1}, {0, 0, 0, 0, 0, math.NaN()}, {0, 0, 0, 0, 0, math.Inf(1)}} {
		if err := e.Add(bad); err == nil {
			t.Errorf("Add(%v) was accepted", bad)
		}
	}
	if diff := cmp.Diff(before, e.State()); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestSplitStages(t *testing.T) {
	var s Split
	near(t, "nothing", s.LogE(), 0, 0)
	s.Count(0, 5) // there is no arm yet
	s.Stage([]float64{0.9, 0.1})
	s.Count(0, 9000)
	s.Count(1, 1100)
	s.Count(2, 5)
	s.Count(0, -5)
	near(t, "one stage", s.LogE(), 1.943140, 5e-7)
	s.Stage([]float64{0.5, 0.5})
	s.Count(0, 100000)
	s.Count(1, 101000)
	near(t, "two stages", s.LogE(), 1.943140-1.319345, 1e-6)
	before := s.LogE()
	for _, bad := range []Split{
		{Weights: []float64{0.9, 0.1}, Counts: []int{1, 1}},
		{Weights: []float64{0.5, 0.5}, Counts: []int{1}},
		{Weights: []float64{0.5, 0.5}, Counts: []int{1, 1}, Past: math.NaN()},
	} {
		if err := s.Merge(bad); err == nil {
			t.Errorf("Merge(%+v) was accepted", bad)
		}
	}
	if err := s.Merge(Split{}); err != nil || s.LogE() != before {
		t.Errorf("merging nothing: %v, ln E %v, want %v", err, s.LogE(), before)
	}
}

// CUPED leaves 1-ρ² of the variance: 0.75, 0.51 and 0.19.
func TestCUPEDVariance(t *testing.T) {
	const n = 200_000
	for rho, want := range map[float64]float64{0.5: 0.75, 0.7: 0.51, 0.9: 0.19} {
		rng := rand.New(rand.NewPCG(5, 5))
		var plain [2]Regression
		var base, cand Regression
		for i := range n {
			x := rng.NormFloat64()
			y := rho*x + math.Sqrt(1-rho*rho)*rng.NormFloat64()
			if i%2 == 0 {
				base.Add(x, y)
				plain[0].Add(0, y)
			} else {
				cand.Add(x, y+0.1)
				plain[1].Add(0, y+0.1)
			}
		}
		d, v := Difference(base, cand)
		_, without := Difference(plain[0], plain[1])
		near(t, "variance left", v/without, want, 0.01)
		near(t, "difference", d, 0.1, 4*math.Sqrt(v))
	}
}

// Which values a comparison adjusts, and how much, does not depend on units.
func TestRegressionScales(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := math.Pow(10, rapid.Float64Range(-9, 9).Draw(t, "scale"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		var a, b [2]Regression
		for i := range 200 {
			x, y := rng.ExpFloat64(), 3+rng.NormFloat64()
			a[i%2].Add(x, y)
			b[i%2].Add(x, y*scale)
		}
		d, v := Difference(a[0], a[1])
		ds, vs := Difference(b[0], b[1])
		r, rv := RelativeDifference(a[0], a[1])
		rs, rvs := RelativeDifference(b[0], b[1])
		want := []float64{d, v, r, rv, a[0].Adjust(2, 5)}
		got := []float64{ds / scale, vs / scale / scale, rs, rvs, b[0].Adjust(2, 5*scale) / scale}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-7, 1e-12)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRegressionEdges(t *testing.T) {
	var r Regression
	r.Add(math.NaN(), 1)
	r.Add(1, math.Inf(1))
	r.Merge(Regression{N: -3})
	if r != (Regression{}) {
		t.Errorf("impossible values have changed the state: %+v", r)
	}
	if _, v := Difference(r, r); !math.IsInf(v, 1) {
		t.Errorf("the variance of nothing is %v", v)
	}
	r.Add(2, 5)
	r.Add(2, 7)
	if r.Slope() != 0 || r.Adjust(2, 5) != 5 {
		t.Errorf("x does not vary: slope %v, adjusted %v", r.Slope(), r.Adjust(2, 5))
	}
	if _, v := RelativeDifference(Regression{N: 2}, r); !math.IsInf(v, 1) {
		t.Errorf("relative to 0: variance %v", v)
	}
}

// The ends of a confidence sequence for a rate hold the rate at all times.
func TestRateIntervalCovers(t *testing.T) {
	const runs = 300
	missed := 0
	for i := range uint64(runs) {
		rng := rand.New(rand.NewPCG(11, i))
		events := 0
		for n := 20; n <= 4000; n += 20 {
			events += binom(rng, 20, 0.05)
			if low, high := RateInterval(events, n, 0.05, 0); low > 0.05 || high < 0.05 {
				missed++
				break
			}
		}
	}
	share := float64(missed) / runs
	t.Logf("the rate was outside of its interval at some time in %.3f of %d runs", share, runs)
	if share > 0.05+3*math.Sqrt(0.05*0.95/runs) {
		t.Errorf("missed in %.3f of the runs", share)
	}
	for _, bad := range [][2]int{{1, 0}, {-1, 5}, {6, 5}} {
		if low, high := RateInterval(bad[0], bad[1], 0.05, 0); low != 0 || high != 1 {
			t.Errorf("%v: [%v, %v], want [0, 1]", bad, low, high)
		}
	}
	if low, high := RateInterval(0, 1000, 0.05, 0); low != 0 || high > 0.02 {
		t.Errorf("0 of 1,000: [%v, %v]", low, high)
	}
	if low, high := RateInterval(1000, 1000, 0.05, 0); high != 1 || low < 0.98 {
		t.Errorf("1,000 of 1,000: [%v, %v]", low, high)
	}
}
