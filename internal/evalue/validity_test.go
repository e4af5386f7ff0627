package evalue

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
)

var runs = flag.Int("runs", 1000, "simulated rollouts per row of TestValidity")

const alpha = 0.05

// binom draws from a binomial distribution.
func binom(rng *rand.Rand, n int, p float64) (x int) {
	// Skipping from one event to the next is exact and quick when p is small.
	for i := geometric(rng, p); i < n; i += 1 + geometric(rng, p) {
		x++
	}
	return x
}

func geometric(rng *rand.Rand, p float64) int {
	return int(min(math.Log(1-rng.Float64())/math.Log1p(-p), 1e9))
}

// stage is one look of a simulated rollout: sizes and the common base rate.
type stage struct {
	nb, nc int
	rate   float64
}

// steady is looks at equal sizes and rates.
func steady(looks, nb, nc int, rate float64) []stage {
	s := make([]stage, looks)
	for i := range s {
		s[i] = stage{nb, nc, rate}
	}
	return s
}

// ramp goes 5, 10, 25, 50 % with 15 looks of 400 requests each, while the rate
// changes from one to the other at the third step.
func ramp(from, to float64) []stage {
	var s []stage
	for i, share := range []float64{0.05, 0.1, 0.25, 0.5} {
		rate := from
		if i >= 2 {
			rate = to
		}
		nc := int(400 * share)
		s = append(s, steady(15, 400-nc, nc, rate)...)
	}
	return s
}

// incident has five looks in which both arms fail ten times as often.
func incident() []stage {
	s := steady(60, 200, 200, 0.01)
	for i := 20; i < 25; i++ {
		s[i].rate = 0.1
	}
	return s
}

// crossings returns how often each of n simulated tests reaches 1/alpha.
func crossings(n int, seed uint64, once func(rng *rand.Rand) (crossed bool)) float64 {
	count := 0
	for i := range n {
		if once(rand.New(rand.NewPCG(seed, uint64(i)))) {
			count++
		}
	}
	return float64(count) / float64(n)
}

