package analysis

import (
	"math"
	"math/bits"
	"time"
)

// settle brings all evidence up to date: whatever has been assigned is held against
// the deadlines that have passed by now. Looks of all comparisons share it.
func (r *Recorder) settle(now time.Time) {
	r.settling.Lock()
	defer r.settling.Unlock()
	raw := now.UnixNano()
	since := int64(math.MaxInt64)
	if r.lookedRaw != 0 {
		since = max(raw-r.lookedRaw, 0) // a clock that goes back gives no time back
		r.looked += since
	} else {
		r.looked = 1
	}
	r.lookedRaw = raw
	at := r.looked
	base := r.arms[0]
	base.lock()
	if r.past.snap == nil {
		r.refresh()
	}
	base.mu.Unlock()
	for _, c := range r.comparisons {
		c.tests.start(r, at)
	}
	r.flights.lost.Add(r.flights.feed.close(raw, r.flights.left.Load()))
	s := r.scorer()
	s.now, s.raw, s.since = at, raw, since
	for i := range r.flights.shards {
		s.shard(&r.flights.shards[i])
	}
	s.shard(&r.flights.feed.shard)
	s.graded()
	for k := range s.values {
		r.values.tables[k].settle(&s.values[k])
	}
	r.adapt(since)
	for _, c := range r.comparisons {
		c.tests.close(r, at)
	}
	base.lock()
	r.refresh()
	base.mu.Unlock()
}

// adapt decides how many requests are followed until the next look. Since is the time
// since the last one.
func (r *Recorder) adapt(since int64) {
	if since == 0 {
		return // another comparison has looked in this moment
	}
	begun := 0
	for _, a := range r.arms {
		begun += a.begun()
	}
	arrived := float64(begun-r.flights.begun) / (float64(since) / 1e9)
	r.flights.begun = begun
	r.flights.adapt(arrived, float64(r.past.snap.life)/1e9)
}

// scorer holds requests against their deadlines.
type scorer struct {
	r      *Recorder
	now    int64                        // on the recorder's clock
	raw    int64                        // as the clock of the look has it
	since  int64                        // the time since the last look
	labels []label                      // by comparison
	live   []bool                       // whether the request belongs to its pair
	values [numStrata][numValues]uint32 // how often each was assigned
	// What the request has scored in this look, by feature and by proof, and how many
	// scores that are.
	harm, safe []score
}

type score struct {
	sum     float64
	n       int32
	touched bool
}

// scorer returns a scorer for a look. The recorder is being settled.
func (r *Recorder) scorer() *scorer {
	s := r.spare
	if s == nil {
		s = &scorer{r: r, harm: make([]score, len(r.features)), safe: make([]score, r.proofs)}
		r.spare = s
	}
	for len(s.labels) < len(r.comparisons) {
		s.labels, s.live = append(s.labels, label{}), append(s.live, false)
	}
	clear(s.values[:])
	return s
}

// scores adds a score of a feature.
func (s *scorer) scores(feature int, y float64) {
	x := &s.harm[feature]
	x.sum, x.n, x.touched = x.sum+y, x.n+1, true
}

// proves adds a score of a proof.
func (s *scorer) proves(at int, y float64) {
	x := &s.safe[at]
	x.sum, x.n, x.touched = x.sum+y, x.n+1, true
}

// flush adds what the request has scored to the evidence.
func (s *scorer) flush(r *row) {
	for j, c := range s.r.comparisons {
		if !s.live[j] {
			continue
		}
		l, warm := &s.labels[j], s.warm(j, r)
		for i := range s.harm {
			if x := &s.harm[i]; x.touched && (warm || s.r.features[i].kind != ofStairs) {
				c.tests.score(i, l, x.sum, x.n)
			}
		}
		for i := range s.safe {
			// Times prove nothing while the baseline is slower than it was: to be no slower
			// proves little then and costs much.
			if x := &s.safe[i]; x.touched && (!s.r.timed[i] || warm && !c.tests.held) {
				c.tests.proofs[i].score(l, x.sum, x.n)
			}
		}
	}
	clear(s.harm)
	clear(s.safe)
}

func (s *scorer) shard(sh *shard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := &s.r.flights
	full := sh.free < 0
	width := t.layout.width
	left := sh.used
	for i := 0; left > 0; i++ {
		r := &sh.rows[i]
		if !r.used {
			continue
		}
		left--
		if s.row(r, sh.values[i*width:][:width]) || full && !r.ended && r.passed(&r.snap.lists) {
			if r.loose { // it is in a chain of the feed
				t.feed.unlink(int32(i))
			}
			sh.release(int32(i))
		}
	}
}

