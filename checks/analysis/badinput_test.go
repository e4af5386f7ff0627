package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBadInput has one case for each kind of odd input: what the package
// documentation says of it, and that nothing is Safe without evidence.
func TestBadInput(t *testing.T) {
	at := time.Unix(1e9, 0)
	of := func(v float64) Metric {
		return Metric{Name: "odd", Kind: Amount, Of: func(Observation) (float64, bool) { return v, true }}
	}
	custom := func(v float64) func(t *testing.T) Judgement {
		return func(t *testing.T) Judgement {
			c := compare(t, Plan{Metrics: []Metric{of(v)}})
			j := sideBySide(c, 500, -1, always(Observation{Class: OK}), always(Observation{Class: OK}))
			s, err := c.r.Summary(cand)
			if err != nil || s.Invalid != 500 {
				t.Errorf("%d invalid values counted, %v", s.Invalid, err)
			}
			return j
		}
	}
	for _, tt := range []struct {
		name string
		run  func(t *testing.T) Judgement
		want Verdict
	}{
		{"NaN", custom(math.NaN()), Continue},
		{"infinity", custom(math.Inf(1)), Continue},
		{"negative infinity", custom(math.Inf(-1)), Continue},
		{"negative durations", func(t *testing.T) Judgement {
			c := compare(t, Plan{Metrics: []Metric{Latency()}})
			for range 50 {
				feed(even(t, c), base, 10, Observation{Class: OK, Latency: -1})
				feed(c, cand, 10, Observation{Class: OK, Latency: math.MinInt64})
				c.Judge(at)
			}
			return c.Judge(at)
		}, Continue},
		{"clock goes backwards", func(t *testing.T) Judgement {
			c, l := compare(t, Plan{}), newLoad(1, 0.5)
			var j Judgement
			for i := range 600 {
				for range 20 {
					l.begin(c.r, l.next())
				}
				l.now = at.Add(-time.Duration(i) * time.Hour)
				for _, f := range l.flying {
					f.o.At = l.now
					f.Done(f.o)
				}
				l.flying = l.flying[:0]
				j = c.Judge(l.now)
			}
			return j
		}, Continue},
		{"unknown arm", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			feed(c, "2.0.0", 500, ok(1e9))
			c.r.Arm("2.0.0").Assign("", 1)
			if c.r.Unknown() != 500 {
				t.Errorf("%d of an unknown arm", c.r.Unknown())
			}
			return c.Judge(at)
		}, NoEvidence},
		{"no traffic at all", func(t *testing.T) Judgement { return compare(t, Plan{}).Judge(at) }, NoEvidence},
		{"an arm without traffic", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			feed(c, base, 5000, ok(1e9))
			return c.Judge(at)
		}, NoEvidence},
		{"one arm only", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			feed(c, cand, 5000, ok(1e9))
			return c.Judge(at)
		}, Unmeasurable},
		{"zero variance", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			return sideBySide(c, 6000, Safe, always(ok(1e8)), always(ok(1e8)))
		}, Safe},
		{"zero variance, slower", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			return sideBySide(c, 2000, Harmed, always(ok(1e8)), always(ok(11e7)))
		}, Harmed},
		{"all errors on both sides", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			return sideBySide(c, 5000, -1, always(Observation{Class: Error}), always(Observation{Class: Error}))
		}, NoEvidence},
		{"weights change every second", func(t *testing.T) Judgement {
			c, l := compare(t, Plan{}), newLoad(1, 0.5)
			rng := rand.New(rand.NewPCG(1, 1))
			var j Judgement
			for range 800 {
				l.share = 0.01 + 0.98*rng.Float64()
				j = l.run(c, 20)
			}
			return j
		}, Safe},
		{"feedback for an unknown request", func(t *testing.T) Judgement {
			c := compare(t, Plan{Metrics: []Metric{Satisfaction()}})
			for range 500 {
				if got := c.r.Feedback("nobody's", 1); got != FeedbackUnknown {
					t.Fatalf("%s", got)
				}
			}
			return c.Judge(at)
		}, NoEvidence},
		{"replicas with different plans", func(t *testing.T) Judgement {
			one, two := compare(t, Plan{}), compare(t, Plan{MinSamples: 10})
			j := sideBySide(one, 6000, Safe, always(ok(1e8)), always(ok(1e8)))
			var other *PlanError
			merged, err := (Plan{}).Merge(one.Evidence(), two.Evidence())
			if !errors.As(err, &other) || other.Part != 1 || other.Have != two.Evidence().Plan {
				t.Errorf("%v", err)
			}
			if _, err := (Plan{}).Judge(merged, at); err == nil {
				t.Error("what could not be merged is judged")
			}
			return j
		}, Safe},
		{"a class that does not exist", func(t *testing.T) Judgement {
			c := compare(t, Plan{})
			return sideBySide(c, 100, Harmed, always(ok(1e8)), always(Observation{Class: 99}))
		}, Harmed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := tt.run(t)
			if j.Verdict != tt.want {
				t.Errorf("%s (%s), want %s", j.Verdict, j.Reason, tt.want)
			}
			if _, err := json.Marshal(j); err != nil {
				t.Errorf("no JSON: %v", err)
			}
		})
	}
}
