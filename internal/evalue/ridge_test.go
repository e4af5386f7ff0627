package evalue

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The slopes are found, and the sums do not depend on the order.
func TestRidge(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	want := [RidgeTerms]float64{.8, -.5, -2, 0}
	var whole, odd, even, back Ridge
	type pair struct {
		x [RidgeTerms]float64
		y float64
	}
	var pairs []pair
	for i := range 20_000 {
		p := pair{x: [RidgeTerms]float64{6 + rng.NormFloat64(), float64(i % 2), float64(i % 3 / 2), 1}}
		p.y = 3 + .2*rng.NormFloat64()
		for k, v := range p.x {
			p.y += want[k] * v
		}
		pairs = append(pairs, p)
	}
	for i, p := range pairs {
		whole.Add(p.x, p.y)
		if i%2 == 0 {
			even.Add(p.x, p.y)
		} else {
			odd.Add(p.x, p.y)
		}
		last := pairs[len(pairs)-1-i]
		back.Add(last.x, last.y)
	}
	odd.Merge(&even)
	for name, r := range map[string]Ridge{"in parts": odd, "backwards": back} {
		if diff := cmp.Diff(whole, r); diff != "" {
			t.Errorf("%s (-whole +got):\n%s", name, diff)
		}
	}
	f := whole.Fit(10)
	for k, s := range f.Slopes {
		if math.Abs(s-want[k]) > .02 {
			t.Errorf("slope %d: %v, want %v", k, s, want[k])
		}
	}
	if f.Explained < .9 || f.Explained > 1 {
		t.Errorf("explained: %v", f.Explained)
	}
	x := f.Means
	x[0]++
	if got := f.Excess(x); math.Abs(got-want[0]) > .02 {
		t.Errorf("one more of the first: %v, want %v", got, want[0])
	}
}

func TestRidgeOfLittle(t *testing.T) {
	var r Ridge
	if f := r.Fit(10); f != (RidgeFit{}) {
		t.Errorf("of nothing: %+v", f)
	}
	r.Add([RidgeTerms]float64{math.NaN()}, 1)
	r.Add([RidgeTerms]float64{1}, math.NaN())
	if r.N != 0 {
		t.Errorf("took in %d that are no numbers", r.N)
	}
	for range 3 {
		r.Add([RidgeTerms]float64{math.Inf(1), -1e300}, math.Inf(-1))
	}
	f := r.Fit(10)
	for _, v := range append(f.Slopes[:], f.Means[:]...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("of what does not vary: %+v", f)
		}
	}
}
