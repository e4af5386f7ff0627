package analysis

import (
	"math"
	"time"

	"github.com/serin-go/serin/internal/hist"
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
	s := &scorer{r: r, now: at, raw: raw, since: since, labels: make([]label, len(r.comparisons)), live: make([]bool, len(r.comparisons))}
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
}

func (s *scorer) shard(sh *shard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.used == 0 {
		return
	}
	t := &s.r.flights
	full := sh.free < 0
	width := t.layout.width
	for i := range sh.rows {
		r := &sh.rows[i]
		if !r.used {
			continue
		}
		if s.row(r, sh.values[i*width:][:width]) || full && !r.ended && r.snap != nil && s.now-r.start > r.snap.last {
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
	past := s.r.past
	if r.snap == nil {
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
		r.snap = past.snap
		r.start = s.now - s.age(r)
		if r.strata != ([numStrata]uint8{}) {
			s.sort(r)
		}
	} else if !r.sorted && r.strata != ([numStrata]uint8{}) { // they were not known before
		s.label(r)
		s.sort(r)
	}
	age := s.now - r.start
	due := r.next < uint16(len(r.snap.deadlines)) && r.snap.deadlines[r.next].age <= age
	late := r.ended && r.events&r.matured&^r.counted != 0
	if due || late {
		s.label(r)
	}
	for r.next < uint16(len(r.snap.deadlines)) && r.snap.deadlines[r.next].age <= age {
		s.due(r, &r.snap.deadlines[r.next], values)
		r.next++
	}
	if r.ended {
		s.events(r, r.events&r.matured&^r.counted)
	}
	return r.ended && r.next >= r.snap.needed || age > int64(forever)
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
func (s *scorer) events(r *row, bits uint64) {
	for i := 0; bits != 0; i, bits = i+1, bits>>1 {
		if bits&1 == 0 {
			continue
		}
		r.counted |= 1 << i
		p := &s.r.past.rates[i]
		if s.r.past.counts(r.arm) {
			p.events++
		}
		if r.arm == 0 {
			p.baseEvents++
			p.saw(time.Duration(r.end))
		}
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

// due does what is due at a deadline.
func (s *scorer) due(r *row, d *deadline, values []float32) {
	i := int(d.metric)
	m := &s.r.meters[i]
	p := s.r.past
	switch d.what {
	case mature:
		if !m.assigned(r) {
			return
		}
		r.matured |= 1 << i
		mean := p.rates[i].mean()
		if p.counts(r.arm) {
			p.rates[i].n++
		}
		if r.arm == 0 {
			p.rates[i].baseN++
		}
		for k, c := range s.r.comparisons {
			if s.live[k] {
				c.tests.mature(s.r.first[i], &s.labels[k], mean, m)
				if i == s.r.failing {
					c.tests.few.count(r.slot, r.unit, s.labels[k].candidate)
				}
			}
		}
		// What came before is counted now; what is still to come, when it comes.
		if r.ended && r.end <= d.age {
			s.events(r, r.events&(1<<i)&^r.counted)
		}
	case silent:
		if r.stream && r.first == 0 && (!r.ended || r.end > d.age) {
			r.events |= 1 << i
			s.events(r, r.events&(1<<i)&r.matured&^r.counted)
		}
	case provable:
		base, known := p.rates[i].base()
		if !known || !m.assigned(r) {
			return
		}
		y := -p.rates[i].mean()
		if r.events&(1<<i) != 0 && (r.counted&(1<<i) != 0 || r.ended && r.end <= d.age) {
			y++
		}
		points := m.Margin.points(base)
		for k, c := range s.r.comparisons {
			if s.live[k] {
				pr := &c.tests.proofs[s.r.proof[i]]
				pr.score(&s.labels[k], y)
				pr.allow(&s.labels[k], points, base)
			}
		}
	case lateHarm, lateProof, tailHarm, tailProof:
		s.step(r, d, m)
	case valueHarm, valueProof:
		if m.source == fromTTFT && r.stream {
			return
		}
		k := s.r.column[i]
		if !r.ended || r.end > d.age || math.IsNaN(float64(values[k])) {
			return
		}
		if d.what == valueProof {
			s.proveValue(r, i, m, float64(values[k]))
			return
		}
		s.value(r, i, m, float64(values[k]), values)
	}
}

// left reports whether the request has ended by an age without a time that says
// anything about its arm: it failed, or its caller left it.
func (r *row) left(age int64) bool {
	return r.ended && r.end <= age && !timed.has(r.class)
}

// timed are the classes whose time counts.
const timed = classes(1<<OK | 1<<Refused | 1<<Invalid | 1<<Unread)

// step holds a request that can be seen in flight against one step of an amount.
func (s *scorer) step(r *row, d *deadline, m *meter) {
	if r.left(d.age) {
		return
	}
	i, k := int(d.metric), int(d.step)
	took := r.end
	running := !r.ended || r.end > d.age
	if m.source == fromTTFT {
		if !r.stream {
			return
		}
		if r.first == 0 && !running {
			return
		}
		took, running = r.first, r.first == 0 || r.first > d.age
	}
	level := r.snap.levels[i][k]
	late := func(factor float64) bool {
		return running || beyond(float64(took)/1e9, level, factor)
	}
	reached := func(factor float64) bool {
		return running || float64(took)/1e9 >= factor*level*(1-grain)
	}
	switch d.what {
	case lateHarm:
		s.lateness(r, i, k, m.Tolerance.Factor, late)
	case lateProof:
		s.proveLateness(r, i, k, m.Margin.Factor, reached)
	case tailHarm:
		s.tail(r, s.r.first[i], k, m.Tolerance.Factor, late)
	case tailProof:
		s.proveTail(r, i, k, late)
	}
}

// warm reports whether the times of a request count in a comparison.
func (s *scorer) warm(k int, r *row) bool {
	return s.live[k] && r.start >= s.r.comparisons[k].tests.warm
}

// proves reports whether the times of a request count in a proof: not while the baseline
// is slower than it was, when to be no slower than it proves little and costs much.
func (s *scorer) proves(k int, r *row) bool {
	return s.warm(k, r) && !s.r.comparisons[k].tests.held
}

// one returns what a request counts in the past.
func (s *scorer) one(r *row) float64 {
	if s.r.past.counts(r.arm) {
		return 1
	}
	return 0
}

// factor returns by how much the levels are wider for a request: not at all for one of
// the baseline.
func (s *scorer) factor(r *row, factor float64) float64 {
	if r.arm == 0 {
		return 1
	}
	return factor
}

// lateness adds one step of the stairs to the evidence for harm.
func (s *scorer) lateness(r *row, i, k int, tau float64, late func(float64) bool) {
	p, one := &s.r.past.amounts[i], s.one(r)
	mean := lateShare(p.late[k], p.n[k], k)
	y := -mean
	p.n[k] += one
	hit := late(s.factor(r, tau))
	if hit {
		y++
		p.late[k] += one
	}
	for j, c := range s.r.comparisons {
		if s.warm(j, r) {
			c.tests.score(s.r.first[i], &s.labels[j], stair[k]*y)
			if s.r.parts[i] == partTTFT {
				c.tests.partTime(r, &s.labels[j], k, mean, hit)
			}
		}
	}
}

// proveLateness adds one step to the evidence for safety. Values that are all alike lie
// on the step itself, or within a bucket of it; they are late then, on the baseline, and
// a candidate with the same ones is earlier than the margin allows.
func (s *scorer) proveLateness(r *row, i, k int, margin float64, reached func(float64) bool) {
	p, one := &s.r.past.amounts[i], s.one(r)
	y := -lateShare(p.proofLate[k], p.proofN[k], k)
	p.proofN[k] += one
	if reached(s.factor(r, margin)) {
		y++
		p.proofLate[k] += one
	}
	if s.r.proof[i] < 0 {
		return
	}
	for j, c := range s.r.comparisons {
		if s.proves(j, r) {
			c.tests.proofs[s.r.proof[i]].score(&s.labels[j], stair[k]*y)
		}
	}
}

// tail adds a request beyond a level to the evidence for harm.
func (s *scorer) tail(r *row, first, k int, tau float64, late func(float64) bool) {
	hit := late(s.factor(r, tau))
	for j, c := range s.r.comparisons {
		if !s.warm(j, r) && (s.live[j] || !hit) {
			continue
		}
		if hit {
			c.tests.event(first+1+k-firstTail, &s.labels[j], s.live[j])
		}
		if s.live[j] {
			c.tests.old(first+1+k-firstTail, &s.labels[j], hit)
		}
	}
}

// tailPoints is how many more of the candidate's requests may be beyond each level
// of the tail.
var tailPoints = [numTails]float64{.05, .015, .006}

// proveTail adds a request to the evidence that the tail is no heavier than allowed.
func (s *scorer) proveTail(r *row, i, k int, late func(float64) bool) {
	at := s.r.proof[i]
	if at < 0 {
		return
	}
	share := 1 - steps[k]
	p, one := &s.r.past.amounts[i], s.one(r)
	y := -lateShare(p.tail[k], p.tailN[k], k)
	p.tailN[k] += one
	if late(1) {
		y++
		p.tail[k] += one
	}
	for j, c := range s.r.comparisons {
		if s.proves(j, r) {
			pr := &c.tests.proofs[at+1+k-firstTail]
			pr.score(&s.labels[j], y)
			pr.allow(&s.labels[j], tailPoints[k-firstTail], share)
		}
	}
}

// value holds a value that is known at the end against all steps.
func (s *scorer) value(r *row, i int, m *meter, v float64, values []float32) {
	level := r.snap.levels[i]
	tau := s.factor(r, m.Tolerance.Factor)
	p, one := &s.r.past.amounts[i], s.one(r)
	var harm, down float64
	for k := range numStairs {
		mean := lateShare(p.late[k], p.n[k], k)
		p.n[k] += one
		if beyond(v, level[k], tau) {
			harm += stair[k]
			p.late[k] += one
		}
		harm -= stair[k] * mean
		if s.r.parts[i] == partTTFT {
			for j, c := range s.r.comparisons {
				if s.warm(j, r) {
					c.tests.partTime(r, &s.labels[j], k, mean, beyond(v, level[k], tau))
				}
			}
		}
		if m.Better == Same {
			// The stairs downwards have the steps of the other end.
			mean = (p.down[k] + 50*steps[k]) / (p.downN[k] + 50)
			p.downN[k] += one
			if v < level[k]/tau*(1-tie) {
				down += stair[numStairs-1-k]
				p.down[k] += one
			}
			down -= stair[numStairs-1-k] * mean
		}
	}
	first := s.r.first[i]
	for j, c := range s.r.comparisons {
		if !s.warm(j, r) {
			continue
		}
		c.tests.score(first, &s.labels[j], harm)
		if m.Better == Same {
			c.tests.score(first+1, &s.labels[j], down)
		}
	}
	if m.source != fromTTFT && m.source != fromITL {
		return
	}
	// The tail of the time between tokens is the tail of the longest gap.
	if m.source == fromITL {
		k := s.r.column[len(s.r.meters)]
		level = r.snap.levels[len(s.r.meters)]
		if level == nil || math.IsNaN(float64(values[k])) {
			return
		}
		v = float64(values[k])
	}
	for k := firstTail; k < firstTail+numTails; k++ {
		s.tail(r, first, k, m.Tolerance.Factor, func(factor float64) bool { return beyond(v, level[k], factor) })
	}
}

// proveValue holds a value that is known at the end against all steps of a proof.
func (s *scorer) proveValue(r *row, i int, m *meter, v float64) {
	level := r.snap.levels[i]
	margin := s.factor(r, m.Margin.Factor)
	p, one := &s.r.past.amounts[i], s.one(r)
	var safe float64
	for k := range numStairs {
		mean := lateShare(p.proofLate[k], p.proofN[k], k)
		p.proofN[k] += one
		if limit := widen(level[k], margin); v-limit > -grain*math.Abs(limit) {
			safe += stair[k]
			p.proofLate[k] += one
		}
		safe -= stair[k] * mean
	}
	for j, c := range s.r.comparisons {
		if s.proves(j, r) {
			c.tests.proofs[s.r.proof[i]].score(&s.labels[j], safe)
		}
	}
	if m.source == fromTTFT {
		for k := firstTail; k < firstTail+numTails; k++ {
			s.proveTail(r, i, k, func(float64) bool { return beyond(v, level[k], 1) })
		}
	}
}

// grain is how far above equal values the step that they make may lie.
const grain = hist.Width

// graded takes in the grades that have come.
func (s *scorer) graded() {
	r := s.r
	r.grades.mu.Lock()
	list := r.grades.list
	r.grades.list = r.grades.spare[:0]
	r.grades.spare = list
	r.grades.mu.Unlock()
	for i := range list {
		g := &list[i]
		s.label(&g.row)
		m := &r.meters[g.metric]
		p := &r.past.rates[g.metric]
		v := g.value
		if m.Better == Higher {
			v = 1 - v
		}
		y := v - (p.events+.5)/(p.n+1)
		p.n++
		p.events += v
		points := m.Margin.points(0)
		for k, c := range r.comparisons {
			if !s.live[k] {
				continue
			}
			l := &s.labels[k]
			c.tests.score(r.first[g.metric], l, y)
			c.tests.tolerate(r.first[g.metric], l, m.Tolerance.points(0))
			c.tests.count(r.first[g.metric], l, v)
			if at := r.proof[g.metric]; at >= 0 {
				c.tests.proofs[at].score(l, y)
				c.tests.proofs[at].allowed += l.share * (1 - l.share) * points
			}
		}
	}
}

// assigned reports whether the request belongs to the population of a rate.
func (m *meter) assigned(r *row) bool {
	return !(m.source == fromClass && m.Name == nameUnanswered && r.ended && r.class == Cancelled)
}
