package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/hist"
)

// The past of the baseline says at which ages requests are looked at, and the past
// of all arms what to expect of them. Nothing in it depends on which arm a request
// was assigned to that is still to be judged, so the tests are valid however wrong
// it is.

// steps are the quantiles of the baseline's past that make the stairs of an amount,
// and its tail.
var steps = []float64{.1, .25, .5, .75, .9, .95, .99, .999}

const (
	numSteps  = 8
	numStairs = 6 // the first of the steps, up to .95
	numTails  = 3 // the last of them, from .95
	firstTail = numStairs - 1
)

// stair is the weight of each step: the gaps between neighbours.
var stair = [numStairs]float64{.1, .15, .25, .25, .15, .05}

const (
	pastValues  = 10 // values of the baseline before an amount has stairs
	tailValues  = 200
	delayEvents = 20               // events of the baseline before they are waited for
	maxDelay    = 30 * time.Second // the longest that an event is waited for
	minSilence  = time.Second
	maxSilence  = 60 * time.Second
	minStall    = 2 * time.Second
	stallTimes  = 4
	forever     = time.Hour // the longest that a request is followed
)

// moment is what is due at a deadline.
type moment uint8

const (
	mature     moment = iota // a rate: the mean is due, and the event if it has come
	silent                   // nothing has come of a stream
	provable                 // a rate is old enough for a proof
	lateHarm                 // a step of an amount that can be seen in flight
	lateProof                // the same for a proof
	tailHarm                 // the tail of one
	tailProof                // the same for a proof
	valueHarm                // all steps of an amount that is known at the end alone
	valueProof               // the same for a proof
)

// deadline is an age at which something of a request is due.
type deadline struct {
	age    int64 // in nanoseconds
	what   moment
	metric uint8
	step   uint8
	// beyond is the longest time of the baseline, and of a candidate, that is not late.
	beyond [2]int64
}

// The deadlines of a request: those that are alike for all, and those that depend on
// the prompt.
const (
	plain = iota
	ofTTFT
	ofLatency
	numLists
)

// snapshot is the past as it was when a request was assigned.
type snapshot struct {
	lists  [numLists][]deadline // by age
	levels [][]float64          // the steps of each metric, and of the longest gaps
	models [numScaled]promptModel
	// A request that has ended has no more to come once its deadlines before needed have
	// passed, at the age life: what has ended is not silent.
	needed [numLists]uint16
	life   int64
}

// past is what is known of the requests that were judged.
type past struct {
	// alone says that the baseline alone shows what to expect: one candidate of several
	// that is worse must not hide what another one is like.
	alone   bool
	rates   []ratePast   // by metric
	amounts []amountPast // by metric
	snap    *snapshot
	taken   uint64 // how many requests of the baseline the snapshot knows
	prompts [numScaled]promptPast
	ends    hist.Histogram
	ttfts   hist.Histogram
	stalls  hist.Histogram
}

func newPast(l *layout) *past {
	return &past{rates: make([]ratePast, len(l.meters)), amounts: make([]amountPast, len(l.meters))}
}

// ratePast is the past of a rate.
type ratePast struct {
	n, events         float64 // of all arms
	baseN, baseEvents float64
	ages              [64]float32 // of the baseline's last events, in seconds
	seen              int
}

// mean returns the rate to be expected.
func (p *ratePast) mean() float64 { return (p.events + .5) / (p.n + 50) }

// counts reports whether a request of an arm shows what to expect of others.
func (p *past) counts(arm uint8) bool { return arm == 0 || !p.alone }

// base returns the baseline's rate, false while too little is known of it.
func (p *ratePast) base() (float64, bool) {
	return p.baseEvents / max(p.baseN, 1), p.baseN >= 250
}

func (p *ratePast) saw(age time.Duration) {
	p.ages[p.seen%len(p.ages)] = float32(age.Seconds())
	p.seen++
}

// delay returns how long events are waited for.
func (p *ratePast) delay() time.Duration {
	if p.seen < delayEvents {
		return 0
	}
	ages := slices.Clone(p.ages[:min(p.seen, len(p.ages))])
	slices.Sort(ages)
	return min(time.Duration(float64(ages[len(ages)*9/10])*1e9), maxDelay)
}

