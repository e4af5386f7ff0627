package analysis

import (
	"math"
	"slices"
	"sync"
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

	assigned      assignments
	assignedUnits unitFilter // shared by all arms; nil for observations of no arm
	adjust        bool       // covariates are wanted

	mu       sync.Mutex // guards what follows
	classes  [NumClasses]uint64
	past     [NumClasses]uint64 // those among them that were restored
	events   uint64             // of [Unfinished], not restored
	invalid  uint64             // values that no request can have: negative, NaN, infinite
	tallies  []tally
	fuses    []fuse     // by breaker
	units    unitFilter // nil if requests are counted
	distinct uint64     // units, if they are
	memory   *memory    // nil if no feedback is awaited

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
	ring [recent]float64  // value number i is at i % recent
	covs *[recent]float32 // the covariates of these, nil if they are not wanted
	next uint64           // the number of the next value
}

func newArm(name string, meters []meter, breakers []Breaker) *Arm {
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
	for _, b := range breakers {
		i := slices.IndexFunc(meters, func(m meter) bool { return m.Name == b.Metric })
		a.fuses = append(a.fuses, newFuse(i, &meters[i]))
	}
	a.staging.init(len(meters) == 0, len(a.valued))
	return a
}

// Name returns the arm's name, "" if it belongs to no arm of the recorder.
func (a *Arm) Name() string { return a.name }

// Record counts o under this arm, whatever arm o names. Values that no request
// can have (a negative duration, a score above 1, NaN from a custom metric) are
// left out and counted; see [Summary.Invalid].
func (a *Arm) Record(o Observation) { a.record(&o) }

func (a *Arm) record(o *Observation) {
	class := o.Class.known()
	seen := a.sight(o, class)
	if !a.collided.Load() {
		if a.mu.TryLock() {
			a.note(&seen)
			for _, i := range a.valued {
				a.add(i, a.meters[i].value(o, class), &seen)
			}
			a.mu.Unlock()
			return
		}
		a.collided.Store(true)
	}
	a.stage(o, &seen)
}

// sighting is what is counted of an observation besides its values.
type sighting struct {
	unit, id uint64
	at       uint32
	// covariate is ln(1 + input tokens): prompts differ by orders of magnitude,
	// and times grow about as a power of their length.
	covariate float32
	class     Class
	scored    bool
	// unfinished, the route and why the answer is not read are what is counted
	// by class.
	unfinished bool
	route, why uint8 // by number
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
	if a.units != nil {
		s.unit = hashOf(o.Unit)
	}
	if a.memory != nil && o.ID != "" {
		at := o.At
		if at.IsZero() {
			at = time.Now()
		}
		s.id, s.at, s.scored = hashOf(o.ID), uint32(at.Unix()), o.Scored || o.Score != 0
	}
	if a.adjust {
		s.covariate = float32(math.Log1p(float64(max(o.InputTokens, 0))))
	}
	return s
}

// note counts a sighting, and the metrics that follow from its class.
func (a *Arm) note(s *sighting) {
	a.classes[s.class]++
	if s.unfinished && served.has(s.class) {
		a.events++
	}
	for i := range a.fuses {
		if f := &a.fuses[i]; f.byClass && f.meter.population.has(s.class) {
			f.add(f.bad(f.meter.ofClass(s.class, s.unfinished)))
		}
	}
	if s.route != 0 {
		a.noteRoute(s)
	}
	if a.units != nil {
		if answered.has(s.class) && a.units.first(s.unit, len(a.meters)) {
			a.distinct++
		}
		for _, i := range a.byClass {
			a.add(i, a.meters[i].ofClass(s.class, s.unfinished), s)
		}
	}
	if s.id != 0 && begun.has(s.class) {
		a.memory.add(remembered{key: s.id, unit: s.unit, at: s.at, known: true, scored: s.scored})
	}
}

// settle brings the metrics that follow from classes up to date. While requests
// are counted, they take no time for each. a is locked.
func (a *Arm) settle() {
	if a.units != nil {
		return
	}
	for _, i := range a.byClass {
		m, r := &a.meters[i], rate{}
		for c := range NumClasses {
			n := a.classes[c] - a.past[c]
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

// add counts a value of metric i, of the request seen.
func (a *Arm) add(i int, v float64, seen *sighting) {
	switch v {
	case noValue:
		return
	case invalidValue:
		a.invalid++
		return
	}
	t := &a.tallies[i]
	if t.series == nil {
		for j := range a.fuses {
			if f := &a.fuses[j]; f.metric == i && !f.byClass {
				f.add(f.bad(v))
			}
		}
	}
	if a.units != nil && !a.units.first(seen.unit, i) {
		return
	}
	t.n++
	if s := t.series; s != nil {
		s.hist.Add(v)
		s.ring[s.next%recent] = v
		if s.covs != nil {
			s.covs[s.next%recent] = seen.covariate
		}
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
