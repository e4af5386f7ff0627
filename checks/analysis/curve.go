package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Curve is the operating curve of a plan for given traffic: how probable each verdict is
// before the limit, by how much worse the candidate is. It is plain data that survives
// JSON.
type Curve struct {
	// Limit is [Traffic.Limit]. Requests are about how many the candidate has by then.
	Limit    time.Duration `json:"limit_ns"`
	Requests int           `json:"requests"`
	// Points are in the order of Change and then of how much worse the candidate is.
	Points []CurvePoint `json:"points"`
	// Warnings name what is less probable than it should be: that a candidate within the
	// tolerances is Safe before the limit, below 0.95, and that one that is half as far
	// again from the baseline as the margin is rolled back, below 0.99. The first comes
	// with the share or the margins that would do, if any does.
	Warnings []string `json:"warnings,omitempty"`
}

// CurvePoint is about a candidate that is worse to some degree in some metrics, and
// equal in all others.
type CurvePoint struct {
	// Change is "failures" for the error rate and unanswered requests together, "times"
	// for all gates that are durations, and the name of any other gate.
	Change string `json:"change"`
	// Degree is "equal", "tolerance", "margin" or "1.5 x margin".
	Degree string `json:"degree"`
	// To and Times are what they are in a [Regression]: To of the first metric.
	To    float64 `json:"to,omitempty"`
	Times float64 `json:"times,omitempty"`
	// Rollback is the probability that the candidate is found to be worse before the
	// limit, and Safe that it is proven. Each looks at its own verdict alone. Up to the
	// tolerance Rollback is a bound, [Plan.AlphaRollback]; from the margin on Safe is
	// one, [Plan.AlphaPromote].
	Rollback float64 `json:"rollback"`
	Safe     float64 `json:"safe"`
}

// The degrees to which a candidate may be worse.
const (
	degreeEqual     = "equal"
	degreeTolerance = "tolerance"
	degreeMargin    = "margin"
	degreeBeyond    = "1.5 x margin"
)

const (
	safeWanted     = 0.95
	rollbackWanted = 0.99
)

// curve returns the operating curve of p, which has its defaults, as t has.
func (p Plan) curve(t Traffic) *Curve {
	c := &Curve{Limit: t.Limit, Requests: whole(t.requests())}
	for _, group := range p.changes() {
		degrees := []string{degreeEqual, degreeTolerance, degreeMargin, degreeBeyond}
		if group.metrics[0].Tolerance == (Margin{}) {
			degrees = slices.Delete(degrees, 1, 2)
		}
		for _, degree := range degrees {
			c.Points = append(c.Points, p.point(t, group, degree))
		}
	}
	for _, x := range c.Points {
		switch {
		case (x.Degree == degreeEqual || x.Degree == degreeTolerance) && x.Safe < safeWanted:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s, %s: safe before the limit of %v in %s of rollouts, want %s", x.Change, x.Degree, t.Limit, share(x.Safe), percent(safeWanted)))
		case x.Degree == degreeBeyond && x.Rollback < rollbackWanted:
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s, %s: rolled back before the limit of %v in %s of rollouts, want %s", x.Change, x.Degree, t.Limit, share(x.Rollback), percent(rollbackWanted)))
		}
	}
	if p.safe(t, nil) < safeWanted {
		c.Warnings = append(c.Warnings, p.remedies(t)...)
	}
	return c
}

// requests returns how many requests the candidate has before the limit.
func (t Traffic) requests() float64 { return t.Limit.Seconds() * t.PerSecond * t.Share }

// change is a set of gates that a cause makes worse together.
type change struct {
	name    string
	metrics []Metric
}

// changes returns the ways in which candidates of p differ: every gate is in one.
func (p Plan) changes() []change {
	failures, times := change{name: "failures"}, change{name: "times"}
	var others []change
	for _, m := range p.Metrics {
		switch {
		case !m.Role.MustBeProven():
		case m.Of == nil && (m.Name == nameErrors || m.Name == nameUnanswered):
			failures.metrics = append(failures.metrics, m)
		case m.Kind == Amount && m.Unit == "s":
			times.metrics = append(times.metrics, m)
		default:
			others = append(others, change{m.Name, []Metric{m}})
		}
	}
	return slices.DeleteFunc(append([]change{failures, times}, others...), func(c change) bool { return len(c.metrics) == 0 })
}

// distance returns how much worse in m a candidate of a degree is than the baseline: a
// factor of an amount, else a difference.
func (m Metric) distance(t Traffic, degree string) float64 {
	far := map[string]Margin{degreeTolerance: m.Tolerance, degreeMargin: m.Margin, degreeBeyond: m.Margin}[degree]
	times := 1.0
	if degree == degreeBeyond {
		times = 1.5
	}
	switch {
	case m.Kind == Amount:
		return 1 + times*(factor(far)-1)
	case degree == degreeEqual:
		return 0
	case m.Kind == Rate:
		b := t.rate(m)
		return min(times*far.points(b), (1-b)*0.999)
	}
	return min(times*far.Points, 0.999)
}