// amountPast is the past of an amount: how many were late at each step.
type amountPast struct {
	n, late, proofN, proofLate [numSteps]float64
	tailN, tail                [numSteps]float64  // of those beyond a step, for a proof
	down, downN                [numStairs]float64 // of the mirrored stairs
}

// list returns all counts, and take takes them back.
func (p *amountPast) list() (list []float64) {
	for _, part := range p.parts() {
		list = append(list, part...)
	}
	return list
}

func (p *amountPast) take(list []float64) {
	for _, part := range p.parts() {
		list = list[copy(part, list):]
	}
}

func (p *amountPast) parts() [][]float64 {
	return [][]float64{p.n[:], p.late[:], p.proofN[:], p.proofLate[:], p.tailN[:], p.tail[:], p.down[:], p.downN[:]}
}

// hists returns the distributions of the baseline that no metric need have.
func (p *past) hists() []*hist.Histogram { return []*hist.Histogram{&p.ends, &p.ttfts, &p.stalls} }

// lateShare returns the share late at step k to be expected.
func lateShare(late, n float64, k int) float64 {
	return (late + 50*(1-steps[k])) / (n + 50)
}

// levels returns the steps of metric m in the baseline's past, of values as rank sees
// them; nil while too little is known.
func (r *Recorder) levels(i int) []float64 {
	h := r.distribution(i)
	if h == nil || h.Count() < pastValues {
		return nil
	}
	return levelsOf(h, r.meters[i].Better == Higher)
}

// distribution returns the baseline's values of metric i, as of the usual prompt if it is
// known what the prompt explains; nil if it has none.
func (r *Recorder) distribution(i int) *hist.Histogram {
	if k, ok := r.meters[i].scaled(); ok && r.past.prompts[k].normal != nil {
		return r.past.prompts[k].normal
	}
	if s := r.arms[0].tallies[i].series; s != nil {
		return &s.hist
	}
	return nil
}

func levelsOf(h *hist.Histogram, higher bool) []float64 {
	q := make([]float64, len(steps))
	if !higher {
		h.Quantiles(q, steps)
		return q
	}
	for k, s := range steps {
		q[k] = -h.Quantile(1 - s)
	}
	return q
}

// rank returns a value of m as it is compared: larger is worse, and all values of an
// amount where higher is better are below 0. NaN stands for no value.
func (m *meter) rank(v float64) float32 {
	switch {
	case v < 0: // no value
		return float32(math.NaN())
	case m.Better == Higher:
		return -float32(min(v, math.MaxFloat32))
	}
	return float32(min(v, math.MaxFloat32))
}

// beyond reports whether v is beyond a level that is wider by a factor. What differs by no more than rounding is equal: values are kept in 32 bits.
func beyond(v, level, factor float64) bool {
	limit := widen(level, factor)
	return v-limit > tie*math.Abs(limit)
}

// widen returns a level that is worse by a factor.
func widen(level, factor float64) float64 {
	if level < 0 {
		return level / factor
	}
	return level * factor
}

// tie is how close two values are that mean the same.
const tie = 1e-6

// refresh takes a new snapshot if the baseline has been seen enough for it to differ.
// The baseline is locked.
func (r *Recorder) refresh() {
	p := r.past
	n := uint64(r.arms[0].requests())
	if p.snap != nil && n-p.taken <= p.taken/32 {
		return
	}
	p.taken = n
	for k := range p.prompts {
		if !p.prompts[k].refit() {
			continue
		}
		// What was late so far was it against other steps.
		for i := range r.meters {
			if j, ok := r.meters[i].scaled(); ok && int(j) == k {
				p.amounts[i] = amountPast{}
			}
		}
	}
	p.snap = r.snapshot()
}

