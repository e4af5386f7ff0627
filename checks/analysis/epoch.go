package analysis

import (
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// An epoch is the evidence of one test since a moment. The first covers the
// whole rollout; two later ones begin in turn, so that long good times are no debt.
const (
	numEpochs    = 3
	epochLength  = 2000 // requests of the candidate
	firstSlots   = 384  // slots that the first epoch of a test keeps, and
	laterSlots   = 192  // that a later one does
	firstShare   = .75  // of a rate's evidence, the part of first events
	lookLength   = time.Second
	defaultBlock = 2 * time.Second
)

// rateLooks and amountLooks are the lengths of the blocks in which the sums may vary
// no more than chance explains.
var (
	rateLooks   = [...]int{1, 8, 64}
	amountLooks = [...]int{1, 2, 4, 8, 16, 32, 64, 128}
)

const (
	rateQuantile   = 1.6448536269514722 // of the standard normal distribution at 95 %
	amountQuantile = 0.6744897501960817 // at 75 %
)

// feature is one test of a metric.
type feature struct {
	metric int
	kind   featureKind
	step   int     // of a tail
	mirror bool    // lower values are worse
	weight float64 // of the metric's evidence
}

type featureKind uint8

const (
	ofEvents  featureKind = iota // events of all requests: first ones and groups
	ofStairs                     // how far requests get up the stairs: groups
	ofTail                       // those beyond a level: first ones
	ofScores                     // grades as they come: groups
	ofDowns                      // thumbs down: first ones
	ofAnswers                    // requests with a grade: first ones
)

// tailWeights are the parts of an amount's evidence: of the stairs, and of the
// tails from p95, p99 and p99.9.
var tailWeights = [...]float64{6, 2, 1, 1}

// features returns the tests of metric i.
func (m *meter) features(i int) []feature {
	switch {
	case m.source == fromThumb:
		return []feature{{metric: i, kind: ofScores, weight: 1 - firstShare}, {metric: i, kind: ofDowns, weight: firstShare}, {metric: i, kind: ofAnswers}}
	case m.Kind == Score:
		return []feature{{metric: i, kind: ofScores, weight: 1}, {metric: i, kind: ofAnswers}}
	case m.Kind == Rate:
		return []feature{{metric: i, kind: ofEvents, weight: 1}}
	case m.Better == Same:
		return []feature{{metric: i, kind: ofStairs, weight: .5}, {metric: i, kind: ofStairs, mirror: true, weight: .5}}
	}
	if m.source != fromLatency && m.source != fromTTFT && m.source != fromITL {
		return []feature{{metric: i, kind: ofStairs, weight: 1}}
	}
	list := []feature{{metric: i, kind: ofStairs, weight: tailWeights[0] / 10}}
	for k := range numTails {
		list = append(list, feature{metric: i, kind: ofTail, step: firstTail + k, weight: tailWeights[k+1] / 10})
	}
	return list
}

// groups reports whether the feature is tested by groups of slots.
func (f *feature) groups() bool {
	return f.kind == ofEvents || f.kind == ofStairs || f.kind == ofScores
}

// firsts reports whether it is tested by first events.
func (f *feature) firsts() bool { return f.kind == ofEvents || !f.groups() }

// looks returns the lengths of its blocks.
func (f *feature) looks() []int {
	switch {
	case !f.groups():
		return nil
	case f.kind == ofStairs:
		return amountLooks[:]
	}
	return rateLooks[:]
}

// epoch is the state of one test since the epoch began.
type epoch struct {
	groups *evalue.Groups
	sums   evalue.GroupSums // of the groups, unless added is set
	added  bool
	// Of both arms: how many requests were old enough, and the events among them.
	n, events [2]float64
	// shift is what the tolerance allows the excess to be.
	shift float64
	firsts
	// Every event, of all blocks; of the block that is open, and of the loudest one.
	every, open, loud evalue.Moments
	// The excess when the open block began, and the largest excess of a block.
	began, loudest float64
	// read is the excess at the last look; over is how much the blocks vary.
	read float64
	over []evalue.Overdispersion
	// known is how much they varied before the epoch began.
	known float64
	// volume adds up share*(1-share) of what was scored; closed is what of it the
	// blocks know.
	volume, closed float64
	// logE is ln E at the last look, and first the same for the first events alone.
	logE, first float64
	fresh       bool // something was added since
}

// firsts holds the first event of each slot.
type firsts struct {
	met   *[slots / 64]uint64
	marks []mark
	stale bool
	sum   evalue.Moments
}

// mark is the first event of a slot.
type mark struct {
	slot  uint16
	share uint16 // by number
	hit   hit
}

type hit uint8

const (
	hitBase hit = iota
	hitCand
	hitOther // an arm that is not of the pair
)

// meet reports whether a slot is new, and marks it.
func (f *firsts) meet(slot uint16) bool {
	if f.met == nil {
		f.met = new([slots / 64]uint64)
		for _, m := range f.marks { // that were decoded
			f.met[m.slot>>6%(slots/64)] |= 1 << (m.slot & 63)
		}
	}
	w, b := &f.met[slot>>6%(slots/64)], uint64(1)<<(slot&63)
	if *w&b != 0 {
		return false
	}
	*w |= b
	return true
}

// note takes the event of a slot.
func (f *firsts) note(m mark, keep int) {
	if len(f.marks) >= keep || !f.meet(m.slot) {
		return
	}
	f.marks, f.stale = append(f.marks, m), true
}

// moments returns the evidence of the first events, under the shares by number.
func (f *firsts) moments(shares []Share, times float64) *evalue.Moments {
	if !f.stale {
		return &f.sum
	}
	f.stale = false
	var counts [2][]float64
	counts[0], counts[1] = make([]float64, len(shares)), make([]float64, len(shares))
	for _, m := range f.marks {
		if m.hit != hitOther {
			counts[m.hit][m.share]++
		}
	}
	f.sum = evalue.Moments{}
	for i, s := range shares {
		if counts[0][i]+counts[1][i] > 0 {
			f.sum.Add(s.Share, times, counts[1][i], counts[0][i])
		}
	}
	return &f.sum
}

func newEpoch(f *feature) epoch {
	e := epoch{fresh: true}
	if f.groups() {
		e.added = true
		e.groups = new(evalue.Groups)
		e.over = make([]evalue.Overdispersion, len(f.looks()))
	}
	return e
}

// label is what a score needs to know of its request.
type label struct {
	candidate   bool
	share, root float64 // the candidate's, and the root of share*(1-share)
	group       int
	slot        uint16
	number      uint16 // of the share
}

// fixed returns a score of the request as it is added up.
func (l *label) fixed(y float64) evalue.Fixed {
	return evalue.FixedOf(l.candidate, l.share, l.root, y)
}

// shareFactors holds what an event adds to the moments under one share.
type shareFactors struct {
	times      float64
	cand, base evalue.Moments
}

// event takes an event of a request.
func (e *epoch) event(l *label, factors *shareFactors, keep int) {
	e.fresh = true
	m := mark{slot: l.slot, share: l.number, hit: hitBase}
	add := &factors.base
	if l.candidate {
		m.hit, add = hitCand, &factors.cand
	}
	e.note(m, keep)
	for i, x := range add {
		e.open[i] += x
	}
}

// score adds a score to the groups, which is the sum of n.
func (e *epoch) score(l *label, y evalue.Fixed, n int32) {
	e.fresh, e.added = true, true
	e.groups.Add(l.group, y)
	e.volume += float64(n) * l.root * l.root
}

// total returns what the groups add up to.
func (e *epoch) total() *evalue.GroupSums {
	if e.added {
		e.sums, e.added = e.groups.Sums(), false
	}
	return &e.sums
}

// count counts a request that is old enough.
func (e *epoch) count(l *label, events float64) {
	side := 0
	if l.candidate {
		side = 1
	}
	e.n[side]++
	e.events[side] += events
}

// closeBlock ends a block of the length that [Plan.Persist] says.
func (e *epoch) closeBlock() {
	for i := range e.open {
		e.every[i] += e.open[i]
		e.loud[i] = max(e.loud[i], e.open[i])
		e.open[i] = 0
	}
	e.loudest = max(e.loudest, e.read-e.began)
	e.began, e.fresh = e.read, true
}

// conclude computes ln E from what was added. Factor is how much more the sums vary
// than chance explains, of a feature that has no groups of its own.
func (e *epoch) conclude(f *feature, shares []Share, times, factor float64, persist bool) float64 {
	logE := 0.0
	var first, group float64
	if f.groups() {
		s := e.total()
		d := s.D - e.shift
		e.read = d
		v := (s.CC + 2*s.QQ) / 3
		factor = e.dispersion(f)
		if persist {
			d -= max(e.loudest, d-e.began, 0)
		}
		if s.Clusters >= evalue.MinClusters && v > 0 {
			if f.kind == ofStairs {
				group = evalue.AmountHarm(d, v*factor)
			} else {
				group = evalue.RateHarm(d, v*factor)
			}
		}
		logE = group
	}
	if f.firsts() {
		first = e.moments(shares, times).LogE()
		e.first = first
		if persist {
			var rest evalue.Moments
			for i := range rest {
				rest[i] = e.every[i] + e.open[i] - max(e.loud[i], e.open[i], 0)
			}
			first = min(first, rest.LogE())
		}
		first /= factor
		logE = first
	}
	if f.kind == ofEvents {
		logE = evalue.Average([]float64{first, group}, []float64{firstShare, 1 - firstShare})
	}
	e.logE, e.fresh = logE, false
	return logE
}

// dispersion returns how much more the sums over blocks vary than chance explains.
func (e *epoch) dispersion(f *feature) float64 {
	z := rateQuantile
	if f.kind == ofStairs {
		z = amountQuantile
	}
	factor := max(e.known, 1)
	for i := range e.over {
		factor = max(factor, e.over[i].Factor(z))
	}
	return factor
}

// closeLook ends a look: the excess that has come since the last one belongs to the
// blocks that are open.
func (e *epoch) closeLook(f *feature, before float64) {
	if !f.groups() {
		return
	}
	s := e.total()
	if s.QQ == 0 && s.CC == 0 {
		return // blocks before the first score would look like noise
	}
	e.read = s.D - e.shift
	for i, looks := range f.looks() {
		e.over[i].Close(e.read-before, e.volume-e.closed, (s.CC+2*s.QQ)/3, looks)
	}
	e.closed = e.volume
}

// weightOf returns the weight of epoch k from 0: they add up to 1.
func weightOf(k int) float64 {
	if k == 0 {
		return wholeWeight
	}
	return (1 - wholeWeight) / (float64(k) * float64(k+1))
}

// wholeWeight is the weight of the evidence since the rollout began.
const wholeWeight = .75

// proof is the state of a test for safety, of one stage.
type proof struct {
	groups *evalue.Groups
	n      [2]float64
	// allowed is by how much the margin allows the excess to exceed 0, and floor the
	// variance that scores at the margin have at least.
	allowed, floor float64
	// theta is how sharply a rate is bet on, as its past had it when the proof began.
	theta float64
	logE  float64
	fresh bool
}

// score adds the sum of n scores.
func (p *proof) score(l *label, y float64, n int32) {
	p.fresh = true
	p.groups.Add(l.group, l.fixed(y))
	side := 0
	if l.candidate {
		side = 1
	}
	p.n[side] += float64(n)
}

// allow widens the margin by what one more request brings: points of the baseline's
// rate. The scores of rates at the margin differ by arm, so their variance is known
// by that rate alone.
func (p *proof) allow(l *label, points, rate float64) {
	w := l.share * (1 - l.share)
	if p.theta == 0 {
		p.theta = points / (rate + 2*(1-l.share)*points/3)
	}
	p.allowed += w * points
	p.floor += w * ((1-l.share)*(rate+points) + l.share*rate)
}

// conclude computes ln E.
func (p *proof) conclude() float64 {
	if !p.fresh {
		return p.logE
	}
	p.fresh = false
	p.logE = 0
	s := p.groups.Sums()
	d, v := p.allowed-s.D, (s.CC+2*max(s.QQ, p.floor))/3
	switch {
	case v <= 0:
	case p.theta > 0:
		p.logE = evalue.RateProof(d, v, p.theta)
	case s.Clusters >= evalue.MinClusters:
		p.logE = evalue.GroupProof(d, v)
	}
	return p.logE
}