// point returns the point of the curve at which the metrics of g are worse to a degree.
func (p Plan) point(t Traffic, g change, degree string) CurvePoint {
	x := CurvePoint{Change: g.name, Degree: degree, Rollback: p.AlphaRollback, Safe: p.AlphaPromote}
	worse := make(map[string]float64)
	for i, m := range g.metrics {
		d := m.distance(t, degree)
		worse[m.Name] = d
		// Each metric has a margin of its own, so each is a regression of its own: the
		// first that is found rolls back.
		r := Regression{Metrics: []string{m.Name}}
		switch {
		case m.Kind == Amount:
			r.Times = d
		case m.Kind == Score:
			r.To = d
		case m.Better == Higher:
			r.To = 1 - t.rate(m) - d
		default:
			r.To = t.rate(m) + d
		}
		if i == 0 {
			x.To, x.Times = r.To, r.Times
		}
		if degree == degreeMargin || degree == degreeBeyond {
			x.Rollback = max(x.Rollback, p.harm(t, r).done(t.requests()-p.delay(t, r.Times != 0)))
		}
	}
	if degree == degreeEqual || degree == degreeTolerance {
		x.Safe = p.safe(t, worse)
	}
	return x
}

// safe returns the probability that a candidate is proven before the limit, whose gates
// are worse by the given distances, and equal where none is given.
func (p Plan) safe(t Traffic, worse map[string]float64) float64 {
	n := t.requests()
	if n < float64(p.MinSamples)*max(1, 1/t.perCandidate()) {
		return 0
	}
	product, gates := 1.0, 0
	for _, m := range p.Metrics {
		if !m.Role.MustBeProven() {
			continue
		}
		gates++
		d, given := worse[m.Name]
		if !given {
			d = m.distance(t, degreeEqual)
		}
		// A proof does not have to outlast a burst.
		wait := p.delay(t, m.Kind == Amount) - 2*p.persist().Seconds()*t.PerSecond*t.Share
		product *= m.proof(t, p.AlphaPromote, d).done(n - wait)
	}
	if gates == 0 {
		return 0
	}
	return product
}

// remedies words which share, and which margins, would let an equal candidate be safe
// before the limit.
func (p Plan) remedies(t Traffic) (list []string) {
	least := func(lo, hi float64, enough func(x float64) bool) (float64, bool) {
		if !enough(hi) {
			return 0, false
		}
		for range 30 {
			if mid := (lo + hi) / 2; enough(mid) {
				hi = mid
			} else {
				lo = mid
			}
		}
		return hi, true
	}
	if t.Share < 0.5 {
		share, ok := least(t.Share, 0.5, func(x float64) bool {
			wider := t
			wider.Share = x
			return p.safe(wider, nil) >= safeWanted
		})
		if ok {
			list = append(list, fmt.Sprintf("a share of %s would do for an equal candidate", percent(math.Ceil(share*1000)/1000)))
		}
	}
	times, ok := least(1, 20, func(x float64) bool { return p.widened(x).safe(t, nil) >= safeWanted })
	if ok {
		list = append(list, fmt.Sprintf("margins %s times as wide would do for an equal candidate", digits(math.Ceil(times*10)/10)))
	}
	return list
}

// widened returns p with the margins of its gates wider by a factor.
func (p Plan) widened(times float64) Plan {
	p.Metrics = slices.Clone(p.Metrics)
	for i := range p.Metrics {
		m := &p.Metrics[i].Margin
		if m.Factor != 0 {
			m.Factor = 1 + times*(m.Factor-1)
		}
		m.Points, m.AtMost = min(times*m.Points, 0.999), min(times*m.AtMost, 0.999)
	}
	return p
}

// String prints the curve, one line for each point, and its warnings.
func (c *Curve) String() string {
	if c == nil {
		return "no limit is given\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "before the limit of %v, with %s requests of the candidate\n", c.Limit, thousands(c.Requests))
	for _, x := range c.Points {
		far := fmt.Sprintf("x%s", digits(x.Times))
		if x.Times == 0 {
			far = digits(x.To)
		}
		bound := [2]string{"", ""}
		switch x.Degree {
		case degreeEqual, degreeTolerance:
			bound[1] = "at most "
		default:
			bound[0] = "at most "
		}
		fmt.Fprintf(&b, "%-12s %-12s %-8s safe %14s  rolled back %14s\n", x.Change, x.Degree, far, bound[0]+share(x.Safe), bound[1]+share(x.Rollback))
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// share formats a probability, and does not round it up to certainty.
func share(p float64) string {
	if p > 0.999 {
		return "over 99.9 %"
	}
	return percent(math.Floor(p*1000) / 1000)
}
