package analysis

import (
	"math"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// Share is the candidate's share of the requests of a pair of arms under one
// generation of the split.
type Share struct {
	Generation uint64  `json:"generation"`
	Shadow     bool    `json:"shadow,omitempty"` // of requests that both arms serve
	Share      float64 `json:"share"`
}

// maxShares bounds how many shares a comparison distinguishes: what comes under
// further ones has no part in it.
const maxShares = 1 << 12

// tests is the state of all tests of a comparison.
type tests struct {
	candidate uint8 // from 1
	features  []feature
	epochs    [][numEpochs]epoch
	proofs    []proof
	// starts are the numbers of the epochs; the first is 0.
	starts [numEpochs]int
	stage  int     // the number of the stage
	since  float64 // requests of the candidate since the last epoch began
	shares []Share
	live   int // epochs that have begun
	cache  struct {
		generation uint64
		number     int
		known, hit bool
	}
	// factors are what an event adds under each share, without and with the
	// tolerance of a tail.
	factors [][2]shareFactors
	warm    int64 // requests from then on count in times
	warmed  bool
	held    bool  // the baseline is slower than it was: times prove nothing
	began   int64 // when the candidate's first request was assigned, 0 before
	seen    int   // requests of the candidate before it began to get warm
	look    int64 // when the open look began
	block   int64 // when the open block began
	open    int64 // for how long it had been open when the evidence was stored
	at      int64 // the last look
	before  [][numEpochs]float64
	// earlier are requests that were assigned before a restart.
	assigned, earlier [2]float64
	compared          [2]float64 // requests that take part, of the baseline and the candidate

	split     splitTest
	few       few
	ceilings  []ceiling
	answers   []answers
	strata    strata
	harm      strength
	perMetric []metricStrength
}

type metricStrength struct {
	harm, safe strength
	// counted is how many requests of each arm the harm rests on, and how many of them
	// are events: of the epoch with the strongest evidence.
	counted  [2]Counted
	ceiling  ceilingEvidence
	answered strength
}

// tailTolerance is how many times more often the candidate may be in the tail.
const tailTolerance = 1.2

func newTests(r *layout, candidate uint8) tests {
	t := tests{candidate: candidate, features: r.features, warm: math.MaxInt64}
	t.epochs = make([][numEpochs]epoch, len(t.features))
	t.before = make([][numEpochs]float64, len(t.features))
	t.grow(1)
	t.proofs, t.ceilings, t.answers = newProofs(r.proofs), newCeilings(r), newAnswers(r)
	t.perMetric = make([]metricStrength, len(r.meters))
	if r.plan.Warm.none() {
		t.warm, t.warmed = math.MinInt64, true
	}
	return t
}

// grow makes room for n epochs.
func (t *tests) grow(n int) {
	for ; t.live < n; t.live++ {
		for i := range t.features {
			t.epochs[i][t.live] = newEpoch(&t.features[i])
		}
	}
}

func newProofs(n int) []proof {
	list := make([]proof, n)
	for i := range list {
		list[i].groups = new(evalue.Groups)
	}
	return list
}

// times returns the tolerance of a feature's first events.
func (t *tests) times(f *feature, m *meter) float64 {
	if f.kind == ofTail {
		return tailTolerance
	}
	if f.kind == ofDowns {
		return t.downTimes(f.metric)
	}
	return factor(m.Tolerance)
}

// label finds out what a request is to the comparison, and whether it is of its pair.
func (t *tests) label(r *Recorder, c *Comparison, q *row, l *label) bool {
	*l = label{slot: q.slot, group: evalue.Group(q.slot), candidate: q.arm == t.candidate}
	if q.arm != 0 && q.arm != t.candidate {
		return false
	}
	number, ok := t.number(r, q)
	if !ok {
		return false
	}
	l.number, l.share = uint16(number), t.shares[number].Share
	l.root = math.Sqrt(l.share * (1 - l.share))
	return true
}

// number returns the number of the share under which a request was assigned.
func (t *tests) number(r *Recorder, q *row) (int, bool) {
	if q.shadow == t.candidate {
		return t.find(Share{Shadow: true, Share: .5})
	}
	if q.shadow != 0 && q.arm != 0 {
		return 0, false // a copy for another candidate
	}
	if c := &t.cache; !c.hit || c.generation != q.generation {
		c.hit, c.generation = true, q.generation
		share, known, sure := r.expected.share(q.generation, int(t.candidate))
		c.known = known && share > 0 && share < 1
		if c.known {
			c.number, c.known = t.find(Share{Generation: q.generation, Share: share})
		} else if known && sure && q.snap == nil && !q.alone && (share == 0) == (q.arm != 0) {
			t.split.impossible++
			t.split.stale = true
			c.hit = false
		}
	}
	return t.cache.number, t.cache.known
}

func (t *tests) find(s Share) (int, bool) {
	for i := len(t.shares) - 1; i >= 0; i-- {
		if t.shares[i] == s {
			return i, true
		}
	}
	if len(t.shares) == maxShares {
		return 0, false
	}
	t.add(s)
	return len(t.shares) - 1, true
}

func (t *tests) add(s Share) {
	t.shares = append(t.shares, s)
	var f [2]shareFactors
	for i, times := range [...]float64{1, tailTolerance} {
		f[i].times = times
		f[i].cand, f[i].base = evalue.MomentFactors(s.Share, times)
	}
	t.factors = append(t.factors, f)
}

// event takes an event of a request in a feature.
func (t *tests) event(i int, l *label, live bool) {
	f := &t.features[i]
	for k := range t.live {
		e := &t.epochs[i][k]
		keep := firstSlots
		if k > 0 {
			keep = laterSlots
		}
		if !live {
			if f.firsts() && len(e.marks) < keep {
				e.meet(l.slot)
			}
			continue
		}
		if f.firsts() {
			which := 0
			if f.kind == ofTail {
				which = 1
			}
			e.event(l, &t.factors[l.number][which], keep)
		}
		if f.kind == ofEvents {
			side := 0
			if l.candidate {
				side = 1
			}
			e.events[side]++
		}
	}
}

// mature counts a request that is old enough.
func (t *tests) mature(i int, l *label, mean float64, m *meter) {
	w := l.share * (1 - l.share)
	for k := range t.live {
		e := &t.epochs[i][k]
		e.count(l, 0)
		if m.Tolerance != (Margin{}) {
			e.shift += w * m.Tolerance.points(mean)
		}
	}
}

// old counts a request that is old enough in a feature without means.
func (t *tests) old(i int, l *label, hit bool) {
	events := 0.0
	if hit {
		events = 1
	}
	t.count(i, l, events)
}

func (t *tests) count(i int, l *label, events float64) {
	for k := range t.live {
		t.epochs[i][k].count(l, events)
	}
}

// score adds the sum of n scores of a request.
func (t *tests) score(i int, l *label, y float64, n int32) {
	fixed := l.fixed(y)
	for k := range t.live {
		t.epochs[i][k].score(l, fixed, n)
	}
	if t.features[i].kind == ofStairs {
		side := 0
		if l.candidate {
			side = 1
		}
		t.epochs[i][0].n[side] += float64(n)
	}
}

func (t *tests) tolerate(i int, l *label, points float64) {
	for k := range t.live {
		t.epochs[i][k].shift += l.share * (1 - l.share) * points
	}
}

// begin begins a new epoch of all tests in place of the older one.
func (t *tests) begin() {
	older := 1
	if t.starts[2] < t.starts[1] {
		older = 2
	}
	t.starts[older] = max(t.starts[1], t.starts[2]) + 1
	for i := range t.epochs {
		f := &t.features[i]
		// Trouble that comes and goes is known from before.
		known := 1.0
		if f.groups() {
			known = t.epochs[i][0].dispersion(f)
		}
		t.epochs[i][older] = newEpoch(f)
		t.epochs[i][older].known = known
		t.before[i][older] = 0
	}
	t.live = min(t.live+1, numEpochs)
}

// enter begins a stage: what was proven before was proven of another share.
func (t *tests) enter(number int) {
	if number <= t.stage {
		return
	}
	first := t.stage == 0
	t.enterCeilings()
	t.stage = number
	t.proofs = newProofs(len(t.proofs))
	if !first {
		t.begin()
	}
}

// start prepares a look that ends at an instant.
func (t *tests) start(r *Recorder, at int64) {
	t.cache.hit = false
	t.assigned = [2]float64{t.earlier[0] + float64(r.arms[0].begun()), t.earlier[1] + float64(r.arms[t.candidate].begun())}
	if t.look == 0 {
		t.look = at - int64(lookLength)
		t.block = t.look - t.open
	}
	if !t.warmed {
		t.warmUp(r, at)
	}
}

// warmUp decides whether the candidate is warm by now.
func (t *tests) warmUp(r *Recorder, at int64) {
	n := r.arms[t.candidate].begun() - t.seen
	if n <= 0 {
		return
	}
	if t.began == 0 {
		t.began = at
		if r.looked != 0 {
			t.began = r.looked
		}
	}
	w := r.plan.Warm.withDefaults()
	since := time.Duration(at - t.began)
	if n >= w.Requests && since >= w.For || since >= maxWarm {
		t.warm, t.warmed = at, true
	}
}

// close ends a look: blocks end, and every test is concluded.
func (t *tests) close(r *Recorder, at int64) {
	if time.Duration(at-t.look) >= lookLength {
		t.look = at
		for i := range t.features {
			for k := range t.live {
				e := &t.epochs[i][k]
				e.closeLook(&t.features[i], t.before[i][k])
				t.before[i][k] = e.read
			}
		}
	}
	persist := r.plan.persist()
	if persist > 0 && time.Duration(at-t.block) >= persist {
		t.block = at
		t.strata.all((*stratum).closeBlock)
		for i := range t.features {
			for k := range t.live {
				e := &t.epochs[i][k]
				if e.groups != nil {
					e.read = e.total().D - e.shift
				}
				e.closeBlock()
			}
		}
	}
	t.at = at
	n := t.assigned[1]
	if n-t.since >= epochLength {
		t.begin()
		t.since = n
	}
	t.conclude(&r.layout)
	t.concludeStrata(&r.layout)
}

// conclude computes the strength of all evidence.
func (t *tests) conclude(r *layout) {
	persist := r.plan.persist() > 0
	harm := math.Inf(-1)
	best := make([]float64, len(r.meters))
	for i := range best {
		best[i] = math.Inf(-1)
	}
	logE, weights := make([]float64, len(r.meters)), make([]float64, len(r.meters))
	var parts, shares []float64
	// Where parts of the traffic are compared apart, they have half of the risk.
	whole := 0.0
	if t.strata.divided {
		whole = math.Log(.5)
	}
	for k := range t.live {
		prior := whole + math.Log(weightOf(t.starts[k]))
		for i := 0; i < len(t.features); {
			metric := t.features[i].metric
			m := &r.meters[metric]
			parts, shares = parts[:0], shares[:0]
			factor := 1.0
			for ; i < len(t.features) && t.features[i].metric == metric; i++ {
				f, e := &t.features[i], &t.epochs[i][k]
				if f.kind == ofStairs || f.kind == ofScores {
					factor = e.dispersion(f)
				}
				if e.fresh {
					e.conclude(f, t.shares, t.times(f, m), factor, persist)
				}
				part := e.logE
				n := t.epochs[i][0].n
				if f.kind == ofDowns {
					n = t.epochs[r.first[metric]][0].n
				}
				if (f.kind == ofStairs || f.kind == ofScores || f.kind == ofDowns) && min(n[0], n[1]) == 0 {
					part = 0 // values of one arm alone are no comparison
				}
				parts, shares = append(parts, part), append(shares, f.weight)
			}
			logE[metric] = evalue.Average(parts, shares)
			weights[metric] = m.Weight
			if !m.Role.RollsBack() || !t.measured(metric, r) {
				weights[metric] = 0
			}
			if x := prior + logE[metric]; x > best[metric] {
				best[metric] = x
				if x > t.perMetric[metric].harm.Peak || k == 0 && t.perMetric[metric].harm.Peak < 0 {
					e := &t.epochs[r.first[metric]][k]
					for side := range e.n {
						t.perMetric[metric].counted[side] = Counted{N: int(max(e.n[side], e.events[side])), Events: int(e.events[side])}
					}
				}
			}
		}
		harm = max(harm, prior+evalue.Average(logE, weights))
	}
	t.harm.set(max(harm, -700))
	t.split.conclude(t.shares)
	t.concludeCeilings()
	t.concludeAnswers()
	for i := range t.perMetric {
		s := &t.perMetric[i]
		s.harm.set(max(best[i], -700))
		safe := 0.0
		if at := r.proof[i]; at >= 0 {
			safe = math.Inf(1)
			for k := at; k < at+r.proofCount(i); k++ {
				safe = min(safe, t.proofs[k].conclude())
			}
		}
		s.safe = strength{LogE: safe, Peak: safe}
	}
}

// measured reports whether a metric was measured on both arms: until a hundred
// requests of each have shown the contrary, it is taken to be.
func (t *tests) measured(metric int, r *layout) bool {
	if r.meters[metric].Kind == Rate && r.meters[metric].source != fromThumb {
		return true
	}
	n := t.epochs[r.first[metric]][0].n
	if min(n[0], n[1]) > 0 {
		return true
	}
	return min(t.assigned[0], t.assigned[1]) < 100
}
