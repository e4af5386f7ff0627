package analysis

import (
	"math"
	"slices"

	"github.com/serin-go/serin/internal/evalue"
)

// Stratum is a property of requests by which the arms are compared apart: a version may
// be worse for one tenant in ten, which the whole shows late. The zero value is
// ByTenant.
type Stratum int

const (
	// ByTenant compares tenants apart, as [Assigned] and [Observation] name them.
	ByTenant Stratum = iota
	// ByRoute compares routes apart.
	ByRoute
	// ByModel compares the models that are asked for apart.
	ByModel
	// ByPrompt compares prompts of fewer than 1,000 tokens, of fewer than 8,000, and
	// longer ones apart.
	ByPrompt
	numStrata
)

var stratumNames = []string{"tenant", "route", "model", "prompt"}

// String returns "tenant", "route", "model" or "prompt".
func (s Stratum) String() string { return nameOf(s, stratumNames) }

// MarshalText implements [encoding.TextMarshaler].
func (s Stratum) MarshalText() ([]byte, error) { return marshalName(s, stratumNames, "Plan.Strata") }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Stratum) UnmarshalText(text []byte) error {
	return unmarshalName(s, text, stratumNames, "Plan.Strata")
}

// promptNames are the classes of prompts.
var promptNames = [...]string{"under 1k tokens", "under 8k tokens", "8k tokens or more"}

const (
	minStratum   = 20 // assignments of both arms before a value is judged apart
	stratumSlots = 64 // slots whose first event a rate of a stratum keeps
	maxFindings  = 64 // strata that a judgement shows
	stratumPast  = 50 // requests that the past of the whole counts for in a stratum
)

// The parts of a stratum's evidence.
const (
	partErrors = iota
	partSilent
	partTTFT
	numParts
	numRates = partTTFT
)

// partWeights are their weights.
var partWeights = [numParts]float64{8, 4, 2}

// strata holds what a comparison knows of parts of the traffic.
//
// All strata together have half of [Plan.AlphaRollback] once one of them is judged
// apart, and the whole has the other half from then on. Of their half each gets a part
// when it begins to be judged, which is fixed from then on. Both depend on assignments
// alone. So the sum of the e-values by their parts is an e-process, whatever the
// strata have in common, and e-BH on it names wrongly with a probability of at most
// that half (Wang and Ramdas, "False discovery rate control with e-values", J. R.
// Stat. Soc. B 84, 2022).
type strata struct {
	list    [numStrata][numValues]*stratum
	divided bool
	// left is the part that nothing has been given yet; at most 1.
	left float64
	// kept are strata that were harmed before a restart, or in another replica.
	kept []stratumEvidence
}

// stratum is the evidence about the requests of one value.
type stratum struct {
	kind     Stratum
	number   uint8
	value    string
	assigned [2]float64
	rates    [numRates]stratumRate
	times    *stratumTimes // nil before the first one
	weight   float64       // 0 before it is judged apart
	harm     strength
	worst    int // the part that contributes most
	named    int // how many strata were harmed when this one was named, 0 if it was not
}

// stratumRate is a rate of a stratum, by first events.
type stratumRate struct {
	firsts
	events            [2]float64
	every, open, loud evalue.Moments
}

// stratumTimes are the stairs of TTFT of a stratum.
type stratumTimes struct {
	groups               evalue.HalfGroups
	n                    [2]float64 // of the baseline and the candidate
	late, seen           [numStairs]float64
	began, read, loudest float64
}

// part returns the part of a stratum's evidence that metric i is, -1 if it has none.
func (l *layout) part(i int) int {
	m := &l.meters[i]
	switch {
	case !m.Role.RollsBack():
	case m.source == fromClass && m.Name == nameErrors:
		return partErrors
	case i == l.unanswered:
		return partSilent
	case m.source == fromTTFT:
		return partTTFT
	}
	return -1
}

// sort enters a request into its strata, when their values are known.
func (s *scorer) sort(r *row) {
	r.sorted = true
	v := &s.r.values
	for k := range r.strata {
		n := r.strata[k]
		if n == 0 {
			continue
		}
		t := &v.tables[k]
		t.seen |= 1 << (n & placeMask)
		s.values[k][n&placeMask]++
		if !t.open() {
			r.strata[k] = 0
			continue
		}
		for i, c := range s.r.comparisons {
			x := c.tests.strata.enter(v, Stratum(k), n)
			if x == nil || !s.live[i] {
				continue
			}
			side := 0
			if s.labels[i].candidate {
				side = 1
			}
			x.assigned[side]++
		}
	}
}

