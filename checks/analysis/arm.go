package analysis

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/internal/hist"
)

// Arm counts the observations of one version. It is safe for concurrent use;
// arms share no lock.
type Arm struct {
	name   string
	meters []meter
	// Metrics that follow from the class of a request, and all others.
	byClass, valued []int

	staging // used while callers collide

	index        uint8        // 0 is the baseline
	flights      *flights     // nil for observations of no arm
	started      atomic.Int64 // requests that were assigned at random, or recorded alone
	unrandomised atomic.Int64
	grades       *grades
	past         *past // of the baseline, nil of others

	mu              sync.Mutex // guards what follows
	classes         [NumClasses]uint64
	restoredClasses [NumClasses]uint64 // those among them that were restored
	events          uint64             // of [Unfinished], not restored
	invalid         uint64             // values that no request can have: negative, NaN, infinite
	tallies         []tally
	memory          *memory // nil if no feedback is awaited

	routes, whys labels
	onRoute      []routeCount // by the number of the route

	restored bool // what was counted before a restart has been added
}

// tally is what an arm has counted of one metric.
type tally struct {
	rate         // since the arm was made
	past    rate // before that, in an earlier process
	*series      // nil if the metric is a rate
}

// rate counts requests, and the events among them.
type rate struct{ n, events uint64 }

// recent is how many of the newest values a series keeps for comparison. An arm
// that takes more between two judgements is compared by the newest.
const recent = 512

// series holds the distribution of all values, and the newest as they came.
type series struct {
	hist hist.Histogram
	ring [recent]float64 // value number i is at i % recent
	next uint64          // the number of the next value
}

func newArm(name string, meters []meter) *Arm {
	a := &Arm{name: name, meters: meters, tallies: make([]tally, len(meters))}
	for i, m := range meters {
		if m.byClass() {
			a.byClass = append(a.byClass, i)
		} else {
			a.valued = append(a.valued, i)
		}
		if m.Kind != Rate {
			a.tallies[i].series = new(series)
		}
	}
	a.staging.init(len(meters) == 0, len(a.valued))
	return a
}

// Name returns the arm's name, "" if it belongs to no arm of the recorder.
func (a *Arm) Name() string { return a.name }

// Record counts o under this arm, whatever arm o names. Values that no request
// can have (a negative duration, a score above 1, NaN from a custom metric) are
// left out and counted; see [Summary.Invalid].
func (a *Arm) Record(o Observation) {
	if a.flights != nil {
		assigned := a.flights.assignedUnder(o.Generation)
		if !assigned {
			a.started.Add(1)
		} else if o.At.IsZero() {
			o.At = time.Now()
		}
		a.flights.record(a.index, &o, assigned)
	}
	slot := uint16(0)
	if a.memory != nil {
		slot = a.flights.slot(o.Unit)
	}
	a.record(&o, slot, 0)
}

// begun returns how many requests the arm was assigned.
func (a *Arm) begun() int { return int(a.started.Load()) }

func (a *Arm) record(o *Observation, slot uint16, shadow uint8) {
	class := o.Class.known()
	seen := a.sight(o, class)
	seen.slot, seen.shadow = slot, shadow
	if !a.collided.Load() {
		if a.mu.TryLock() {
			a.note(&seen)
			for _, i := range a.valued {
				a.add(i, a.meters[i].value(o, class))
			}
			a.mu.Unlock()
			return
		}
		a.collided.Store(true)
	}
	a.stage(o, &seen)
}

// sighting holds what is counted of an observation, without its values.
type sighting struct {
	id     uint64
	at     uint32
	class  Class
	graded bool
	// unfinished, the route and why the answer is not read are what is counted
	// by class.
	unfinished bool
	route, why uint8 // by number
	// Of the request, for feedback.
	slot       uint16
	shadow     uint8
	generation uint64
	// Of the baseline, in seconds.
	end, ttft, stall float32
}

// sight returns what is to be counted of o, as far as it is wanted.
func (a *Arm) sight(o *Observation, class Class) sighting {
	s := sighting{class: class, unfinished: o.Unfinished}
	if o.Route != "" && onRoutes.has(class) {
		s.route = a.routes.number(o.Route)
		if notRead.has(class) {
			s.why = a.whys.number(o.Why)
		}
	}
	if a.memory != nil && o.ID != "" {
		at := o.At
		if at.IsZero() {
			at = time.Now()
		}
		s.id, s.at, s.graded = hashOf(o.ID), uint32(at.Unix()), o.Scored || o.Score != 0
		s.generation = o.Generation
	}
	if a.past != nil {
		if timed.has(class) {
			s.end = float32(o.Latency.Seconds())
		}
		s.ttft, s.stall = float32(o.TTFT.Seconds()), float32(o.Stall.Seconds())
	}
	return s
}

// note counts a sighting.
func (a *Arm) note(s *sighting) {
	a.classes[s.class]++
	if s.unfinished && served.has(s.class) {
		a.events++
	}
	if s.route != 0 {
		a.noteRoute(s)
	}
	if p := a.past; p != nil {
		if s.end > 0 {
			p.ends.Add(float64(s.end))
		}
		if s.ttft > 0 {
			p.ttfts.Add(float64(s.ttft))
		}
		if s.stall > 0 {
			p.stalls.Add(float64(s.stall))
		}
	}
	if s.id != 0 && begun.has(s.class) {
		a.memory.add(remembered{key: s.id, slot: s.slot, shadow: s.shadow, generation: s.generation, at: s.at, known: true, scored: s.graded})
	}
}

// settle brings the metrics that follow from classes up to date: they take no time
// for each request. a is locked.
func (a *Arm) settle() {
	for _, i := range a.byClass {
		m, r := &a.meters[i], rate{}
		for c := range NumClasses {
			n := a.classes[c] - a.restoredClasses[c]
			if m.population.has(c) {
				r.n += n
			}
			if m.events.has(c) {
				r.events += n
			}
		}
		if m.source == fromUnfinished {
			r.events = a.events
		}
		a.tallies[i].rate = r
	}
}

// add counts a value of metric i.
func (a *Arm) add(i int, v float64) {
	switch v {
	case noValue:
		return
	case invalidValue:
		a.invalid++
		return
	}
	t := &a.tallies[i]
	t.n++
	if s := t.series; s != nil {
		s.hist.Add(v)
		s.ring[s.next%recent] = v
		s.next++
		return
	}
	t.events += uint64(v)
}

// requests returns how many observations were recorded. a is locked.
func (a *Arm) requests() int {
	var n uint64
	for _, c := range a.classes {
		n += c
	}
	return int(n)
}
