package kayenta

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// points are values of which some are equal.
func points(t *rapid.T, name string) []float64 {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
		return float64(rapid.IntRange(-40, 40).Draw(t, "v")) / 4
	}), 1, 30).Draw(t, name)
}

func TestDifferenceIsOrderStatistic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := points(t, "x"), points(t, "y")
		var all []float64
		for _, v := range x {
			for _, w := range y {
				all = append(all, v-w)
			}
		}
		slices.Sort(all)
		slices.Sort(x)
		slices.Sort(y)
		for k, want := range all {
			if got := difference(x, y, k+1); got != want {
				t.Fatalf("difference %d = %v, want %v", k+1, got, want)
			}
		}
	})
}

// The ends are where the statistic, as the original defines it, crosses the
// quantile: just inside of the interval it does not reject, just outside it
// does, unless nothing could be outside.
func TestIntervalInvertsTest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := points(t, "x"), points(t, "y")
		z := math.Sqrt2 * math.Erfinv(0.9)
		in := MannWhitney(x, y, 0.9)
		const step = 1e-6 // far below the distance of the differences
		least, most := slices.Min(x)-slices.Max(y), slices.Max(x)-slices.Min(y)
		if s := Statistic(x, y, in.Low+step); s >= z {
			t.Fatalf("z = %v inside of the low end %v", s, in.Low)
		}
		if s := Statistic(x, y, in.Low-step); s < z && in.Low != least {
			t.Fatalf("z = %v outside of the low end %v", s, in.Low)
		}
		if s := Statistic(x, y, in.High-step); s <= -z {
			t.Fatalf("z = %v inside of the high end %v", s, in.High)
		}
		if s := Statistic(x, y, in.High+step); s > -z && in.High != most {
			t.Fatalf("z = %v outside of the high end %v", s, in.High)
		}
		if in.Low > in.Estimate || in.Estimate > in.High {
			t.Fatalf("the estimate is outside of its interval: %+v", in)
		}
	})
}

func TestVerdictsDoNotDependOnUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		scale := math.Pow(10, float64(rapid.IntRange(-9, 9).Draw(t, "exponent")))
		shift := rapid.Float64Range(0.5, 2).Draw(t, "shift")
		var a, b [2][]float64
		for range 20 {
			x, y := rng.ExpFloat64(), shift*rng.ExpFloat64()
			a[0], a[1] = append(a[0], x), append(a[1], y)
			b[0], b[1] = append(b[0], x*scale), append(b[1], y*scale)
		}
		m := Metric{RemoveOutliers: true}
		plain, scaled := m.Classify(a[1], a[0]), m.Classify(b[1], b[0])
		scaled.Low, scaled.High, scaled.Estimate = scaled.Low/scale, scaled.High/scale, scaled.Estimate/scale
		if diff := cmp.Diff(plain, scaled, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Fatalf("times %v (-plain +scaled):\n%s", scale, diff)
		}
	})
}

// The original's own case of points near 1/30 whose differences are smaller
// than its tolerance: it takes the end of an interval for the estimate.
func TestSmallDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var x, y []float64
	for range 180 {
		x = append(x, 0.0333333+1e-6*rng.NormFloat64())
		y = append(y, 0.0333330+1e-6*rng.NormFloat64())
	}
	in := MannWhitney(x, y, 0.98)
	if !(in.Low < 3e-7 && 3e-7 < in.High && in.High-in.Low < 1e-6) {
		t.Errorf("%+v, want an interval around 3e-7 narrower than 1e-6", in)
	}
	// A shift that is ten times larger is found.
	for i := range x {
		x[i] += 3e-6
	}
	if r := (Metric{}).Classify(x, y); r.Label != High {
		t.Errorf("3e-6 higher: %v, want %v", r.Label, High)
	}
}

func TestPointsThatAreNone(t *testing.T) {
	nan := math.NaN()
	if r := (Metric{}).Classify([]float64{nan, nan}, up); r.Label != Nodata {
		t.Errorf("only NaN: %v", r.Label)
	}
	if r := (Metric{}).Classify([]float64{math.Inf(1), 1, 2, nan, 3, 4, 5}, up); r.Label != Pass {
		t.Errorf("the same points with NaN and infinity: %v", r.Label)
	}
	if r := (Metric{NaN: Replace}).Classify([]float64{nan, nan, nan, nan, nan, nan, nan}, fifties); r.Label != Low {
		t.Errorf("NaN replaced by 0: %v", r.Label)
	}
	if r := (Metric{RemoveOutliers: true}).Classify(append(slices.Repeat([]float64{1, 2, 3, 4}, 50), 1e12), slices.Repeat([]float64{1, 2, 3, 4}, 50)); r.Label != Pass || r.Effect > 2 {
		t.Errorf("one outlier: %v, effect %v", r.Label, r.Effect)
	}
}

func BenchmarkMannWhitney(b *testing.B) {
	for _, n := range []int{60, 1440} {
		rng := rand.New(rand.NewPCG(1, 1))
		x, y := make([]float64, n), make([]float64, n)
		for i := range n {
			x[i], y[i] = rng.ExpFloat64(), rng.ExpFloat64()
		}
		b.Run(map[int]string{60: "60 points", 1440: "1,440 points"}[n], func(b *testing.B) {
			for b.Loop() {
				MannWhitney(x, y, 0.98)
			}
		})
	}
}
