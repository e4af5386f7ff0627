package analysis

import (
	"math"

	"github.com/serin-go/serin/internal/hist"
)

// due does what is due at a deadline.
func (s *scorer) due(r *row, d *deadline, f *flown, values []float32) {
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
		s.scores(s.r.first[i], -mean)
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
		at := s.r.proof[i]
		s.proves(at, y)
		points := m.Margin.points(base)
		for k, c := range s.r.comparisons {
			if s.live[k] {
				c.tests.proofs[at].allow(&s.labels[k], points, base)
			}
		}
	case lateHarm, lateProof, tailHarm, tailProof:
		s.step(r, d, f)
	case valueHarm, valueProof:
		if m.source == fromTTFT && r.stream {
			return
		}
		k := s.r.column[i]
		if !r.ended || r.end > d.age || values[k] != values[k] {
			return
		}
		v := float64(values[k])
		if j, ok := m.scaled(); ok {
			v /= float64(r.scale[j])
		}
		if d.what == valueProof {
			s.proveValue(r, i, m, v)
			return
		}
		s.value(r, i, m, v, values)
	}
}

// timed are the classes whose time counts: of others the time says nothing of their
// arm, as they failed or their caller left.
const timed = classes(1<<OK | 1<<Refused | 1<<Invalid | 1<<Unread)

// step holds a request that can be seen in flight against one step of an amount.
func (s *scorer) step(r *row, d *deadline, f *flown) {
	ended := r.ended && f.end <= d.age
	if ended && !timed.has(r.class) {
		return
	}
	i, k := int(d.metric), int(d.step)
	took, running := f.end, !ended
	if s.r.meters[i].source == fromTTFT {
		if !r.stream || f.first == 0 && ended {
			return
		}
		took, running = f.first, f.first == 0 || f.first > d.age
	}
	side := 0
	if r.arm != 0 {
		side = 1
	}
	late := running || took > d.beyond[side]
	switch d.what {
	case lateHarm:
		s.lateness(r, i, k, late)
	case lateProof:
		s.proveLateness(r, i, k, late)
	case tailHarm:
		s.tail(r, s.r.first[i], k, late)
	case tailProof:
		s.proveTail(r, i, k, late)
	}
}

// warm reports whether the times of a request count in a comparison.
func (s *scorer) warm(k int, r *row) bool {
	return s.live[k] && r.start >= s.r.comparisons[k].tests.warm
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
func (s *scorer) lateness(r *row, i, k int, late bool) {
	p, one := &s.r.past.amounts[i], s.one(r)
	mean := lateShare(p.late[k], p.n[k], k)
	y := -mean
	p.n[k] += one
	if late {
		y++
		p.late[k] += one
	}
	s.scores(s.r.first[i], stair[k]*y)
	if s.r.parts[i] == partTTFT {
		s.part(r, k, mean, late)
	}
}

// part adds one step of the stairs to the evidence of the parts of the traffic.
func (s *scorer) part(r *row, k int, mean float64, late bool) {
	if r.strata == ([numStrata]uint8{}) {
		return
	}
	for j, c := range s.r.comparisons {
		if s.warm(j, r) {
			c.tests.partTime(r, &s.labels[j], k, mean, late)
		}
	}
}

// proveLateness adds one step to the evidence for safety.
func (s *scorer) proveLateness(r *row, i, k int, late bool) {
	p, one := &s.r.past.amounts[i], s.one(r)
	y := -lateShare(p.proofLate[k], p.proofN[k], k)
	p.proofN[k] += one
	if late {
		y++
		p.proofLate[k] += one
	}
	if at := s.r.proof[i]; at >= 0 {
		s.proves(at, stair[k]*y)
	}
}

// tail adds a request beyond a level to the evidence for harm.
func (s *scorer) tail(r *row, first, k int, late bool) {
	i := first + 1 + k - firstTail
	for j, c := range s.r.comparisons {
		warm := s.warm(j, r)
		if late && (warm || !s.live[j]) {
			c.tests.event(i, &s.labels[j], warm)
		}
		if warm {
			c.tests.old(i, &s.labels[j], late)
		}
	}
}

// tailPoints is how many more of the candidate's requests may be beyond each level
// of the tail.
var tailPoints = [numTails]float64{.05, .015, .006}

// proveTail adds a request to the evidence that the tail is no heavier than allowed.
func (s *scorer) proveTail(r *row, i, k int, late bool) {
	at := s.r.proof[i]
	if at < 0 {
		return
	}
	at += 1 + k - firstTail
	p, one := &s.r.past.amounts[i], s.one(r)
	y := -lateShare(p.tail[k], p.tailN[k], k)
	p.tailN[k] += one
	if late {
		y++
		p.tail[k] += one
	}
	s.proves(at, y)
	for j, c := range s.r.comparisons {
		if s.warm(j, r) && !c.tests.held {
			c.tests.proofs[at].allow(&s.labels[j], tailPoints[k-firstTail], 1-steps[k])
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
		late := beyond(v, level[k], tau)
		if late {
			harm += stair[k]
			p.late[k] += one
		}
		harm -= stair[k] * mean
		if s.r.parts[i] == partTTFT {
			s.part(r, k, mean, late)
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
	s.scores(first, harm)
	if m.Better == Same {
		s.scores(first+1, down)
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
		s.tail(r, first, k, beyond(v, level[k], tau))
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
	s.proves(s.r.proof[i], safe)
	if m.source == fromTTFT {
		for k := firstTail; k < firstTail+numTails; k++ {
			s.proveTail(r, i, k, beyond(v, level[k], 1))
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
		y, rate := v-(p.events+.5)/(p.n+1), (p.events+5)/(p.n+50)
		p.n++
		p.events += v
		points := m.Margin.points(0)
		for k, c := range r.comparisons {
			l := &s.labels[k]
			c.tests.answer(g.metric, l, s.live[k], v, m, rate)
			if !s.live[k] {
				continue
			}
			c.tests.score(r.first[g.metric], l, y, 1)
			c.tests.tolerate(r.first[g.metric], l, m.Tolerance.points(0))
			c.tests.count(r.first[g.metric], l, v)
			if at := r.proof[g.metric]; at >= 0 {
				c.tests.proofs[at].score(l, y, 1)
				c.tests.proofs[at].allowed += l.share * (1 - l.share) * points
			}
		}
	}
}

// assigned reports whether the request belongs to the population of a rate.
func (m *meter) assigned(r *row) bool {
	return !(m.source == fromClass && m.Name == nameUnanswered && r.ended && r.class == Cancelled)
}
