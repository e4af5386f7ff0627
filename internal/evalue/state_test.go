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
// the state of one that has seen all.
func TestMergeEqualsUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "replicas")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var whole, sum Regression
		for range n {
			var part Regression
			for range 50 {
				x, y := rng.NormFloat64(), 1000+rng.NormFloat64()
				whole.Add(x, y)
				part.Add(x, y)
			}
			// By way of JSON, as from another process.
			data, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			var got Regression
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatal(err)
			}
			sum.Merge(got)
		}
		if diff := cmp.Diff(whole, sum, rounding); diff != "" {
			t.Fatalf("states (-whole +sum):\n%s", diff)
		}
	})
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
		d, v := difference(base, cand)
		_, without := difference(plain[0], plain[1])
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
		d, v := difference(a[0], a[1])
		ds, vs := difference(b[0], b[1])
		r, rv := relativeDifference(a[0], a[1])
		rs, rvs := relativeDifference(b[0], b[1])
		want := []float64{d, v, r, rv}
		got := []float64{ds / scale, vs / scale / scale, rs, rvs}
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
	if _, v := difference(r, r); !math.IsInf(v, 1) {
		t.Errorf("the variance of nothing is %v", v)
	}
	r.Add(2, 5)
	r.Add(2, 7)
	if r.Slope() != 0 {
		t.Errorf("x does not vary: slope %v", r.Slope())
	}
	if _, v := relativeDifference(Regression{N: 2}, r); !math.IsInf(v, 1) {
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
