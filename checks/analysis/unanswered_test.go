package analysis

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
)

// A candidate that leaves its users without an answer is harmed, whatever the
// class, soon and without a breaker.
func TestNoAnswerIsHarm(t *testing.T) {
	good := ok(100 * time.Millisecond)
	for _, tt := range []struct {
		name   string
		k      func(int) Observation
		within int // requests of the candidate
		blamed string
	}{
		{"unread", always(Observation{}), 80, nameUnanswered},
		{"abandoned", always(Observation{Class: Abandoned}), 80, nameUnanswered},
		{"rejected", always(Observation{Class: Rejected}), 80, nameUnanswered},
		{"by turns", func(i int) Observation { return Observation{Class: []Class{Unread, Abandoned, Rejected}[i%3]} }, 80, nameUnanswered},
		{"a third abandoned", each(3, Observation{Class: Abandoned}, good), 300, nameUnanswered},
		{"a third rejected", each(3, Observation{Class: Rejected}, good), 300, nameUnanswered},
		{"unfinished", always(Observation{Class: OK, Unfinished: true, TTFT: good.TTFT, ITL: good.ITL, Latency: good.Latency, Cost: good.Cost}), 80, nameUnfinished},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compare(t, Plan{Breakers: []Breaker{}})
			j := sideBySide(c, tt.within, Harmed, always(good), tt.k)
			if j.Verdict != Harmed || j.blamed().Metric != tt.blamed {
				t.Errorf("%s (%s), want harmed by %s", j.Verdict, j.Reason, tt.blamed)
			}
			t.Logf("after %d requests: %s", c.Evidence().Candidate.of(lasting), j.Reason)
		})
	}
}

// What both arms suffer alike, such as impatient callers and callers at fault, is
// no harm and does not keep a candidate from being proven.
func TestCallersAtFaultAreNoHarm(t *testing.T) {
	good := ok(100 * time.Millisecond)
	for _, class := range []Class{Unread, Rejected, Abandoned, Cancelled} {
		c := compare(t, Plan{})
		mixed := each(3, Observation{Class: class}, good)
		if j := sideBySide(c, 8000, Safe, mixed, mixed); j.Verdict != Safe {
			t.Errorf("a third %v: %s (%s)", class, j.Verdict, j.Reason)
		}
		all := always(Observation{Class: class})
		if j := sideBySide(compare(t, Plan{}), 500, Harmed, all, all); j.Verdict != NoEvidence {
			t.Errorf("all %v: %s (%s)", class, j.Verdict, j.Reason)
		}
	}
}

// A guard that neither arm measures does not keep a candidate from being proven.
func TestUnmeasuredGuards(t *testing.T) {
	good := always(ok(100 * time.Millisecond))
	if j := sideBySide(compare(t, Plan{Metrics: append(DefaultMetrics(), guardOf(Satisfaction()), guardOf(Timeouts()))}), 6000, Safe, good, good); j.Verdict != Safe {
		t.Errorf("%s (%s)", j.Verdict, j.Reason)
	}
}