func (r *Recorder) snapshot() *snapshot {
	p := r.past
	s := &snapshot{levels: make([][]float64, len(r.meters)+1)}
	for k := range s.models {
		s.models[k] = p.prompts[k].model
	}
	add := func(list int, age float64, d deadline) {
		if age >= 0 && age < forever.Seconds() {
			d.age = int64(math.Ceil(age * 1e9))
			s.lists[list] = append(s.lists[list], d)
		}
	}
	silence := maxSilence.Seconds()
	// A rate is proven at an age at which it is known of nearly all that they are not
	// silent, or have ended.
	awaited := maxDelay.Seconds()
	wait := func(h *hist.Histogram) float64 {
		return min(max(minSilence.Seconds(), 2*h.Quantile(.999)), maxSilence.Seconds())
	}
	if p.ttfts.Count() >= pastValues {
		silence = wait(&p.ttfts)
		awaited = min(silence, awaited)
	} else if p.ends.Count() >= tailValues {
		awaited = min(wait(&p.ends), awaited)
	}
	if p.stalls.Count() >= pastValues {
		r.stall.Store(int64(1e9 * max(minStall.Seconds(), stallTimes*p.stalls.Quantile(.999))))
	}
	// When amounts that are known at the end are looked at, for harm and for a proof.
	end, endProof := -1.0, -1.0
	if p.ends.Count() >= pastValues {
		ends := levelsOf(&p.ends, false)
		end, endProof = ends[4], r.endMargin*ends[6]
	}
	values := func(i int) { // of those that are known at the end
		add(plain, end, deadline{what: valueHarm, metric: uint8(i)})
		if r.proof[i] >= 0 {
			add(plain, endProof, deadline{what: valueProof, metric: uint8(i)})
		}
	}
	for i := range r.meters {
		m := &r.meters[i]
		switch {
		case m.Kind == Rate && !m.graded():
			delay := p.rates[i].delay().Seconds()
			add(plain, delay, deadline{what: mature, metric: uint8(i)})
			if m.Role.MustBeProven() {
				add(plain, max(delay, awaited), deadline{what: provable, metric: uint8(i)})
			}
		case m.Kind == Amount:
			q := r.levels(i)
			if q == nil {
				continue
			}
			s.levels[i] = q
			list := ofLatency
			if m.source == fromTTFT {
				list = ofTTFT
			}
			if m.source != fromLatency {
				values(i) // of TTFT, of those whose silence cannot be seen
			}
			if m.source != fromLatency && m.source != fromTTFT {
				continue
			}
			step := func(what moment, k int, level, factor float64, beyond func(float64) int64) {
				add(list, factor*level, deadline{what: what, metric: uint8(i), step: uint8(k), beyond: [2]int64{beyond(level), beyond(factor * level)}})
			}
			late := func(level float64) int64 { return int64(level * (1 + tie) * 1e9) }
			// Values that are all alike lie on the step itself, or within a bucket of it;
			// they are late then, on the baseline, and a candidate with the same ones is
			// earlier than the margin allows.
			reached := func(level float64) int64 { return int64(math.Ceil(level*(1-grain)*1e9)) - 1 }
			tau, margin := m.Tolerance.Factor, m.Margin.Factor
			for k := range numStairs {
				step(lateHarm, k, q[k], tau, late)
				step(lateProof, k, q[k], margin, reached)
			}
			if r.distribution(i).Count() < tailValues {
				continue
			}
			for k := firstTail; k < firstTail+numTails; k++ {
				step(tailHarm, k, q[k], tau, late)
				step(tailProof, k, q[k], 1, late)
			}
		}
	}
	if i := r.unanswered; i >= 0 {
		add(plain, silence, deadline{what: silent, metric: uint8(i)})
	}
	if p.stalls.Count() >= tailValues {
		s.levels[len(r.meters)] = levelsOf(&p.stalls, false)
	}
	for l, list := range s.lists {
		slices.SortStableFunc(list, func(x, y deadline) int { return cmp.Compare(x.age, y.age) })
		for i, d := range list {
			if d.what != silent {
				s.needed[l], s.life = uint16(i+1), max(s.life, d.age)
			}
		}
	}
	return s
}

// restore takes over what an earlier process knew. The recorder is settled.
func (p *past) restore(o *past) {
	p.rates, p.amounts, p.prompts = o.rates, o.amounts, o.prompts
	for i, h := range p.hists() {
		h.Merge(o.hists()[i])
	}
	p.snap = nil
}
