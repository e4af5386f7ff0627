package evalue

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What is computed is the variance of the blocks' sums over the variance of the design, over the
// quantile of what chance makes of it.
func TestOverdispersionDefinition(t *testing.T) {
	var o Overdispersion
	sums := []float64{1, -2, 3.5, 0, 4}
	for _, s := range sums {
		o.Close(s/2, 1, 0, 2) // two looks for each block
		o.Close(s/2, 1, 2, 2)
	}
	mean, square := 0.0, 0.0
	for _, s := range sums {
		mean += s / 5
	}
	for _, s := range sums {
		square += (s - mean) * (s - mean)
	}
	// Wilson and Hilferty: chi square of 4 degrees at 95 % is about 9.49.
	near(t, "factor", o.Factor(1.6448536), 5./4*square/2/(9.4877/4), .02*square)
	if got := o.Factor(8); got != 1 {
		t.Errorf("at a quantile that it is below: %v", got)
	}
	var few Overdispersion
	few.Close(100, 1, 1, 1)
	few.Close(-100, 1, 1, 1)
	if got := few.Factor(0); got != 1 {
		t.Errorf("of two blocks: %v", got)
	}
	if got := new(Overdispersion).Factor(0); got != 1 {
		t.Errorf("of none: %v", got)
	}
}

// Blocks that chance alone explains are beyond it in no more cases than said, and a
// constant effect does not change that; a burst on one arm does.
func TestOverdispersionOfIndependentBlocks(t *testing.T) {
	n := 20 * *runs
	count := func(z, effect, burst float64, blocks int) float64 {
		beyond := 0
		for seed := range n {
			rng := rand.New(rand.NewPCG(uint64(seed), 9))
			var o Overdispersion
			for i := range blocks {
				d := effect + rng.NormFloat64()
				if i == blocks/2 {
					d += burst
				}
				o.Close(d, 1, float64(i+1), 1)
			}
			if o.Factor(z) > 1 {
				beyond++
			}
		}
		return float64(beyond) / float64(n)
	}
	for _, tt := range []struct {
		name          string
		z, effect     float64
		blocks        int
		share, within float64
	}{
		{"95 %", 1.6448536, 0, 64, .05, .02}, {"75 %", .6744898, 0, 64, .25, .04},
		{"95 %, few", 1.6448536, 0, 6, .05, .02}, {"95 %, with an effect", 1.6448536, 3, 64, .05, .02},
	} {
		got := count(tt.z, tt.effect, 0, tt.blocks)
		t.Logf("%s: beyond in %.3f", tt.name, got)
		if math.Abs(got-tt.share) > tt.within {
			t.Errorf("%s: beyond in %.3f, want about %.3f", tt.name, got, tt.share)
		}
	}
	if got := count(1.6448536, 0, 12, 64); got < .95 {
		t.Errorf("a burst is seen in %.3f", got)
	}
}

// Replicas add up to what one has seen of all their blocks.
func TestOverdispersionAddsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var whole, a, b Overdispersion
	va, vb := 0.0, 0.0
	for i := range 60 {
		d := rng.NormFloat64()
		if i%2 == 0 {
			va++
			a.Close(d, 1, va, 1)
		} else {
			vb++
			b.Close(d, 1, vb, 1)
		}
		whole.Close(d, 1, va+vb, 1)
	}
	a.Add(b)
	near(t, "factor", a.Factor(-1), whole.Factor(-1), 1e-12)
}
