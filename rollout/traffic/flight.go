package traffic

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// flight is a request as the recorder follows it that its assignment was reported to.
// The zero flight is followed by no recorder.
type flight struct {
	analysis.Flight
	witness witness // in tests
	number  int     // that witness has given it
}

// witness sees what a recorder is given, for tests. Its methods are called from many
// goroutines.
type witness interface {
	begin(*analysis.Recorder, analysis.Assigned) (number int)
	first(number int, at time.Time)
	done(number int, o analysis.Observation)
}

// fly reports an assignment to the recorder in place. It allocates nothing.
func (r *Router) fly(a analysis.Assigned) (f flight) {
	rec := r.recorder.Load()
	if rec == nil {
		return flight{}
	}
	f.Flight = rec.Begin(a)
	if r.witness != nil {
		f.witness, f.number = r.witness, r.witness.begin(rec, a)
	}
	return f
}

// first reports that the first generated content has come.
func (f *flight) first(at time.Time) {
	f.First(at)
	if f.witness != nil {
		f.witness.first(f.number, at)
	}
}

// land reports how the request ended. Later calls have no effect.
func (f *flight) land(o analysis.Observation) {
	f.Done(o)
	if f.witness != nil {
		f.witness.done(f.number, o)
	}
	*f = flight{}
}

// void ends the flight so that it says nothing about the arm. Cancelled is the one
// class that counts in no metric, and the request stays among those that were assigned.
func (f *flight) void(at time.Time, why string) {
	f.land(analysis.Observation{At: at, Class: analysis.Cancelled, Why: why, Cost: -1})
}

// byChance reports whether chance has chosen the arm of a request, under the shares of
// the generation that its placement has.
func (why Reason) byChance() bool { return why == ByWeight || why == BySticky }

// randomised reports whether a placement under t takes part in tests. While an arm is
// killed none does: only the baseline's requests would be left of those that chance has
// assigned.
func (t *table) randomised(why Reason) bool { return why.byChance() && t.out == nil }

// assigned returns what is known of the exchange at its assignment.
func (x *exchange) assigned() analysis.Assigned {
	a := analysis.Assigned{
		Arm: x.arm.name, Unit: x.unit, Slot: x.slot, Slotted: x.why.byChance(), Generation: x.generation,
		Unrandomised: !x.table.randomised(x.why), Tenant: x.tenant, Route: x.label, Model: x.model, Stream: x.ask.Stream, At: x.began,
	}
	if x.pair != nil {
		a.Shadow = x.pair.arm.name
	}
	if x.leg != nil && x.leg.bill != nil && x.leg.bill.bytes > 0 {
		a.InputTokens = x.leg.bill.size.tokensAbout()
	}
	return a
}
