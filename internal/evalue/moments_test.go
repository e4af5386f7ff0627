package evalue

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The evidence is the mixture of products of likelihood ratios, event by event.
func TestMomentsDefinition(t *testing.T) {
	odds := []float64{1.25, 1.5, 2, 3, 5, 10}
	weights := []float64{.08, .12, .22, .2, .28, .1}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, times := range []float64{1, 1.2} {
		var m Moments
		ratio := []float64{1, 1, 1, 1, 1, 1}
		for range 40 {
			share := .02 + .96*rng.Float64()
			null := share * times / (share*times + 1 - share)
			hit := rng.Float64() < .6
			for i, r := range odds {
				q := r * null / (r*null + 1 - null)
				if hit {
					ratio[i] *= q / null
				} else {
					ratio[i] *= (1 - q) / (1 - null)
				}
			}
			cand, base := MomentFactors(share, times)
			add := base
			if hit {
				add = cand
				m.Add(share, times, 1, 0)
			} else {
				m.Add(share, times, 0, 1)
			}
			var check Moments
			for i := range check {
				check[i] = add[i]
			}
			want := math.Log(ratio[2])
			near(t, "ln of one product", m[2], want, 1e-9*(1+math.Abs(want)))
		}
		sum, total := 0.0, 0.0
		for i := range ratio {
			sum += weights[i] * ratio[i]
			total += weights[i]
		}
		near(t, "sum of the weights", total, 1, 1e-12)
		near(t, "ln E", m.LogE(), math.Log(sum), 1e-9*(1+math.Abs(math.Log(sum))))
	}
	near(t, "nothing", new(Moments).LogE(), 0, 1e-12)
	// Several together are the same as one after the other.
	var many, one Moments
	many.Add(.3, 1, 5, 7)
	for range 5 {
		one.Add(.3, 1, 1, 0)
	}
	for range 7 {
		one.Add(.3, 1, 0, 1)
	}
	near(t, "twelve events", many.LogE(), one.LogE(), 1e-9)
	// Beyond all numbers it is a number.
	many.Add(.5, 1, 1e6, 0)
	if got := many.LogE(); !(got > 1e5) || math.IsInf(got, 0) {
		t.Errorf("a million events: %v", got)
	}
	// What MomentFactors gives is what Add adds.
	cand, base := MomentFactors(.2, 1.2)
	var m Moments
	m.Add(.2, 1.2, 1, 1)
	for i := range m {
		near(t, "factors", cand[i]+base[i], m[i], 1e-12)
	}
}

// Each factor has a mean of 1 under the share, exactly, and less if the candidate is hit
// less often.
func TestMomentsHaveMeanOne(t *testing.T) {
	for _, share := range []float64{.001, .05, .5, .9} {
		for _, times := range []float64{1, 1.2, 3} {
			cand, base := MomentFactors(share, times)
			null := share * times / (share*times + 1 - share)
			for i := range cand {
				near(t, "mean of a factor", null*math.Exp(cand[i])+(1-null)*math.Exp(base[i]), 1, 1e-9)
				if less := .9*null*math.Exp(cand[i]) + (1-.9*null)*math.Exp(base[i]); less > 1 {
					t.Errorf("share %v, times %v: mean %v where the candidate is hit less", share, times, less)
				}
			}
		}
	}
}

// However often one looks, labels that only the share explains reach a limit no more
// often than promised; the e-values of a candidate that is hit three times as often soon do.
func TestMomentsAreValid(t *testing.T) {
	n := 10 * *runs
	for _, tt := range []struct {
		name  string
		share func(i int) float64
	}{
		{"half", func(int) float64 { return .5 }},
		{"a twentieth", func(int) float64 { return .05 }},
		{"ramp", func(i int) float64 { return []float64{.05, .1, .25, .5}[i/100] }},
	} {
		reached, found := 0, 0
		for seed := range n {
			rng := rand.New(rand.NewPCG(uint64(seed), 5))
			var equal, worse Moments
			peak, worst := 0.0, 0.0
			for i := range 400 {
				s := tt.share(i)
				add := func(m *Moments, p float64) {
					if rng.Float64() < p {
						m.Add(s, 1, 1, 0)
					} else {
						m.Add(s, 1, 0, 1)
					}
				}
				add(&equal, s)
				add(&worse, 3*s/(3*s+1-s))
				peak, worst = max(peak, equal.LogE()), max(worst, worse.LogE())
			}
			if peak >= math.Log(1/alpha) {
				reached++
			}
			if worst >= math.Log(1/alpha) {
				found++
			}
		}
		rate, power := float64(reached)/float64(n), float64(found)/float64(n)
		t.Logf("%s: reached in %.4f, with three times the events in %.3f", tt.name, rate, power)
		if limit := alpha + 3*math.Sqrt(alpha*(1-alpha)/float64(n)); rate > limit || power < .9 {
			t.Errorf("%s: reached in %.4f, want at most %.4f; found in %.3f, want .9", tt.name, rate, limit, power)
		}
	}
}
