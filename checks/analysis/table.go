package analysis

import (
	"math"
	"sync"
	"sync/atomic"
)

// flights is the table of the requests that are under way, and of those that have
// ended but must still be held against a deadline. Its size is fixed. When it is
// full, fewer requests are followed, of all arms alike.
type flights struct {
	shards [flightShards]shard // of those that hold a Flight
	feed   anonymous           // of those that are assigned and recorded apart
	layout *layout
	stall  *atomic.Int64
	grades *grades
	tags   *values
	// left is which part of the requests is not followed, of 2^32.
	left   atomic.Uint32
	number atomic.Uint64              // of the last request without a unit
	named  [generations]atomic.Uint64 // generations under which requests were assigned
	open   atomic.Int64               // requests that are not followed and have not ended
	lost   atomic.Int64               // requests of looks that had more than there was room for
	begun  int                        // requests that were assigned until the last look
}

const (
	flightShards = 8
	shardRows    = 512
	feedRows     = flightShards * shardRows
)

// shard is a part of the table with a lock of its own.
type shard struct {
	mu     sync.Mutex
	rows   []row
	values []float32 // of each row, by number in valued
	free   int32     // the first free row, linked by next; -1 if all are taken
	used   int32
	_      [64]byte // no two shards on one cache line
}

// row is a request.
type row struct {
	raw        int64 // when it was assigned, in Unix nanoseconds, as its clock had it
	start      int64 // the same on the recorder's clock, known from the first look on
	generation uint64
	snap       *snapshot // the past at the assignment, nil before the first look after it
	nonce      uint32
	link       int32 // the next free row, or the next of a chain
	end        int64 // how long it took, in nanoseconds; valid if ended
	first      int64 // how long the first content took, in nanoseconds; 0: none was seen
	events     uint64
	matured    uint64 // rates whose mean has been taken off
	counted    uint64 // rates whose event has been counted
	cohort     uint32
	next       [numLists]uint16   // the deadlines to come
	scale      [numScaled]float32 // how many times as much is expected as of the usual prompt
	prompt     prompt
	slot       uint16
	arm        uint8            // 0 is the baseline
	strata     [numStrata]uint8 // numbers of values, 0 if they are not known or not compared apart
	sorted     bool             // it has been entered into its strata
	shadow     uint8
	class      Class
	used       bool
	ended      bool
	learnt     bool // its values are part of the past
	stream     bool // silence can be seen
	unit       bool // it has one
	alone      bool // it was recorded, and never assigned
	loose      bool // its start is known by cohort alone
}

// slice makes room for n rows when the shard is used for the first time.
func (s *shard) slice(n, width int) {
	if s.rows != nil {
		return
	}
	s.rows, s.values = make([]row, n), make([]float32, n*width)
	for i := range s.rows {
		s.rows[i].link = int32(i) + 1
	}
	s.rows[n-1].link = -1
}

// take returns a free row, -1 if all are taken. s is locked.
func (s *shard) take() int32 {
	i := s.free
	if i < 0 {
		return -1
	}
	s.free = s.rows[i].link
	s.used++
	return i
}

// release frees row i. s is locked.
func (s *shard) release(i int32) {
	s.rows[i] = row{nonce: s.rows[i].nonce, link: s.free}
	s.free = i
	s.used--
}

// begin enters a request. The nonce is 0 if it is not followed.
func (t *flights) begin(r row) (place, nonce uint32) {
	if left := t.left.Load(); left > 0 && uint32(mix(t.number.Add(1))) < left {
		return 0, 0
	}
	k := uint32(r.slot) % flightShards
	s := &t.shards[k]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slice(shardRows, t.layout.width)
	i := s.take()
	if i < 0 {
		t.open.Add(1)
		return missed, 0
	}
	r.nonce, r.used = s.rows[i].nonce+1, true
	if r.nonce == 0 {
		r.nonce = 1
	}
	s.rows[i] = r
	return k<<16 | uint32(i), r.nonce
}

// missed is the place of a request for which there was no room.
const missed = 1 << 31

// at returns the row that a flight is in, nil if it has left it. The shard is
// locked, and unlocked by the caller.
func (t *flights) at(place, nonce uint32) (*shard, *row) {
	s := &t.shards[place>>16%flightShards]
	s.mu.Lock()
	i := int(place & 0xffff)
	if i >= len(s.rows) || !s.rows[i].used || s.rows[i].nonce != nonce {
		return s, nil
	}
	return s, &s.rows[i]
}

func (t *flights) first(place, nonce uint32, now int64) {
	s, r := t.at(place, nonce)
	if r != nil && r.first == 0 && !r.ended {
		r.first = max(now-r.raw, 1)
	}
	s.mu.Unlock()
}

