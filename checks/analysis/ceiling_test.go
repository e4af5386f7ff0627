package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
)

// ceilingPlan has errors with a ceiling, in a role.
func ceilingPlan(rate float64, role Role) Plan {
	m := ErrorRate()
	m.Ceiling, m.Role = rate, role
	return Plan{Metrics: []Metric{m, Unanswered()}, Breakers: []Breaker{}}
}

// A candidate above its ceiling is harmed although the baseline is no better, and it is
// not safe before it is shown to be below.
func TestCeiling(t *testing.T) {
	for name, tt := range map[string]struct {
		errors float64 // of both arms
		plan   Plan
		want   Verdict
		reason string
	}{
		"no ceiling":                   {.1, ceilingPlan(0, Gate), Safe, "no worse"},
		"a gate above":                 {.1, ceilingPlan(.03, Gate), Harmed, "above the ceiling of 3 %"},
		"a guard above":                {.1, ceilingPlan(.03, Guard), Harmed, "above the ceiling of 3 %"},
		"a report above":               {.1, ceilingPlan(.03, Report), Safe, "no worse"},
		"below":                        {.01, ceilingPlan(.05, Gate), Safe, "no worse"},
		"not known to be below":        {.02, ceilingPlan(.022, Gate), Continue, "error rate below 2.2 %"},
		"a guard that may be anywhere": {.02, ceilingPlan(.022, Guard), Safe, "no worse"},
	} {
		t.Run(name, func(t *testing.T) {
			c, l := compare(t, tt.plan), newLoad(3, 0.5)
			l.errors[base], l.errors[cand] = tt.errors, tt.errors
			c.Stage(1, l.now)
			j := l.play(c, 12000, func(int) Observation { return l.next() }, func(j Judgement) bool { return j.Verdict == Harmed || j.Verdict == Safe })
			if j.Verdict != tt.want || !strings.Contains(j.Reason, tt.reason) {
				t.Errorf("%s (%s), want %s (%s)", j.Verdict, j.Reason, tt.want, tt.reason)
			}
			if got := j.Metrics[0].Verdict; (tt.want == Harmed) != (got == Harmed) || tt.want == Harmed && !strings.Contains(j.Metrics[0].Reason, tt.reason) {
				t.Errorf("the metric is %s: %s", got, j.Metrics[0].Reason)
			}
			again, err := tt.plan.Judge(viaJSON(t, c.Evidence()), j.At)
			if diff := differences(j, again); err != nil || diff != "" {
				t.Errorf("%v (-live +stored):\n%s", err, diff)
			}
		})
	}
}

// Each of thumbs up, of which the ceiling limits the others, has it too.
func TestCeilingOfThumbs(t *testing.T) {
	thumbs := ThumbsUp()
	thumbs.Role, thumbs.Ceiling = Guard, .2
	c, l := compare(t, Plan{Metrics: []Metric{ErrorRate(), thumbs}}), newLoad(3, 0.5)
	j := l.play(c, 4000, func(int) Observation {
		o := l.next()
		o.Scored, o.Score = true, FromThumb(l.rng.Float64() < .6)
		return o
	}, func(j Judgement) bool { return j.Verdict == Harmed })
	if want := "not thumbs up in "; j.Verdict != Harmed || !strings.HasPrefix(j.Reason, want) {
		t.Errorf("%s (%s)", j.Verdict, j.Reason)
	}
}