// A plan of its own metrics keeps an error guard with its breakers, unless it refuses
// it.
func TestErrorGuard(t *testing.T) {
	unanswered := Metric{Name: nameUnanswered, Of: func(Observation) (float64, bool) { return 1, true }}
	report := func(m Metric) Metric { m.Role = Report; return m }
	invalid := InvalidOutputs()
	for name, tt := range map[string]struct {
		plan     Plan
		added    []string
		breakers []Breaker
	}{
		"default":                 {Plan{}, nil, defaultBreakers},
		"errors":                  {Plan{Metrics: []Metric{ErrorRate()}}, nil, defaultBreakers[:1]},
		"unanswered":              {Plan{Metrics: []Metric{Latency(), Unanswered()}}, nil, defaultBreakers[1:]},
		"neither":                 {Plan{Metrics: []Metric{Latency()}}, []string{nameErrors, nameUnanswered}, defaultBreakers},
		"errors are reported":     {Plan{Metrics: []Metric{Latency(), report(ErrorRate())}}, []string{nameUnanswered}, defaultBreakers},
		"of one's own":            {Plan{Metrics: []Metric{unanswered}}, []string{nameErrors}, defaultBreakers[:1]},
		"no breakers":             {Plan{Metrics: []Metric{Latency()}, Breakers: []Breaker{}}, []string{nameErrors, nameUnanswered}, []Breaker{}},
		"a breaker of another":    {Plan{Metrics: []Metric{invalid}, Breakers: []Breaker{{nameInvalid, .1}}}, []string{nameErrors, nameUnanswered}, append([]Breaker{{nameInvalid, .1}}, defaultBreakers...)},
		"a breaker of its own":    {Plan{Metrics: []Metric{Latency()}, Breakers: []Breaker{{nameErrors, .1}}}, []string{nameErrors, nameUnanswered}, []Breaker{{nameErrors, .1}, defaultBreakers[1]}},
		"refused":                 {Plan{Metrics: []Metric{Latency()}, DangerouslyWithoutErrors: true}, nil, nil},
		"refused, with a breaker": {Plan{Metrics: []Metric{invalid}, Breakers: []Breaker{{nameInvalid, .1}}, DangerouslyWithoutErrors: true}, nil, []Breaker{{nameInvalid, .1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.plan.Validate(); err != nil {
				t.Error(err)
			}
			p := tt.plan.withDefaults()
			own := len(tt.plan.Metrics)
			if tt.plan.Metrics == nil {
				own = len(DefaultMetrics())
			}
			var added []string
			var weights [2]float64
			for i, m := range p.Metrics {
				if i < own {
					weights[0] += m.Weight
					continue
				}
				added = append(added, m.Name)
				weights[1] += m.Weight
				if m.Role != Guard {
					t.Errorf("%s is a %s", m.Name, m.Role)
				}
			}
			if !slices.Equal(added, tt.added) || !slices.Equal(p.Breakers, tt.breakers) {
				t.Errorf("added %q with breakers %v, want %q with %v", added, p.Breakers, tt.added, tt.breakers)
			}
			if len(added) == 2 && math.Abs(weights[0]-weights[1]) > 1e-9 {
				t.Errorf("the guards weigh %v against %v", weights[1], weights[0])
			}
			if again := p.withDefaults(); again.digest() != tt.plan.digest() || len(again.Metrics) != len(p.Metrics) {
				t.Error("defaults of a plan that has them differ")
			}
		})
	}
	// What cannot be guarded is refused, with the field that says so.
	for field, p := range map[string]Plan{
		"Plan.Metrics[].Role":      {Metrics: []Metric{Latency(), report(ErrorRate()), report(Unanswered())}},
		"Plan.Metrics":             {Metrics: many(maxMetrics - 1)},
		"Plan.Breakers[0].Metric":  {Metrics: []Metric{Latency()}, Breakers: []Breaker{{nameErrors, .1}}, DangerouslyWithoutErrors: true},
		"Plan.Breakers[1].Metric ": {Metrics: []Metric{ErrorRate()}, Breakers: []Breaker{{nameErrors, .1}, {nameUnanswered, .1}}},
	} {
		var invalid *checks.InvalidError
		if err := p.Validate(); !errors.As(err, &invalid) || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, p := range []Plan{{Metrics: many(maxMetrics - 2)}, {Metrics: many(maxMetrics), DangerouslyWithoutErrors: true}} {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// many returns n metrics of one's own.
func many(n int) []Metric {
	list := make([]Metric, n)
	for i := range list {
		list[i] = Metric{Name: fmt.Sprint(i), Of: func(Observation) (float64, bool) { return 0, true }}
	}
	return list
}

// A candidate that fails is found although the plan names no rate of failures.
func TestErrorGuardFinds(t *testing.T) {
	good := ok(100 * time.Millisecond)
	cited := Metric{Name: "cited", Better: Higher, Margin: Plus(0.02), Of: func(o Observation) (float64, bool) { return 1, o.Class == OK }}
	for name, tt := range map[string]struct {
		plan Plan
		k    func(int) Observation
		want Verdict
	}{
		"all fail":               {Plan{Metrics: []Metric{cited}}, always(Observation{Class: Error}), Harmed},
		"a fifth fails":          {Plan{Metrics: []Metric{cited}, Breakers: []Breaker{}}, each(5, Observation{Class: Error}, good), Harmed},
		"a fifth hangs up":       {Plan{Metrics: []Metric{cited}, Breakers: []Breaker{}}, each(5, Observation{Class: Abandoned}, good), Harmed},
		"refused, a fifth fails": {Plan{Metrics: []Metric{cited}, DangerouslyWithoutErrors: true}, each(5, Observation{Class: Error}, good), Safe},
	} {
		t.Run(name, func(t *testing.T) {
			c := compare(t, tt.plan)
			if j := sideBySide(c, 1500, tt.want, always(good), tt.k); j.Verdict != tt.want {
				t.Errorf("%s (%s), want %s", j.Verdict, j.Reason, tt.want)
			}
			again := compare(t, tt.plan)
			if err := again.Restore(c.Evidence()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Metrics by class are counted from classes, through a restart and with units
// alike.
func TestMetricsByClass(t *testing.T) {
	c := compare(t, Plan{})
	feed(c, cand, 3, Observation{Class: Rejected})
	feed(c, cand, 2, Observation{Class: OK, Unfinished: true})
	feed(c, cand, 1, Observation{Unfinished: true})
	c.Judge(time.Unix(1e9, 0))
	again := compare(t, Plan{})
	if err := again.Restore(c.Evidence()); err != nil {
		t.Fatal(err)
	}
	feed(again, cand, 4, Observation{Class: Abandoned})
	feed(again, cand, 1, Observation{Class: Refused, Unfinished: true})
	s, err := again.r.Summary(cand)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{nameUnanswered: {11, 8}, nameRejections: {6, 3}, nameUnfinished: {3, 3}, nameErrors: {3, 0}} {
		if m, _ := s.Metric(name); m.N != want[0] || m.Events != want[1] {
			t.Errorf("%s: %d of %d, want %d of %d", name, m.Events, m.N, want[1], want[0])
		}
	}
}

func guardOf(m Metric) Metric { m.Role = Guard; return m }
