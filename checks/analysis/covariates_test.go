package analysis

import (
	"math"
	"testing"
	"time"
)

// withPrompts makes times nearly proportional to the prompt.
func withPrompts(l *load, first float64) func(int) Observation {
	return func(int) Observation {
		o := l.next()
		size := math.Exp(.8 * l.rng.NormFloat64())
		o.InputTokens = 1 + int(500*size)
		noise := math.Exp(.15 * l.rng.NormFloat64())
		o.TTFT = time.Duration(size * noise * 2e8)
		if o.Arm == cand {
			o.TTFT = time.Duration(first * float64(o.TTFT))
		}
		o.Latency = o.TTFT + 60*o.ITL
		return o
	}
}

// What the prompt explains of a time is taken out, whichever way requests are reported.
func TestPromptsAreTakenOut(t *testing.T) {
	plan := Plan{Metrics: []Metric{ErrorRate(), TTFT()}, Breakers: []Breaker{}}
	plan.Metrics[1].Tolerance = Margin{Factor: 1.02}
	found := func(first float64, forget bool) int {
		c, l := compare(t, plan), newLoad(3, .5)
		make := withPrompts(l, first)
		for n := 20; n <= 4000; n += 20 {
			j := l.play(c, 20, func(i int) Observation {
				o := make(i)
				if forget {
					o.InputTokens = 0
				}
				return o
			}, nil)
			if j.Verdict == Harmed {
				return n
			}
		}
		return math.MaxInt
	}
	with, without := found(1.15, false), found(1.15, true)
	if with > 1000 || with > without/2 {
		t.Errorf("TTFT x1.15 is found after %d requests, and after %d where prompts are not known", with, without)
	}
	if n := found(1, false); n != math.MaxInt {
		t.Errorf("equal arms: harmed after %d requests", n)
	}
}

// Longer prompts on the candidate are no fault of the candidate.
func TestLongPromptsOnOneArm(t *testing.T) {
	c, l := compare(t, Plan{Metrics: []Metric{ErrorRate(), TTFT()}, Breakers: []Breaker{}}), newLoad(5, .5)
	make := withPrompts(l, 1)
	for n := 0; n < 4000; n += 20 {
		j := l.play(c, 20, func(i int) Observation {
			o := make(i)
			if o.Arm == cand && n >= 1000 {
				o.InputTokens, o.TTFT = o.InputTokens*13/10, o.TTFT*13/10
			}
			return o
		}, nil)
		if j.Verdict == Harmed {
			t.Fatalf("after %d requests: %s", n, j.Reason)
		}
	}
}

func TestPromptOf(t *testing.T) {
	for _, tt := range []struct {
		tokens, cached int
		want           prompt
	}{
		{0, 0, prompt{}},
		{-5, -7, prompt{}},
		{100, 0, prompt{tokens: 100}},
		{100, 40, prompt{tokens: 100, cached: 1}},
		{100, 100, prompt{tokens: 100, cached: 2}},
		{100, 200, prompt{tokens: 100, cached: 2}},
		{math.MaxInt, 1, prompt{tokens: math.MaxUint32, cached: 1}},
	} {
		if got := promptOf(tt.tokens, tt.cached, false); got != tt.want {
			t.Errorf("promptOf(%d, %d) = %+v, want %+v", tt.tokens, tt.cached, got, tt.want)
		}
	}
	var m promptModel
	m.counts = true
	m.fit.Slopes[0] = 1e300
	if f := m.factor(prompt{tokens: 5}); f != promptMost {
		t.Errorf("factor = %v, want %v", f, promptMost)
	}
	m.fit.Slopes[0] = math.NaN()
	if f := m.factor(prompt{tokens: 5}); f != 1 {
		t.Errorf("factor = %v, want 1", f)
	}
}

// A restart goes on with what was learnt.
func TestPromptsAreStored(t *testing.T) {
	plan := Plan{}
	c, l := compare(t, plan), newLoad(7, .5)
	l.play(c, 2000, withPrompts(l, 1), nil)
	e := c.Evidence()
	d := compare(t, plan)
	if err := d.Restore(e); err != nil {
		t.Fatal(err)
	}
	d.Judge(l.now)
	factor := func(c *Comparison) float64 {
		return c.r.past.prompts[scaledTTFT].model.factor(prompt{tokens: 4000})
	}
	if before, after := factor(c), factor(d); before < 2 || math.Abs(after/before-1) > .05 {
		t.Errorf("of a long prompt %.3g times as much was expected, and %.3g after a restart", before, after)
	}
}
