package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/internal/hist"
)

// guard monitors one metric against its profile.
type guard struct {
	index  int
	metric Metric
	parts  []part
	n, bad int     // since the monitor began
	sum    float64 // of scores
}

// part is an e-detector for one feature of a distribution.
type part struct {
	evalue.Detector
	runs   []runState // by alternative, since the trouble began that it sees
	gained []float64  // in the open stretch, by alternative
	level  float64    // of an amount, beyond which values are bad; of a score, the profile's mean
	bound  float64    // the share of bad values that is no harm; of a score, how much lower it may be
}

// stakes are the fractions that a detector bets on scores; it places all of these bets.
var stakes = []float64{0.05, 0.15, 0.45}

// newGuard returns the guard of metric i, false if it is not to be monitored.
func newGuard(i int, m Metric, profile sampleEvidence) (guard, bool) {
	g := guard{index: i, metric: m}
	if !m.Role.RollsBack() || m.Better == Same || profile.N < profileMin {
		return g, false
	}
	if m.Kind == Rate {
		bad := profile.Events
		if m.Better == Higher {
			bad = profile.N - bad
		}
		_, high := evalue.RateInterval(bad, profile.N, profileAlpha, float64(profile.N))
		rate := float64(bad) / float64(profile.N)
		g.parts = []part{{bound: max(rate+m.Margin.points(rate), high)}}
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
	// The 95th percentile first, which reports show.
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

// take takes in the evidence of a look, by alternative, and what it comes from. What one
// stretch may add is bounded, so that trouble of some seconds alone raises no alarm: a
// smaller factor is an e-value still.
func (p *part) take(logE []float64, seen runState, most float64) {
	if len(p.gained) != len(logE) {
		p.gained = make([]float64, len(logE))
	}
	if len(p.runs) != len(logE) {
		p.runs = make([]runState, len(logE))
	}
	for j := range logE {
		logE[j] = min(logE[j], most-p.gained[j])
		p.gained[j] += logE[j]
	}
	p.Step(logE...)
	for j := range p.CUSUM {
		p.runs[j] = p.runs[j].plus(seen)
		if p.CUSUM[j] <= 0 {
			p.runs[j] = runState{}
		}
	}
}

// run returns what the loudest alternative has seen.
func (p *part) run() runState {
	best := 0
	for j := range p.runs {
		if p.SR[j] > p.SR[best] {
			best = j
		}
	}
	if len(p.runs) == 0 {
		return runState{}
	}
	return p.runs[best]
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
			before := g.sum
			logE := g.bet(p, values)
			p.take(logE, runState{N: len(values), Sum: g.sum - before}, most)
			continue
		}
		bad, n := profileState{Level: p.level}.bad(g.metric, r, values, 1)
		p.take(evalue.RateLogE(nil, bad, n, p.bound), runState{N: n, Bad: bad}, most)
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

func (g *guard) finding() MonitorFinding {
	f := MonitorFinding{Metric: g.metric.Name, N: g.n, Bad: g.bad, Allowed: g.parts[0].bound, E: exp(g.logE())}
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

// words says what the guard has seen since the trouble began.
func (g *guard) words() string {
	f, p := g.finding(), g.loudest()
	run := p.run()
	value, bound, n := float64(run.Bad)/float64(max(run.N, 1)), p.bound, thousands(run.N)
	show, worse := percent, value > bound
	if g.metric.Kind == Score {
		show = func(v float64) string { return FormatValue(v, Score, g.metric.Unit) }
		value, bound = run.Sum/float64(max(run.N, 1)), f.Allowed
		worse = value > bound != (g.metric.Better == Higher)
	}
	seen, allowed := show(value), show(bound)
	clear := worse && seen != allowed // what has been rounded may look equal
	switch g.metric.Kind {
	case Amount:
		side := "beyond"
		if g.metric.Better == Higher {
			side = "below"
		}
		level := FormatValue(p.level, Amount, g.metric.Unit)
		if !clear {
			return fmt.Sprintf("%s is %s %s in more of the latest requests than the %s that may be", f.Metric, side, level, allowed)
		}
		return fmt.Sprintf("%s is %s %s in %s of the last %s requests, where at most %s may be", f.Metric, side, level, seen, n, allowed)
	case Score:
		if !clear {
			return fmt.Sprintf("%s is worse in the latest requests than the %s that is allowed", f.Metric, allowed)
		}
		return fmt.Sprintf("%s is %s on average of the last %s requests, where %s is allowed", f.Metric, seen, n, allowed)
	}
	what := f.Metric
	if g.metric.Better == Higher {
		what = "not " + what
	}
	if !clear {
		return fmt.Sprintf("%s in more of the latest requests than the %s that is allowed", what, allowed)
	}
	return fmt.Sprintf("%s in %s of the last %s requests, where %s is allowed", what, seen, n, allowed)
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

func (g *guard) state() guardState {
	s := guardState{Metric: g.metric.Name, N: g.n, Bad: g.bad, Sum: g.sum}
	for k := range g.parts {
		s.Runs = append(s.Runs, slices.Clone(g.parts[k].runs))
		s.Detectors = append(s.Detectors, slices.Clone(g.parts[k].SR))
	}
	return s
}

// check reports whether s can be a state of g.
func (g *guard) check(s guardState) error {
	if s.Metric != g.metric.Name || s.N < 0 || s.Bad < 0 || s.Bad > s.N || !sane(s.Sum) || len(s.Detectors) != len(g.parts) {
		return fmt.Errorf("the state of %q cannot be one of %q", s.Metric, g.metric.Name)
	}
	want := len(evalue.RateLogE(nil, 0, 0, 0))
	if g.metric.Kind == Score {
		want = len(stakes)
	}
	if len(s.Runs) > len(g.parts) {
		return fmt.Errorf("%d runs of %q, want %d", len(s.Runs), s.Metric, len(g.parts))
	}
	for _, runs := range s.Runs {
		if len(runs) != 0 && len(runs) != want || slices.ContainsFunc(runs, func(r runState) bool { return r.Bad < 0 || r.Bad > r.N || !sane(r.Sum) }) {
			return fmt.Errorf("the runs of %q are %v", s.Metric, runs)
		}
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
func (g *guard) restore(s guardState) {
	g.n, g.bad, g.sum = s.N, s.Bad, s.Sum
	for k, runs := range s.Runs {
		g.parts[k].runs = slices.Clone(runs)
	}
	for k, d := range s.Detectors {
		if len(d) > 0 {
			g.parts[k].Detector = evalue.Detector{SR: slices.Clone(d), CUSUM: slices.Clone(d), Steps: 1}
		}
	}
}
