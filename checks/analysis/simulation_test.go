package analysis

import (
	"flag"
	"math"
	"slices"
	"testing"
)

var runs = flag.Int("runs", 40, "simulated rollouts per row of the simulations")

// alone skips a test that plays rollouts in one goroutine while the race detector is on.
func alone(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("played in one goroutine, without the race detector")
	}
}

// scenario is a simulated rollout: how its traffic changes from look to look.
type scenario struct {
	name   string
	looks  int
	size   int // requests per look of a second, both arms together
	change func(l *load, look int)
}

func ramp(l *load, look int) { l.share = []float64{0.05, 0.1, 0.25, 0.5}[min(look/15, 3)] }

func noChange(*load, int) {}

// rollout simulates s until verdict, and returns how many requests the candidate was
// assigned until then, or -1 if it did not come to that.
func (s scenario) rollout(t *testing.T, seed uint64, p Plan, verdict Verdict) int {
	c, l := compare(t, p), newLoad(seed, 0.5)
	l.second = s.size
	for look := range s.looks {
		s.change(l, look)
		if j := l.run(c, s.size); j.Verdict == verdict {
			return c.r.arms[1].begun()
		}
	}
	return -1
}

// TestFalseAlarms simulates whole rollouts, all default metrics together, of
// candidates that are no worse, and of such as must not be proven.
func TestFalseAlarms(t *testing.T) {
	alone(t)
	limit := 0.05 + 3*math.Sqrt(0.05*0.95/float64(*runs))
	both := func(l *load, rate float64) { l.errors[base], l.errors[cand] = rate, rate }
	for _, tt := range []struct {
		scenario
		verdict Verdict
	}{
		{scenario{"nothing changes", 60, 100, noChange}, Harmed},
		{scenario{"ramp, error rate 1 -> 3 %, times double", 60, 100, func(l *load, look int) {
			ramp(l, look)
			if look == 30 {
				both(l, 0.03)
				l.common = 2
			}
		}}, Harmed},
		{scenario{"incident on both arms", 60, 100, func(l *load, look int) {
			both(l, 0.01)
			l.common = 1
			if look >= 20 && look < 25 {
				both(l, 0.3)
				l.common = 2
			}
		}}, Harmed},
		{scenario{"lasting incident on both arms", 60, 100, func(l *load, look int) {
			if look == 20 {
				both(l, 0.25)
			}
		}}, Harmed},
		{scenario{"nothing changes", 60, 100, noChange}, Incident},
		{scenario{"errors at the margin", 60, 100, func(l *load, _ int) { l.errors[cand] = 0.02 }}, Safe},
		{scenario{"times at the margin, ramp", 60, 100, func(l *load, look int) { ramp(l, look); l.slower = 1.2 }}, Safe},
		{scenario{"nothing changes, 1,200 looks", 1200, 20, noChange}, Harmed},
		{scenario{"nothing changes, 600 looks at 90/10", 600, 100, func(l *load, _ int) { l.share = 0.1 }}, Harmed},
	} {
		if tt.looks > 60 && *runs <= 100 {
			continue // takes long
		}
		count := 0
		for i := range *runs {
			if tt.rollout(t, uint64(i), Plan{}, tt.verdict) >= 0 {
				count++
			}
		}
		share := float64(count) / float64(*runs)
		t.Logf("%-44s %-8s %.3f", tt.name, tt.verdict, share)
		if share > limit {
			t.Errorf("%s: %s in %.3f of the rollouts, want at most %.3f", tt.name, tt.verdict, share, limit)
		}
	}
}

// TestDetection measures the candidate's requests until the verdict, with all
// default metrics together.
func TestDetection(t *testing.T) {
	alone(t)
	for _, tt := range []struct {
		name    string
		change  func(l *load, look int)
		verdict Verdict
		atMost  int // median
	}{
		{"errors 1 -> 5 %", func(l *load, _ int) { l.errors[cand] = 0.05 }, Harmed, 520},
		{"errors 1 -> 2 %", func(l *load, _ int) { l.errors[cand] = 0.02 }, Harmed, 4200},
		{"times +50 %", func(l *load, _ int) { l.slower = 1.5 }, Harmed, 300},
		{"times +20 %", func(l *load, _ int) { l.slower = 1.2 }, Harmed, 1100},
		{"no worse", noChange, Safe, 4200},
	} {
		s := scenario{name: tt.name, looks: 1000, size: 20, change: tt.change}
		needed := make([]int, max(*runs/4, 15))
		for i := range needed {
			if needed[i] = s.rollout(t, uint64(i), Plan{Breakers: []Breaker{}}, tt.verdict); needed[i] < 0 {
				needed[i] = math.MaxInt
			}
		}
		slices.Sort(needed)
		median := needed[len(needed)/2]
		t.Logf("%-16s %-8s median %d candidate requests, p90 %d", tt.name, tt.verdict, median, needed[len(needed)*9/10])
		if median > tt.atMost {
			t.Errorf("%s: median %d, want at most %d", tt.name, median, tt.atMost)
		}
	}
}

// TestCombinedCost compares how many requests it takes to find a regression when
// all default metrics are monitored with how many it takes when only the one is
// monitored that changes, in the same simulated rollouts.
func TestCombinedCost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		single Metric
		change func(l *load, look int)
	}{
		{"errors 1 -> 5 %", ErrorRate(), func(l *load, _ int) { l.errors[cand] = 0.05 }},
		{"times +50 %", Latency(), func(l *load, _ int) { l.slower = 1.5 }},
	} {
		s := scenario{name: tt.name, looks: 1200, size: 20, change: tt.change}
		median := func(p Plan) int {
			needed := make([]int, max(*runs/2, 25))
			for i := range needed {
				if needed[i] = s.rollout(t, uint64(i), p, Harmed); needed[i] < 0 {
					needed[i] = math.MaxInt
				}
			}
			slices.Sort(needed)
			return needed[len(needed)/2]
		}
		single := median(Plan{Metrics: []Metric{tt.single}, Breakers: []Breaker{}})
		all := median(Plan{Breakers: []Breaker{}})
		ratio := float64(all) / float64(single)
		t.Logf("%-16s median %4d alone, %4d among all default metrics: %.2f times", tt.name, single, all, ratio)
		// With few runs the ratio itself is uncertain.
		if ratio > 1.5+2/math.Sqrt(float64(max(*runs/2, 25))) {
			t.Errorf("%s: %.2f times as many requests, want at most 1.5", tt.name, ratio)
		}
	}
}