// enter returns the stratum of a value, nil if another value has its place. What it
// begins with is nothing; the part of one whose place it takes goes back.
func (t *strata) enter(v *values, k Stratum, number uint8) *stratum {
	p := &t.list[k][number&placeMask]
	x := *p
	if x != nil && x.number == number {
		return x
	}
	value, ok := v.name(k, number)
	if !ok || x != nil && x.named > 0 {
		return nil
	}
	if x != nil {
		t.left += x.weight * math.Min(1, exp(x.harm.LogE))
	}
	*p = &stratum{kind: k, number: number, value: value}
	return *p
}

// of returns the stratum of a request in a kind, nil if it has none.
func (t *strata) of(r *row, k int) *stratum {
	n := r.strata[k]
	if n == 0 || !r.sorted {
		return nil
	}
	if x := t.list[k][n&placeMask]; x != nil && x.number == n {
		return x
	}
	return nil
}

// partEvent takes an event of a request, of a rate that is a part.
func (t *tests) partEvent(r *row, part int, l *label, live bool) {
	for k := range r.strata {
		if x := t.strata.of(r, k); x != nil {
			var f *shareFactors
			if live {
				f = &t.factors[l.number][0]
			}
			x.rates[part].event(l, f)
		}
	}
}

// event takes an event. One of an arm that is not of the pair has no factors, and marks
// its slot.
func (e *stratumRate) event(l *label, factors *shareFactors) {
	m := mark{slot: l.slot, share: l.number, hit: hitOther}
	if factors != nil {
		m.hit = hitBase
		add := &factors.base
		if l.candidate {
			m.hit, add = hitCand, &factors.cand
		}
		e.events[m.hit]++
		for i, x := range add {
			e.open[i] += x
		}
	}
	if len(e.marks) < stratumSlots && !slices.ContainsFunc(e.marks, func(x mark) bool { return x.slot == m.slot }) {
		e.marks, e.stale = append(e.marks, m), true
	}
}

// conclude returns ln E: of first events, and at most what all events without their
// loudest block show. Factor is how much more the whole varies than chance explains.
func (e *stratumRate) conclude(shares []Share, times, factor float64, persist bool) float64 {
	logE := e.moments(shares, times).LogE()
	if persist {
		var rest evalue.Moments
		for i := range rest {
			rest[i] = e.every[i] + e.open[i] - max(e.loud[i], e.open[i], 0)
		}
		logE = min(logE, rest.LogE())
	}
	return logE / factor
}

// partTime takes a step of the stairs of TTFT: mean is the share of all requests that
// is late at it.
func (t *tests) partTime(r *row, l *label, k int, mean float64, hit bool) {
	for kind := range r.strata {
		if x := t.strata.of(r, kind); x != nil {
			if x.times == nil {
				x.times = new(stratumTimes)
			}
			x.times.step(l, k, mean, hit)
		}
	}
}

// step takes a step. What is expected is the stratum's own past: long prompts are late.
func (e *stratumTimes) step(l *label, k int, mean float64, hit bool) {
	y := -(e.late[k] + stratumPast*mean) / (e.seen[k] + stratumPast)
	e.seen[k]++
	if hit {
		e.late[k]++
		y++
	}
	e.groups.Add(l.group, l.fixed(stair[k]*y))
	side := 0
	if l.candidate {
		side = 1
	}
	e.n[side]++
}

func (e *stratumTimes) conclude(factor float64, persist bool) float64 {
	if e == nil || min(e.n[0], e.n[1]) == 0 {
		return 0
	}
	s := e.groups.Sums()
	e.read = s.D
	d, v := s.D, (s.CC+2*s.QQ)/3*factor
	if persist {
		d -= max(e.loudest, d-e.began, 0)
	}
	if s.Clusters < evalue.MinClusters || v <= 0 {
		return 0
	}
	return evalue.AmountHarm(d, v)
}

// all calls f with all strata.
func (t *strata) all(f func(x *stratum)) {
	for k := range t.list {
		for _, x := range t.list[k] {
			if x != nil {
				f(x)
			}
		}
	}
}

