package analysis

import (
	"math"
	"testing"
)

// The interval holds the truth at all looks together, while the split and the
// base rate change, and it is narrow enough to say something.
func TestEffectCoverage(t *testing.T) {
	n := *runs
	limit := 0.05 + 3*math.Sqrt(0.05*0.95/float64(n))
	missed := make(map[string]int)
	widths := make(map[string]float64)
	quality := func(o Observation) (float64, bool) { return math.Mod(float64(o.Cost)/100, 1), o.Class == OK }
	p := Plan{Metrics: []Metric{ErrorRate(), Latency(), {Name: "quality", Kind: Score, Of: quality}}, Breakers: []Breaker{}}
	truth := map[string]float64{nameErrors: 0.02, nameLatency: 1.1, "quality": 0}
	for seed := range n {
		c, l := compare(t, p), newLoad(uint64(seed), 0.5)
		l.slower = 1.1
		outside := make(map[string]bool)
		var j Judgement
		for look := range 60 {
			ramp(l, look)
			l.errors[base], l.errors[cand] = 0.03, 0.05
			if look >= 30 {
				l.errors[base], l.errors[cand] = 0.1, 0.12
				l.common = 2
			}
			j = l.run(c, 100)
			for _, f := range j.Metrics {
				if e := f.Effect; e.Known && (e.Low > truth[f.Metric] || e.High < truth[f.Metric]) {
					outside[f.Metric] = true
				}
			}
		}
		for name := range outside {
			missed[name]++
		}
		for _, f := range j.Metrics {
			widths[f.Metric] += (f.Effect.High - f.Effect.Low) / float64(n)
		}
	}
	for name, most := range map[string]float64{nameErrors: 0.08, nameLatency: 0.3, "quality": 0.2} {
		share := float64(missed[name]) / float64(n)
		t.Logf("%-12s missed by %.3f of the sequences, width %.3f after 6,000 requests", name, share, widths[name])
		if share > limit || !(widths[name] > 0 && widths[name] < most) {
			t.Errorf("%s: missed by %.3f, want at most %.3f; width %v, want at most %v", name, share, limit, widths[name], most)
		}
	}
}

func TestEffectNeedsData(t *testing.T) {
	c, l := compare(t, Plan{}), newLoad(1, 0.5)
	for _, f := range l.run(c, 20).Metrics {
		if f.Effect != (Effect{}) {
			t.Errorf("%s: %v of 20 requests", f.Metric, f.Effect)
		}
	}
	// No variance at all: the effect of constant amounts is known exactly, that
	// of a rate without events is not.
	c = compare(t, Plan{})
	j := sideBySide(c, 100, -1, always(ok(1e8)), always(ok(2e8)))
	if e := j.Metrics[0].Effect; e.Known {
		t.Errorf("no event on either side: %v", e)
	}
	if e := finding(t, j, nameTTFT).Effect; !e.Known || math.Abs(e.Low-2) > 1e-9 || math.Abs(e.High-2) > 1e-9 {
		t.Errorf("twice as slow without variance: %v", e)
	}
	c = compare(t, Plan{Breakers: []Breaker{}})
	feed(c, base, 100, Observation{Class: Error})
	feed(c, cand, 100, Observation{Class: Error})
	if e := c.Judge(l.now).Metrics[0].Effect; e.Known {
		t.Errorf("all errors on both sides: %v", e)
	}
}
