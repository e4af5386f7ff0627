package analysis

import "time"

// Assigned is a request at the moment in which it is assigned to an arm.
type Assigned struct {
	// Arm is the version that is to serve the request; Unit is the unit that the split has
	// assigned, as in [Observation].
	Arm, Unit string
	// Slot is the slot of the split's table that has decided, if Slotted says that
	// one has. Otherwise the unit stands for it; a request without a unit is a slot of its
	// own.
	Slot    uint16
	Slotted bool
	// Generation is the generation of the split under which the unit was assigned:
	// for one that has stayed with its arm through later splits, the first.
	Generation uint64
	// Unrandomised says that something other than chance has decided, such as a rule
	// of the split. The request is counted, and takes part in no test.
	Unrandomised bool
	// Shadow names the candidate that is sent a copy of the request: of the request
	// that the baseline serves, and of the copy, whose Arm it is. Both arms serve it
	// then, and its share is one half.
	Shadow string
	// Tenant, Route and Model describe the request, as in [Observation].
	Tenant, Route, Model string
	// InputTokens is about how long the prompt is, and CachedTokens how much of it a cache
	// before both arms holds; what the prompt explains of a time and of a cost is taken out
	// of the comparison. Both are known before an arm has seen the request: what an arm
	// reports must not be used. Zero: they are not known.
	InputTokens, CachedTokens int
	// Stream says that the request asks for a stream, so that silence means something.
	Stream bool
	// At is when the request was assigned. The zero time means now.
	At time.Time
}

// Flight follows one request from its assignment to its end. It is a small value;
// copies stand for the same request. The zero Flight is of no request. It is safe
// for concurrent use.
type Flight struct {
	r          *Recorder
	arm        *Arm
	unit       string
	generation uint64
	place      uint32 // in the table of flights, if the nonce is not 0
	nonce      uint32
	slot       uint16
	shadow     uint8
}

// Begin says that a request has been assigned, at the moment in which it is. From
// then on it is known that the request has not ended yet, and how long it has been
// waiting: that is evidence too. End it with [Flight.Done], whatever becomes of it.
// Begin allocates nothing.
//
// What chance has assigned is held against [Recorder.Expect]; see there.
func (r *Recorder) Begin(a Assigned) Flight {
	f := Flight{r: r, arm: r.Arm(a.Arm), unit: a.Unit, generation: a.Generation}
	if f.arm == r.stray {
		return f
	}
	if a.Unrandomised {
		f.arm.unrandomised.Add(1)
		return Flight{}
	}
	f.arm.started.Add(1)
	shadow := uint8(0)
	if a.Shadow != "" {
		if shadow = r.candidate(a.Shadow); shadow == 0 {
			return f
		}
	}
	slot := a.Slot
	if !a.Slotted {
		slot = r.flights.slot(a.Unit)
	}
	f.slot, f.shadow = slot, shadow
	at := a.At
	if at.IsZero() {
		at = time.Now()
	}
	values := r.values.numbers(a.Tenant, a.Route, a.Model, a.InputTokens)
	f.place, f.nonce = r.flights.begin(row{
		raw: at.UnixNano(), slot: slot, arm: f.arm.index, generation: a.Generation, shadow: shadow, stream: a.Stream, unit: a.Unit != "",
		strata: values, prompt: promptOf(a.InputTokens, a.CachedTokens, a.Stream),
	})
	if f.nonce != 0 {
		r.values.contend(&values, a.Tenant, a.Route, a.Model)
	}
	return f
}

// First says that the first content of the answer has come. It is optional: what is
// still silent is known to be late only if it is called.
func (f Flight) First(now time.Time) {
	if f.nonce != 0 {
		f.r.flights.first(f.place, f.nonce, now.UnixNano())
	}
}

// Done ends the request with its outcome. Arm, Unit and Generation in o are taken
// from the assignment. Only the first call has an effect, if the request is followed: of
// one for which there was no room each call counts. A Flight of another process changes
// nothing.
func (f Flight) Done(o Observation) {
	if f.r == nil {
		return
	}
	o.Arm, o.Unit, o.Generation = f.arm.name, f.unit, f.generation
	if o.At.IsZero() {
		o.At = time.Now()
	}
	if f.nonce == 0 {
		if f.place == missed {
			f.r.flights.open.Add(-1)
		}
		f.arm.record(&o, f.slot, f.shadow)
		return
	}
	if f.r.flights.done(f.place, f.nonce, &o) {
		f.arm.record(&o, f.slot, f.shadow)
	}
}

// slots is the number of slots that tests distinguish. The slots of a split's table
// come first; units and requests without one share all.
const slots = 1 << 14

// slot returns the slot of a unit, or of the next request without one.
func (t *flights) slot(unit string) uint16 {
	if unit == "" {
		return uint16(mix(t.number.Add(1)) & (slots - 1))
	}
	return slotOf(unit)
}

// slotOf returns the slot of a unit. It is the same in every process.
func slotOf(unit string) uint16 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(unit) {
		h = (h ^ uint64(unit[i])) * 1099511628211
	}
	return uint16(mix(h) & (slots - 1))
}

// mix makes all bits of h depend on all others: the finaliser of splitmix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// candidate returns the number of a candidate from 1, 0 if no candidate has that
// name.
func (r *Recorder) candidate(name string) uint8 {
	for _, a := range r.arms[1:] {
		if a.name == name {
			return a.index
		}
	}
	return 0
}