// closeBlock ends a block of the length that [Plan.Persist] says.
func (x *stratum) closeBlock() {
	for i := range x.rates {
		e := &x.rates[i]
		for k := range e.open {
			e.every[k] += e.open[k]
			e.loud[k] = max(e.loud[k], e.open[k])
			e.open[k] = 0
		}
	}
	if e := x.times; e != nil {
		e.read = e.groups.Sums().D
		e.loudest = max(e.loudest, e.read-e.began)
		e.began = e.read
	}
}

// size returns how many requests a stratum was assigned.
func (x *stratum) size() float64 { return x.assigned[0] + x.assigned[1] }

// concludeStrata computes the strength of the evidence about each stratum, and names
// those that are harmed.
func (t *tests) concludeStrata(l *layout) {
	t.allotStrata(l)
	if !t.strata.divided {
		return
	}
	persist := l.plan.persist() > 0
	var shares, times, factors [numParts]float64
	for i := range l.meters {
		if p := l.part(i); p >= 0 {
			f := &t.features[l.first[i]]
			shares[p], times[p] = partWeights[p], t.times(f, &l.meters[i])
			factors[p] = t.epochs[l.first[i]][0].dispersion(f)
		}
	}
	var judged []*stratum
	t.strata.all(func(x *stratum) {
		var logE [numParts]float64
		for p := range x.rates {
			if shares[p] > 0 {
				logE[p] = x.rates[p].conclude(t.shares, times[p], factors[p], persist)
			}
		}
		if shares[partTTFT] > 0 {
			logE[partTTFT] = x.times.conclude(factors[partTTFT], persist)
		}
		x.worst = 0
		for p := range logE {
			if shares[p] > 0 && (shares[x.worst] == 0 || math.Log(shares[p])+logE[p] > math.Log(shares[x.worst])+logE[x.worst]) {
				x.worst = p
			}
		}
		if e := max(evalue.Average(logE[:], shares[:]), -700); x.weight > 0 {
			x.harm.set(e)
			judged = append(judged, x)
		} else {
			x.harm.LogE = e
		}
	})
	e, weights := make([]float64, len(judged)), make([]float64, len(judged))
	for i, x := range judged {
		e[i], weights[i] = x.harm.LogE, x.weight
	}
	rejected, n := nameStrata(e, weights, l.plan.AlphaRollback/2)
	for i, x := range judged {
		if rejected[i] && x.named == 0 {
			x.named = n
		}
	}
}

// nameStrata says which strata are harmed by e-BH, given ln E of each and its part of
// alpha, and how many.
func nameStrata(logE, weights []float64, alpha float64) (rejected []bool, n int) {
	e := make([]float64, len(logE))
	for i := range e {
		e[i] = float64(len(e)) * weights[i] * exp(logE[i])
	}
	rejected = evalue.EBH(e, alpha)
	for _, r := range rejected {
		if r {
			n++
		}
	}
	return rejected, n
}

// allotStrata gives their part to strata that begin to be judged apart: of a kind of
// which at least two values were assigned often enough. Parts are proportional to the
// root of what they were assigned, among all that are still to come.
func (t *tests) allotStrata(l *layout) {
	s := &t.strata
	var coming, begin []*stratum
	for k := range s.list {
		large, from := 0, len(begin)
		for _, x := range s.list[k] {
			switch {
			case x == nil:
			case x.weight > 0:
				large++
			case x.size() >= minStratum:
				large++
				begin = append(begin, x)
				fallthrough
			default:
				coming = append(coming, x)
			}
		}
		if large < 2 {
			begin = begin[:from]
		}
	}
	if len(begin) == 0 {
		return
	}
	if !s.divided {
		if t.harm.Peak >= -math.Log(l.plan.AlphaRollback) {
			return // the whole is harmed already
		}
		// What the whole has lost by now, its half has lost as well.
		s.divided, s.left = true, min(1, exp(t.harm.LogE)/wholeWeight)
	}
	roots := 0.0
	for _, x := range coming {
		roots += math.Sqrt(x.size())
	}
	left := s.left
	for _, x := range begin {
		x.weight = left * math.Sqrt(x.size()) / (roots * (1 + reserve))
		s.left -= x.weight
	}
}

// reserve is the part that is kept for strata that nothing is known of, against what
// is given.
const reserve = 0.1

// wealth returns what all strata and what is left are worth by now.
func (t *strata) wealth() float64 {
	sum := t.left
	t.all(func(x *stratum) { sum += x.weight * exp(x.harm.LogE) })
	return min(sum, 1)
}