// TestValidity simulates rollouts in which the null holds and checks how often
// a test ever says otherwise, looking after every block: at most alpha, plus
// three standard errors. Its table is printed with -v.
func TestValidity(t *testing.T) {
	limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/float64(*runs))
	check := func(name string, got float64) {
		t.Logf("%-52s %.4f", name, got)
		if got > limit {
			t.Errorf("%s: %.4f false alarms, want at most %.4f", name, got, limit)
		}
	}
	blocks := func(name string, seed uint64, plan []stage, test func() *TwoByTwo, cand func(base float64) float64) {
		check(name, crossings(*runs, seed, func(rng *rand.Rand) bool {
			e := test()
			for _, s := range plan {
				e.Block(binom(rng, s.nb, s.rate), s.nb, binom(rng, s.nc, cand(s.rate)), s.nc)
				if e.LogE() >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}))
	}
	harm := func() *TwoByTwo { return NewTwoByTwo(0) }
	equal := func(rate float64) float64 { return rate }
	blocks("A1, 60 looks of 200+200", 1, steady(60, 200, 200, 0.01), harm, equal)
	blocks("A1, 1,200 looks of 10+10", 2, steady(1200, 10, 10, 0.01), harm, equal)
	blocks("A1, 600 looks of 90+10", 3, steady(600, 90, 10, 0.01), harm, equal)
	blocks("A1, ramp, rate 1 % throughout", 4, ramp(0.01, 0.01), harm, equal)
	blocks("A1, ramp, rate 1 -> 3 %", 5, ramp(0.01, 0.03), harm, equal)
	blocks("A1, ramp, rate 1 -> 0.2 %", 6, ramp(0.01, 0.002), harm, equal)
	blocks("A1, ramp, rate 1 -> 20 %", 7, ramp(0.01, 0.2), harm, equal)
	blocks("A1, incident on both arms", 8, incident(), harm, equal)
	blocks("A1, rate 30 %, 60 looks of 20+20", 9, steady(60, 20, 20, 0.3), harm, equal)

	double := func() *TwoByTwo { return NewWithin(0, 2, 0) }
	point := func() *TwoByTwo { return NewWithin(0, 1, 0.01) }
	blocks("within x2, candidate at x2, ramp 1 -> 3 %", 10, ramp(0.01, 0.03), double, func(r float64) float64 { return 2 * r })
	blocks("within +1 pp, candidate at +1 pp, ramp 1 -> 3 %", 11, ramp(0.01, 0.03), point, func(r float64) float64 { return r + 0.01 })
	blocks("within +1 pp, at it, 1,200 looks of 10+10", 12, steady(1200, 10, 10, 0.01), point, func(r float64) float64 { return r + 0.01 })

	check("A2, share 10 %, 400 events", crossings(*runs, 13, func(rng *rand.Rand) bool {
		cand, base := 0, 0
		for range 400 {
			if rng.Float64() < 0.1 {
				cand++
			} else {
				base++
			}
			if EventsLogE(cand, base, 0.1, 1) >= -math.Log(alpha) {
				return true
			}
		}
		return false
	}))
	check("B4, 5,000 pairs", crossings(*runs, 14, func(rng *rand.Rand) bool {
		wins := 0
		for n := 1; n <= 5000; n++ {
			wins += int(rng.Uint32() & 1)
			if n%10 == 0 && PairsLogE(wins, n-wins) >= -math.Log(alpha) {
				return true
			}
		}
		return false
	}))
	for seed, bound := range []float64{0, 0.05, -0.05} {
		check("A3, 1,000 pairs of scores at the bound", crossings(*runs, 15+uint64(seed), func(rng *rand.Rand) bool {
			var b Bet
			for range 1000 {
				b.Add(bound+0.9*(2*rng.Float64()-1), bound)
				if b.LogE() >= -math.Log(alpha) {
					return true
				}
			}
			return false
		}))
	}
}

// TestDetection checks that the tests are not merely careful: median numbers of
// candidate requests until harm is found, or safety proven.
func TestDetection(t *testing.T) {
	n := max(*runs/5, 200)
	median := func(seed uint64, plan []stage, test func() *TwoByTwo, cand func(float64) float64) int {
		needed := make([]int, n)
		for i := range n {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			e := test()
			for _, s := range plan {
				if e.LogE() >= -math.Log(alpha) {
					break
				}
				needed[i] += s.nc
				e.Block(binom(rng, s.nb, s.rate), s.nb, binom(rng, s.nc, cand(s.rate)), s.nc)
			}
		}
		return middle(needed)
	}
	harm := func() *TwoByTwo { return NewTwoByTwo(0) }
	fine := steady(1200, 10, 10, 0.01)
	for _, tt := range []struct {
		name   string
		median int
		atMost int
	}{
		{"errors 1 -> 5 %", median(1, fine, harm, func(float64) float64 { return 0.05 }), 300},
		{"errors 1 -> 2 %", median(2, fine, harm, func(float64) float64 { return 0.02 }), 2200},
		{"equal, proven within x2", median(3, fine, func() *TwoByTwo { return NewWithin(0, 2, 0) }, func(r float64) float64 { return r }), 2750},
		{"equal, proven within +1 pp", median(4, fine, func() *TwoByTwo { return NewWithin(0, 1, 0.01) }, func(r float64) float64 { return r }), 2750},
	} {
		t.Logf("%-32s median %5d candidate requests", tt.name, tt.median)
		if tt.median > tt.atMost {
			t.Errorf("%s: median %d, want at most %d", tt.name, tt.median, tt.atMost)
		}
	}
}

// middle returns the median of values.
func middle(values []int) int {
	counts := make(map[int]int)
	for _, v := range values {
		counts[v]++
	}
	seen := 0
	for v := 0; ; v += 10 {
		if seen += counts[v]; 2*seen >= len(values) {
			return v
		}
	}
}