// row holds one request against the deadlines that have passed. It reports whether
// there is no more to come.
func (s *scorer) row(r *row, values []float32) (done bool) {
	labelled := false
	if r.snap == nil {
		s.meet(r)
		labelled = true
	} else if !r.sorted && r.strata != ([numStrata]uint8{}) { // they were not known before
		s.label(r)
		labelled = true
		s.sort(r)
	}
	if r.ended && !r.learnt {
		s.learn(r, values)
	}
	age := s.now - r.start
	scored := false
	for l := range r.snap.lists {
		list, n := r.snap.lists[l], int(r.next[l])
		if n == len(list) {
			continue
		}
		f := flown{age: age, end: r.end, first: r.first}
		if l != plain {
			f.scale(float64(r.scale[l-ofTTFT]))
		}
		if !list[n].passed(r, &f) {
			continue
		}
		if !labelled {
			s.label(r)
			labelled = true
		}
		scored = true
		for ; n < len(list) && list[n].passed(r, &f); n++ {
			s.due(r, &list[n], &f, values)
		}
		r.next[l] = uint16(n)
	}
	if bits := r.events & r.matured &^ r.counted; r.ended && bits != 0 {
		if !labelled {
			s.label(r)
		}
		scored = true
		s.events(r, bits)
	}
	if scored {
		s.flush(r)
	}
	return r.ended && r.over() || age > int64(forever)
}

// passed reports whether what is due at a deadline is due of a request. Of one that was
// only recorded no silence is awaited: it has ended.
func (d *deadline) passed(r *row, f *flown) bool {
	return d.age <= f.age || d.what == provable && r.alone
}

// flown is how long a request has been under way, and how long it took, as of the usual
// prompt.
type flown struct{ age, end, first int64 }

func (f *flown) scale(factor float64) {
	if factor != 1 {
		factor = 1 / factor
		f.age, f.end, f.first = int64(float64(f.age)*factor), int64(float64(f.end)*factor), int64(float64(f.first)*factor)
	}
}

// over reports whether nothing more is due of a request that has ended.
func (r *row) over() bool {
	for l, n := range r.next {
		if n < r.snap.needed[l] {
			return false
		}
	}
	return true
}

// passed reports whether all deadlines have passed.
func (r *row) passed(lists *[numLists][]deadline) bool {
	for l, n := range r.next {
		if int(n) < len(lists[l]) {
			return false
		}
	}
	return true
}

// meet takes in a request that is new.
func (s *scorer) meet(r *row) {
	s.label(r)
	for i, c := range s.r.comparisons {
		if !s.live[i] {
			continue
		}
		if s.labels[i].candidate {
			c.tests.compared[1]++
		} else {
			c.tests.compared[0]++
		}
		if r.shadow == 0 && !r.alone {
			c.tests.split.note(r.slot, r.unit, int(s.labels[i].number), s.labels[i].candidate)
		}
	}
	r.snap = s.r.past.snap
	r.start = s.now - s.age(r)
	for k := range r.scale {
		r.scale[k] = float32(r.snap.models[k].factor(r.prompt))
	}
	if r.strata != ([numStrata]uint8{}) {
		s.sort(r)
	}
}

// learn takes in what has become of the prompt of a request.
func (s *scorer) learn(r *row, values []float32) {
	r.learnt = true
	if !timed.has(r.class) {
		return
	}
	if r.loose { // its prompt was not known before
		for k := range r.scale {
			r.scale[k] = float32(r.snap.models[k].factor(r.prompt))
		}
	}
	p, base := s.r.past, r.arm == 0
	n := p.prompts[scaledLatency].ridge.N
	pooled := p.counts(r.arm) && r.prompt.tokens > 0 && (n < promptEnough || r.nonce%promptFew == 0)
	if !pooled && !base {
		return
	}
	q := promptTerms{prompt: r.prompt}
	if pooled {
		q.terms, q.pooled = r.prompt.terms(), true
	}
	p.prompts[scaledLatency].learn(&q, float64(r.end)/1e9, base)
	p.prompts[scaledTTFT].learn(&q, float64(r.first)/1e9, base)
	if i := s.r.costs; i >= 0 {
		p.prompts[scaledCost].learn(&q, float64(values[s.r.column[i]]), base)
	}
}

// age returns how old a request is that is met for the first time. Whatever clocks
// say, it was assigned, or has ended if it was only recorded, after the last look.
func (s *scorer) age(r *row) int64 {
	switch {
	case r.loose:
		return 0
	case r.alone:
		return min(max(s.raw-r.raw-r.end, 0), s.since) + r.end
	}
	return min(max(s.raw-r.raw, 0), s.since)
}

// label finds out what the request is to each comparison.
func (s *scorer) label(r *row) {
	for i, c := range s.r.comparisons {
		s.live[i] = c.tests.label(s.r, c, r, &s.labels[i])
	}
}

// events counts events of rates whose time has come.
func (s *scorer) events(r *row, events uint64) {
	r.counted |= events
	for ; events != 0; events &= events - 1 {
		i := bits.TrailingZeros64(events)
		p := &s.r.past.rates[i]
		if s.r.past.counts(r.arm) {
			p.events++
		}
		if r.arm == 0 {
			p.baseEvents++
			p.saw(time.Duration(r.end))
		}
		x := &s.harm[s.r.first[i]]
		x.sum, x.touched = x.sum+1, true
		for k, c := range s.r.comparisons {
			c.tests.event(s.r.first[i], &s.labels[k], s.live[k])
			if s.live[k] && i == s.r.failing {
				c.tests.few.fail(r.slot)
			}
			if part := s.r.parts[i]; part >= 0 && part < numRates {
				c.tests.partEvent(r, part, &s.labels[k], s.live[k])
			}
		}
	}
}