// done ends a request. It reports false if it has ended before.
func (t *flights) done(place, nonce uint32, o *Observation) bool {
	s, r := t.at(place, nonce)
	defer s.mu.Unlock()
	if r == nil || r.ended {
		return false
	}
	i, width := int(place&0xffff), t.layout.width
	t.finish(r, s.values[i*width:][:width], o)
	return true
}

// finish writes the outcome of a request into its row.
func (t *flights) finish(r *row, values []float32, o *Observation) {
	class := o.Class.known()
	r.ended, r.class = true, class
	r.end = int64(o.Latency)
	if r.end <= 0 && !o.At.IsZero() {
		r.end = max(o.At.UnixNano()-r.raw, 0)
	}
	if o.TTFT > 0 {
		r.first = int64(o.TTFT)
	}
	for k, i := range t.layout.valued {
		m := &t.layout.meters[i]
		values[k] = m.rank(m.value(o, class))
	}
	values[len(t.layout.valued)] = float32(math.NaN())
	if o.Stall > 0 {
		values[len(t.layout.valued)] = float32(o.Stall.Seconds())
	}
	r.events = t.eventsOf(o, class)
	if o.Scored || o.Score != 0 {
		t.grades.add(t.layout.meters, r, o.Score)
	}
	for _, i := range t.layout.scored {
		if v := t.layout.meters[i].value(o, class); v != noValue && v != invalidValue {
			t.grades.take(r, i, v)
		}
	}
}

// adapt follows as many requests as there is room for. Arrived is how many were assigned
// since the last look per second, and life is for how many seconds each is followed. How
// full the table is says it too late, as what is in it stays for that long.
func (t *flights) adapt(arrived, life float64) {
	used, room := int32(0), int32(0)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		used, room = used+s.used, room+int32(len(s.rows))
		s.mu.Unlock()
	}
	t.feed.mu.Lock()
	feed := t.feed.used
	t.feed.mu.Unlock()
	if room == 0 {
		room = feedRows
	}
	fit := 1.0
	if need := arrived * life; need > 0 {
		fit = min(1, .75*float64(room)/need)
	}
	followed := 1 - float64(t.left.Load())/(1<<32)
	switch {
	case used > room*7/8 || feed > feedRows*7/8:
		// More arrive at times, or they stay longer: they do not end.
		followed = min(fit, max(followed*.8, fit/4, .001))
	case followed > fit:
		followed = fit
	case used <= room*3/4 && feed <= feedRows*3/4:
		followed = min(followed*1.1, fit)
	}
	t.left.Store(uint32((1 - followed) * (1 << 32)))
}

// eventsOf returns the rates of which a request is an event, as bits.
func (t *flights) eventsOf(o *Observation, class Class) uint64 {
	l := t.layout
	bits := l.byClass[class]
	for _, i := range l.special {
		m := &l.meters[i]
		v := 0.0
		switch {
		case m.source == fromStall && !m.population.has(class):
		case m.source == fromStall:
			if int64(o.Stall) > t.stall.Load() {
				v = 1
			}
		default:
			v = m.value(o, class)
		}
		if v == 1 && m.Better != Higher || v == 0 && m.Better == Higher {
			bits |= 1 << i
		}
	}
	return bits
}

// assignedUnder reports whether requests were assigned under a generation without
// anybody holding their flights.
func (t *flights) assignedUnder(generation uint64) bool {
	return t.named[generation%generations].Load() == generation+1
}

// grades are scores that have come and wait to be judged, and of which request.
type grades struct {
	mu          sync.Mutex
	list, spare []grade
}

type grade struct {
	row
	metric int
	value  float64
}

// maxGrades is how many may wait for a look.
const maxGrades = 1 << 12

// add takes a score of a request.
func (g *grades) add(meters []meter, r *row, score float64) {
	for i := range meters {
		if m := &meters[i]; m.graded() {
			if v := m.score(score); v != invalidValue {
				g.take(r, i, v)
			}
		}
	}
}

// take takes a value of a metric of a request.
func (g *grades) take(r *row, metric int, v float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.list) < maxGrades {
		g.list = append(g.list, grade{row: row{slot: r.slot, arm: r.arm, generation: r.generation, shadow: r.shadow, snap: r.snap, alone: true}, metric: metric, value: v})
	}
}

// unknown returns of how many requests it is not known whether they have ended.
func (t *flights) unknown() int { return int(max(t.open.Load()+t.lost.Load(), 0)) }

// sampled returns which part of the requests is followed.
func (t *flights) sampled() float64 { return 1 - float64(t.left.Load())/(1<<32) }