// What was shown above stays; what was shown below was shown of its stage alone. A
// restart loses neither, and replicas add up what each has seen.
func TestCeilingThroughStagesAndMerges(t *testing.T) {
	plan := ceilingPlan(.05, Gate)
	var parts []Evidence
	for seed := range uint64(3) {
		c, l := compare(t, plan), newLoad(seed, 0.5)
		c.Stage(1, l.now)
		j := l.run(c, 2000)
		if !j.Metrics[0].Ceiling.Below.Reached() {
			t.Fatalf("below by an e-value of %v", j.Metrics[0].Ceiling.Below.E)
		}
		again := compare(t, plan)
		if err := again.Restore(viaJSON(t, c.Evidence())); err != nil {
			t.Fatal(err)
		}
		again.Stage(2, l.now)
		if j = again.Judge(l.now); j.Metrics[0].Ceiling.Below.E != 1 {
			t.Errorf("below by an e-value of %v as the stage begins", j.Metrics[0].Ceiling.Below.E)
		}
		if seed < 2 {
			l.run(again, 300)
			parts = append(parts, again.Evidence())
		} else {
			parts = append(parts, c.Evidence()) // it has not heard of the second stage
		}
	}
	sum, err := plan.Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	one, err := plan.Merge(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	two, err := plan.Merge(parts[:2]...)
	if err != nil {
		t.Fatal(err)
	}
	a, b, all := one.Metrics[0].Ceiling, two.Metrics[0].Ceiling, sum.Metrics[0].Ceiling
	if !(b.Below.LogE > a.Below.LogE && all.Below == b.Below) || b.Counted.N <= a.Counted.N {
		t.Errorf("one part has %+v, two %+v, with one of the stage before %+v", a, b, all)
	}
	before := sum
	before.Metrics = append([]metricEvidence(nil), sum.Metrics...)
	before.Metrics[0].Ceiling.Above.Peak = 5
	if j, err := plan.Judge(sum.KeepPeaks(before), time.Now()); err != nil || j.Verdict != Harmed {
		t.Errorf("what was above before: %s (%s), %v", j.Verdict, j.Reason, err)
	}
}

// At the ceiling, each of both is claimed with its probability at most.
func TestCeilingIsValid(t *testing.T) {
	const runs, requests = 2000, 3000
	for _, rate := range []float64{.001, .05, .4} {
		rng := rand.New(rand.NewPCG(7, 1))
		above, below := 0, 0
		for range runs {
			events, most, least := 0.0, 0.0, 0.0
			for n := range requests {
				if rng.Float64() < rate {
					events++
				} else if n%20 != 0 {
					continue
				}
				most = max(most, rateAbove(rate, events, float64(n+1)))
				least = max(least, rateBelow(rate, events, float64(n+1)))
			}
			if most >= math.Log(20) {
				above++
			}
			if least >= math.Log(20) {
				below++
			}
		}
		// Three standard errors above the twentieth.
		if bound := runs/20 + 30; max(above, below) > bound {
			t.Errorf("at %v, %d above and %d below of %d, want at most %d", rate, above, below, runs, bound)
		}
	}
}

func TestCeilingRefuses(t *testing.T) {
	latency := Latency()
	for _, m := range []Metric{{Ceiling: -.1}, {Ceiling: 1}, {Ceiling: math.NaN()}, latency} {
		if m.Kind == Rate {
			rate := m.Ceiling
			m = ErrorRate()
			m.Ceiling = rate
		} else {
			m.Ceiling = .5
		}
		var invalid *checks.InvalidError
		if err := (Plan{Metrics: []Metric{ErrorRate(), m}[1:]}).Validate(); !errors.As(err, &invalid) || invalid.Field != "Plan.Metrics[0].Ceiling" {
			t.Errorf("%s with %v: %v", m.Name, m.Ceiling, err)
		}
	}
	plan := ceilingPlan(.05, Gate)
	c, l := compare(t, plan), newLoad(1, 0.5)
	l.run(c, 1000)
	for name, change := range map[string]func(e *metricEvidence){
		"counts":     func(e *metricEvidence) { e.Ceiling.Counted.Events = e.Ceiling.Counted.N + 1 },
		"above":      func(e *metricEvidence) { e.Ceiling.Above.Peak = math.NaN() },
		"below":      func(e *metricEvidence) { e.Ceiling.Below.LogE = math.Inf(1) },
		"of another": func(e *metricEvidence) {},
	} {
		e := c.Evidence()
		i := 0
		if name == "of another" {
			e.Metrics[1].Ceiling, i = e.Metrics[0].Ceiling, 1
		}
		change(&e.Metrics[i])
		if _, err := plan.Judge(e, l.now); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The outlook knows the ceiling: what is above is found sooner, and what is not below is
// never safe.
func TestCeilingInOutlook(t *testing.T) {
	usual := Traffic{PerSecond: 10, Share: .5}
	at := func(rate float64) Outlook {
		o, err := ceilingPlan(rate, Gate).Outlook(usual)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	none, low, high, close := at(0), at(.005), at(.04), at(.011)
	if !low.Safe.Never || none.Safe.Never || high.Safe.Median != none.Safe.Median {
		t.Errorf("safe: without %+v, below the rate %+v, far above %+v", none.Safe, low.Safe, high.Safe)
	}
	if close.Safe.Median <= none.Safe.Median {
		t.Errorf("near the rate: %+v, without: %+v", close.Safe, none.Safe)
	}
	if low.Harmed[0].Median >= none.Harmed[0].Median || high.Harmed[1].Median != none.Harmed[1].Median {
		t.Errorf("5 %% errors: %+v, without %+v", low.Harmed[0], none.Harmed[0])
	}
}
