package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/hist"
)

// guard watches one metric against its profile.
type guard struct {
	index  int
	metric Metric
	parts  []part
	n, bad int     // since the watch began
	sum    float64 // of scores
}

// part is an e-detector for one feature of a distribution.
type part struct {
	evalue.Detector
	n, bad int       // since the watch began, of rates and amounts
	gained []float64 // in the open stretch, by alternative
	level  float64   // of an amount, beyond which values are bad; of a score, the profile's mean
	bound  float64   // the share of bad values that is no harm; of a score, how much lower it may be
}

// stakes are those of bets on scores, on all of which a detector bets.
var stakes = []float64{0.05, 0.15, 0.45}

// newGuard returns the guard of metric i, false if it is not to be watched.
func newGuard(i int, m Metric, profile Sample) (guard, bool) {
	g := guard{index: i, metric: m}
	if !m.Role.RollsBack() || m.Better == Same || profile.N < profileMin {
		return g, false
	}
	if m.Kind == Rate {
		p := Profile{N: profile.N, Events: profile.Events}
		g.parts = []part{{bound: p.bound(m, factor(m.Margin), m.Margin.Points)}}
		return g, true
	}
	var h hist.Histogram
	if h.UnmarshalBinary(profile.Values) != nil || h.Count() < profileMin {
		return g, false
	}
	n := int(h.Count())
	if m.Kind == Score {
		// The mean itself is uncertain by its standard error, at most 1/2 by the
		// root of n.
		g.parts = []part{{level: h.Mean(), bound: max(m.Margin.Points, 1.5/math.Sqrt(float64(n)))}}
		return g, true
	}
	// The 95th percentile first, of which reports tell.
	for _, share := range []float64{tailShare, 0.5} {
		_, high := evalue.RateInterval(int(share*float64(n)), n, profileAlpha, float64(n))
		q, beyond := h.Quantile(1-share), m.Margin.Factor*(1+hist.Width)
		if m.Better == Higher {
			q, beyond = h.Quantile(share), 1/beyond
		}
		g.parts = append(g.parts, part{level: q * beyond, bound: high})
	}
	return g, true
}

// take takes in the evidence of a look, by alternative. What one stretch may add is
// bounded, so that trouble of some seconds alone raises no alarm: a smaller factor is
// an e-value still.
func (p *part) take(logE []float64, most float64) {
	if len(p.gained) != len(logE) {
		p.gained = make([]float64, len(logE))
	}
	for j := range logE {
		logE[j] = min(logE[j], most-p.gained[j])
		p.gained[j] += logE[j]
	}
	p.Step(logE...)
}

// look takes in what is new. A stretch adds most at most to the evidence of an amount; a
// new one begins with this look if fresh says so. Failures do not wait.
func (g *guard) look(r rate, values []float64, most float64, fresh bool) {
	if fresh {
		for k := range g.parts {
			clear(g.parts[k].gained)
		}
	}
	if r.n == 0 {
		return
	}
	if g.metric.Kind != Amount {
		most = math.Inf(1)
	}
	for k := range g.parts {
		p := &g.parts[k]
		if g.metric.Kind == Score {
			p.take(g.bet(p, values), most)
			continue
		}
		bad, n := Profile{Level: p.level}.bad(g.metric, r, values, 1)
		p.take(evalue.RateLogE(nil, bad, n, p.bound), most)
		p.bad, p.n = p.bad+bad, p.n+n
		if k == 0 {
			g.bad, g.n = g.bad+bad, g.n+n
		}
	}
}

// bet bets on scores being worse than the profile's mean by more than the bound.
func (g *guard) bet(p *part, values []float64) []float64 {
	logE := make([]float64, len(stakes))
	for _, v := range values {
		worse := v - p.level
		if g.metric.Better == Higher {
			worse = -worse
		}
		for j, s := range stakes {
			logE[j] += math.Log1p(s * (worse - p.bound))
		}
		g.sum += v
	}
	g.n += len(values)
	return logE
}

// logE returns the log of the mean of the parts' statistics.
func (g *guard) logE() float64 {
	logs := make([]float64, len(g.parts))
	for k := range g.parts {
		logs[k] = g.parts[k].LogSR()
	}
	return evalue.Average(logs, equal[:len(logs)])
}

func (g *guard) finding() WatchFinding {
	f := WatchFinding{Metric: g.metric.Name, N: g.n, Bad: g.bad, Allowed: g.parts[0].bound, E: exp(g.logE())}
	if g.metric.Kind == Score {
		f.Allowed = g.parts[0].level + g.parts[0].bound
		if g.metric.Better == Higher {
			f.Allowed = g.parts[0].level - g.parts[0].bound
		}
	}
	if g.n > 0 {
		f.Seen = float64(g.bad) / float64(g.n)
		if g.metric.Kind == Score {
			f.Seen = g.sum / float64(g.n)
		}
	}
	return f
}

