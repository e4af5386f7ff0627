package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/serin-go/serin/internal/evalue"
)

// One request in ten takes five times as long: the pairs hardly see it, the
// tail does at once.
func TestTailRegression(t *testing.T) {
	needed := func(withTail bool) (median int) {
		var all []int
		for seed := range uint64(41) {
			rng := rand.New(rand.NewPCG(seed, 3))
			c := newAmountContest(Latency().defaults())
			n := 0
			for done := false; !done && n < 5000; n += 10 {
				var b block
				for range 10 {
					base, cand := math.Exp(0.6*rng.NormFloat64()), math.Exp(0.6*rng.NormFloat64())
					if rng.IntN(10) == 0 {
						cand *= 5
					}
					b.values[0], b.values[1] = append(b.values[0], base), append(b.values[1], cand)
				}
				c.take(b)
				logE, _ := c.logE()
				if !withTail {
					logE = evalue.PairsLogE(c.harm[0], c.harm[1])
				}
				done = logE >= math.Log(20)
			}
			all = append(all, n)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	with, without := needed(true), needed(false)
	t.Logf("one in ten five times as slow: median %d candidate requests with the tail, %d without", with, without)
	if with > 300 || without < 2*with {
		t.Errorf("median %d requests with the tail, %d without; want at most 300, and less than half", with, without)
	}
}

// The level settles near the 95th percentile, on either side, in any unit, and
// follows when everything becomes slower.
func TestLevel(t *testing.T) {
	for _, higher := range []bool{false, true} {
		for _, unit := range []float64{1e-9, 1, 1e9} {
			rng := rand.New(rand.NewPCG(4, 4))
			var l Level
			for _, scale := range []float64{1, 3} {
				for range 4000 {
					l.add(unit*scale*math.Exp(0.6*rng.NormFloat64()), higher)
				}
				want := scale * math.Exp(0.6*1.645)
				if higher {
					want = scale * math.Exp(-0.6*1.645)
				}
				if got := l.Value / unit; got < 0.75*want || got > 1.33*want {
					t.Errorf("higher %v, unit %g: level %v, want about %v", higher, unit, got, want)
				}
			}
		}
	}
}

// Constant values, zeros and the largest floats make no evidence and no NaN.
func TestTailOfOddValues(t *testing.T) {
	for _, v := range []float64{0, 1, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		for _, higher := range []bool{false, true} {
			x := newTail(higher, 1)
			for range 200 {
				x.take([]float64{v, v}, []float64{v, v})
			}
			if e := x.test.LogE(); !(e < 1e-9) || math.IsNaN(x.level.Value) || math.IsInf(x.level.Value, 0) {
				t.Errorf("always %v, higher %v: ln E = %v at level %v", v, higher, e, x.level.Value)
			}
		}
	}
}
