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

// at returns the point of a curve.
func (c *Curve) at(t *testing.T, change, degree string) CurvePoint {
	t.Helper()
	i := slices.IndexFunc(c.Points, func(x CurvePoint) bool { return x.Change == change && x.Degree == degree })
	if i < 0 {
		t.Fatalf("no point for %s, %s in\n%s", change, degree, c)
	}
	return c.Points[i]
}

func curveOf(t *testing.T, p Plan, tr Traffic) *Curve {
	t.Helper()
	o, err := p.Outlook(tr)
	if err != nil {
		t.Fatal(err)
	}
	return o.Curve
}

// The probabilities are right: the shares of simulated rollouts lie between what the curve
// says of limits that are shorter and longer by a factor of 1.6, which its times are
// good for.
func TestCurveIsCalibrated(t *testing.T) {
	n := max(*runs/5, 15)
	allowance := 3 * math.Sqrt(0.25/float64(n))
	const perSecond, factor = 20, 1.6
	for _, tt := range []struct {
		change, degree string
		verdict        Verdict
		make           func(l *load, x CurvePoint)
	}{
		{"failures", degreeEqual, Safe, func(*load, CurvePoint) {}},
		{"times", degreeTolerance, Safe, func(l *load, x CurvePoint) { l.slower = x.Times }},
		{"failures", degreeBeyond, Harmed, func(l *load, x CurvePoint) { l.errors[cand] = x.To }},
		{"times", degreeBeyond, Harmed, func(l *load, x CurvePoint) { l.slower = x.Times }},
	} {
		at := func(requests float64) CurvePoint {
			limit := time.Duration(requests / (perSecond / 2) * 1e9)
			return curveOf(t, Plan{}, Traffic{PerSecond: perSecond, Share: 0.5, Spread: 0.6, Answer: 2 * time.Second, Limit: limit}).at(t, tt.change, tt.degree)
		}
		probable := func(requests float64) float64 {
			if tt.verdict == Safe {
				return at(requests).Safe
			}
			return at(requests).Rollback
		}
		most := 50.0
		for probable(most) < 0.9 && most < 1e6 {
			most *= 1.3
		}
		x := at(most)
		s := scenario{looks: int(most/10) + 1, size: perSecond, change: func(l *load, _ int) { tt.make(l, x) }}
		needed := make([]int, n)
		for i := range needed {
			if needed[i] = s.rollout(t, uint64(i), Plan{Breakers: []Breaker{}}, tt.verdict); needed[i] < 0 {
				needed[i] = math.MaxInt
			}
		}
		for _, requests := range []float64{most / 3, most / 2, most} {
			seen := 0
			for _, k := range needed {
				if float64(k) <= requests {
					seen++
				}
			}
			share := float64(seen) / float64(n)
			low, high := probable(requests/factor)-allowance, probable(requests*factor)+allowance
			t.Logf("%s, %s, %s within %.0f requests: computed %.2f, simulated %.2f", tt.change, tt.degree, tt.verdict, requests, probable(requests), share)
			if share < low || share > high {
				t.Errorf("%s, %s: %s within %.0f requests in %.2f, want %.2f to %.2f", tt.change, tt.degree, tt.verdict, requests, share, low, high)
			}
		}
	}
}

// More time, more traffic and wider margins make verdicts more probable, and what is not
// probable enough is warned of.
func TestCurveOrder(t *testing.T) {
	hour := curveOf(t, Plan{}, Traffic{PerSecond: 50, Share: 0.2, Limit: time.Hour})
	short := curveOf(t, Plan{}, Traffic{PerSecond: 50, Share: 0.02, Limit: 10 * time.Minute})
	if len(hour.Warnings) != 0 || len(short.Warnings) == 0 {
		t.Errorf("warnings of an hour: %q, of ten minutes: %q", hour.Warnings, short.Warnings)
	}
	for i, x := range hour.Points {
		y := short.Points[i]
		if x.Safe < y.Safe || x.Rollback < y.Rollback || !(y.Safe >= 0 && x.Rollback <= 1) {
			t.Errorf("%+v in an hour, %+v in ten minutes", x, y)
		}
	}
	all := strings.Join(short.Warnings, "\n")
	for _, want := range []string{"failures, equal: safe before the limit of 10m0s in ", "failures, 1.5 x margin: rolled back", "a share of "} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning says %q:\n%s", want, all)
		}
	}
	// What is advised would do.
	narrow := Traffic{PerSecond: 20, Share: 0.1, Limit: 10 * time.Minute}
	errorsAlone := Plan{Metrics: []Metric{ErrorRate()}}
	advice := curveOf(t, errorsAlone, narrow).Warnings
	var percents, times float64
	for _, w := range advice {
		_, _ = fmt.Sscanf(w, "a share of %f", &percents)
		_, _ = fmt.Sscanf(w, "margins %f", &times)
	}
	wide := narrow
	wide.Share = percents / 100
	for _, c := range []*Curve{curveOf(t, errorsAlone, wide), curveOf(t, errorsAlone.withDefaults().widened(times), narrow)} {
		if x := c.at(t, "failures", degreeEqual); x.Safe < safeWanted {
			t.Errorf("with the advice of %q:\n%s", advice, c)
		}
	}
	// At so little traffic nothing is to be expected, and no share helps.
	none := curveOf(t, Plan{}, Traffic{PerSecond: 0.001, Share: 0.5, Limit: time.Hour})
	if x := none.at(t, "times", degreeEqual); x.Safe != 0 || strings.Contains(strings.Join(none.Warnings, "\n"), "would do") {
		t.Errorf("%+v, %q", x, none.Warnings)
	}
	if o, err := (Plan{}).Outlook(Traffic{PerSecond: 1, Share: 0.5}); err != nil || o.Curve != nil || o.Curve.String() != "no limit is given\n" {
		t.Errorf("a curve without a limit: %v, %v", o.Curve, err)
	}
	var invalid *checks.InvalidError
	if _, err := (Plan{}).Outlook(Traffic{PerSecond: 1, Share: 0.5, Limit: -1}); !errors.As(err, &invalid) || invalid.Field != "Traffic.Limit" {
		t.Errorf("a negative limit: %v", err)
	}
}

// Each gate is in the curve, in its own direction.
func TestCurveOfEachKind(t *testing.T) {
	of := func(Observation) (float64, bool) { return 1, true }
	tolerated := Metric{Name: "tolerated", Tolerance: Plus(0.002), Of: of}
	p := Plan{Metrics: []Metric{ErrorRate(), Satisfaction(), ThumbsUp(), {Name: "size", Kind: Amount, Of: of}, tolerated, guardOf(Refusals())}}
	c := curveOf(t, p, Traffic{PerSecond: 100, Share: 0.5, Limit: time.Hour})
	var seen []string
	for _, x := range c.Points {
		seen = append(seen, x.Change+" "+x.Degree)
		if (x.Degree == degreeEqual || x.Degree == degreeTolerance) != (x.Rollback == 0.05) || x.Degree == degreeBeyond && x.Rollback < 0.99 || x.Degree == degreeEqual && x.Safe < 0.9 {
			t.Errorf("%+v", x)
		}
	}
	if want := 3 + 3*4 + 4; len(seen) != want {
		t.Errorf("%d points, want %d: %q", len(seen), want, seen)
	}
	if x := c.at(t, nameThumbs, degreeMargin); math.Abs(x.To-0.85) > 1e-9 {
		t.Errorf("thumbs up at the margin: %+v", x)
	}
	if back := viaJSON(t, c); back.String() != c.String() {
		t.Errorf("%s after JSON, before:\n%s", back, c)
	}
}