// words says what the guard has seen. Numbers since the watch began can be within the bounds
// when what came last is not; then it says so.
func (g *guard) words() string {
	f := g.finding()
	seen, allowed := percent(f.Seen), percent(f.Allowed)
	switch g.metric.Kind {
	case Amount:
		p := g.loudest()
		side := "beyond"
		if g.metric.Better == Higher {
			side = "below"
		}
		level := FormatValue(p.level, Amount, g.metric.Unit)
		share := float64(p.bad) / float64(max(p.n, 1))
		seen, allowed = percent(share), percent(p.bound)
		if share <= p.bound || seen == allowed {
			return fmt.Sprintf("%s is %s %s in more of the latest requests than the %s that may be (%s of all %s)", f.Metric, side, level, allowed, seen, thousands(p.n))
		}
		return fmt.Sprintf("%s is %s %s in %s of %s requests, where at most %s may be", f.Metric, side, level, seen, thousands(p.n), allowed)
	case Score:
		seen, allowed = FormatValue(f.Seen, Score, g.metric.Unit), FormatValue(f.Allowed, Score, g.metric.Unit)
		if worse := f.Seen > f.Allowed; seen == allowed || worse == (g.metric.Better == Higher) {
			return fmt.Sprintf("%s is worse in the latest requests than the %s that is allowed (%s on average of all %s)", f.Metric, allowed, seen, thousands(f.N))
		}
		return fmt.Sprintf("%s is %s on average of %s requests, where %s is allowed", f.Metric, seen, thousands(f.N), allowed)
	}
	what := f.Metric
	if g.metric.Better == Higher {
		what = "not " + what
	}
	if f.Seen <= f.Allowed || seen == allowed {
		return fmt.Sprintf("%s in more of the latest requests than the %s that is allowed (%s of all %s)", what, allowed, seen, thousands(f.N))
	}
	return fmt.Sprintf("%s in %s of %s requests, where %s is allowed", what, seen, thousands(f.N), allowed)
}

// loudest returns the part whose statistic is largest.
func (g *guard) loudest() *part {
	best := &g.parts[0]
	for k := range g.parts {
		if p := &g.parts[k]; p.LogSR() > best.LogSR() {
			best = p
		}
	}
	return best
}

func (g *guard) state() GuardState {
	s := GuardState{Metric: g.metric.Name, N: g.n, Bad: g.bad, Sum: g.sum}
	for k := range g.parts {
		s.Parts = append(s.Parts, [2]int{g.parts[k].n, g.parts[k].bad})
		s.Detectors = append(s.Detectors, slices.Clone(g.parts[k].SR))
	}
	return s
}

// check reports whether s can be a state of g.
func (g *guard) check(s GuardState) error {
	if s.Metric != g.metric.Name || s.N < 0 || s.Bad < 0 || s.Bad > s.N || !sane(s.Sum) || len(s.Detectors) != len(g.parts) {
		return fmt.Errorf("the state of %q cannot be one of %q", s.Metric, g.metric.Name)
	}
	if len(s.Parts) != 0 && len(s.Parts) != len(g.parts) || slices.ContainsFunc(s.Parts, func(n [2]int) bool { return n[1] < 0 || n[1] > n[0] }) {
		return fmt.Errorf("the parts of %q are %v", s.Metric, s.Parts)
	}
	want := len(evalue.RateLogE(nil, 0, 0, 0))
	if g.metric.Kind == Score {
		want = len(stakes)
	}
	for _, d := range s.Detectors {
		if len(d) != 0 && len(d) != want {
			return fmt.Errorf("%d alternatives of %q, want %d", len(d), s.Metric, want)
		}
		// What is far below nothing is kept as such.
		if slices.ContainsFunc(d, func(l float64) bool { return !(l >= -1e300 && l <= 1e18) }) {
			return fmt.Errorf("the detectors of %q are at %v", s.Metric, d)
		}
	}
	return nil
}

// restore takes in a state that was checked.
func (g *guard) restore(s GuardState) {
	g.n, g.bad, g.sum = s.N, s.Bad, s.Sum
	for k, n := range s.Parts {
		g.parts[k].n, g.parts[k].bad = n[0], n[1]
	}
	for k, d := range s.Detectors {
		if len(d) > 0 {
			g.parts[k].Detector = evalue.Detector{SR: slices.Clone(d), CUSUM: slices.Clone(d), Steps: 1}
		}
	}
}
