package evalue

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestShareIsValidAtEveryLook looks after each trial at a share that is the limit, and
// at half of it.
func TestShareIsValidAtEveryLook(t *testing.T) {
	const runs, trials, alpha = 1000, 1500, 0.05
	for _, limit := range []float64{0.01, 0.05, 0.5, 0.95} {
		for _, truth := range []float64{limit, limit / 2} {
			rejected := 0
			for seed := range uint64(runs) {
				random, events := rand.New(rand.NewPCG(seed, 1)), 0
				for n := 1; n <= trials; n++ {
					if random.Float64() < truth {
						events++
					}
					if ShareLogE(events, n, limit, 1) >= math.Log(1/alpha) {
						rejected++
						break
					}
				}
			}
			t.Logf("limit %v, true share %v: %d of %d rejected", limit, truth, rejected, runs)
			if float64(rejected) > runs*alpha+3*math.Sqrt(runs*alpha) {
				t.Errorf("limit %v, true share %v: %d of %d rejected", limit, truth, rejected, runs)
			}
		}
	}
}

// TestShareFindsTwiceTheLimit compares the mean number of trials with the sample of the
// one-sided test of fixed size with the same level and a power of 90 %.
func TestShareFindsTwiceTheLimit(t *testing.T) {
	const runs, alpha = 1000, 0.05
	for _, limit := range []float64{0.01, 0.02, 0.05} {
		p, q := limit, 2*limit
		root := 1.645*math.Sqrt(p*(1-p)) + 1.282*math.Sqrt(q*(1-q))
		fixed := root * root / (q - p) / (q - p)
		sum := 0
		for seed := range uint64(runs) {
			random, events := rand.New(rand.NewPCG(seed, 2)), 0
			for n := 1; ; n++ {
				if random.Float64() < q {
					events++
				}
				if ShareLogE(events, n, limit, 1) >= math.Log(1/alpha) {
					sum += n
					break
				}
			}
		}
		mean := float64(sum) / runs
		t.Logf("limit %v: %.0f trials, %.2f times the %.0f of a test of fixed size", limit, mean, mean/fixed, fixed)
		if mean > 1.3*fixed {
			t.Errorf("limit %v: %.0f trials, want at most 1.3 times %.0f", limit, mean, fixed)
		}
	}
}

func TestShareAtTheEnds(t *testing.T) {
	for _, test := range []struct {
		events, n int
		share     float64
		want      float64
	}{{0, 9, 0, 0}, {1, 9, 0, impossible}, {9, 9, 1, 0}, {-1, 9, 0.5, 0}, {10, 9, 0.5, 0}, {1, 9, math.NaN(), 0}, {0, 0, 0.5, 0}} {
		if got := ShareLogE(test.events, test.n, test.share, 1); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%d of %d against %v: %v, want %v", test.events, test.n, test.share, got, test.want)
		}
	}
	for n := range 200 { // an unknown outcome never adds evidence
		if a, b := ShareLogE(5, n+5, 0.02, 1), ShareLogE(5, n+6, 0.02, 1); b > a {
			t.Fatalf("after %d trials: %v, one more: %v", n, a, b)
		}
	}
}
