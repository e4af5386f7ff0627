package traffic

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
)

// Assignment says which arm serves one piece of work that does not pass through
// the router, and takes its outcome. It is a small value; copies stand for the
// same assignment. The zero Assignment has no arm, and takes no outcome.
type Assignment struct {
	router     *Router
	arm        *arm
	generation uint64
	unit       string
	began      time.Time
	ticket     *ticket
	number     uint64
	why        Reason
	table      *table
	flight     flight
}

// ticket makes sure that an assignment is reported once, whatever copies there
// are of it. Tickets are used again; the number distinguishes the assignments.
type ticket struct{ number atomic.Uint64 }

var tickets = sync.Pool{New: func() any { return new(ticket) }}

// Assign returns the arm for unit under the split in force, by the same rule as
// for requests; "" is assigned at random. Each assignment must be ended with
// [Assignment.Done]: until then it counts as in flight. The context is not kept.
// Assign does not allocate.
func (r *Router) Assign(_ context.Context, unit string) Assignment {
	unit = bounded.Name(unit)
	t := r.table.Load()
	a := Assignment{router: r, table: t, unit: unit, began: time.Now()}
	p := t.place(&subject{unit: unit, keep: true}, r.stale(a.began))
	a.arm, a.why, a.generation = p.arm, p.why, p.generation
	t.inFlight.Add(1)
	a.flight = r.fly(analysis.Assigned{
		Arm: a.arm.name, Unit: unit, Slot: p.slot, Slotted: p.why.byChance(), Generation: p.generation,
		Unrandomised: !t.randomised(p.why), At: a.began,
	})
	a.ticket = tickets.Get().(*ticket)
	a.number = a.ticket.number.Load()
	a.arm.stats.inFlight.Add(1)
	return a
}

// Arm returns the name of the arm that is to serve.
func (a Assignment) Arm() string {
	if a.arm == nil {
		return ""
	}
	return a.arm.name
}

// Generation returns the generation of the split that made the assignment: of a unit
// that a [Sticky] remembers, the one in which it was first assigned.
func (a Assignment) Generation() uint64 { return a.generation }

// Done ends the assignment with its outcome. Arm, Unit and Generation of o are
// set by the router; so are At if it is zero, Latency if it is zero (the time
// since Assign), and Cost if it is zero: from the tokens if the arm's price is
// known, and to -1, unknown, if it is not. The class is not: set it, to
// [analysis.OK] for a good answer, since the zero value is [analysis.Unread] and
// proves nothing. An assignment that came to nothing ends with
// [analysis.Cancelled].
//
// Only the first call has an effect; it returns true. Done is safe for
// concurrent use.
func (a Assignment) Done(o analysis.Observation) bool {
	if a.ticket == nil || !a.ticket.number.CompareAndSwap(a.number, a.number+1) {
		return false
	}
	tickets.Put(a.ticket)
	a.arm.stats.inFlight.Add(-1)
	o.Arm, o.Unit, o.Generation = a.arm.name, a.unit, a.generation
	now := time.Now()
	if o.At.IsZero() {
		o.At = now
	}
	if o.Latency == 0 {
		o.Latency = now.Sub(a.began)
	}
	if o.Cost == 0 {
		p := a.arm.backend.price("")
		o.Cost = p.cost(&answer.Usage{Input: o.InputTokens, Output: o.OutputTokens, Cached: o.CachedTokens}, "", 0)
	}
	if a.router.charged != nil {
		a.router.charged(Charge{
			At: o.At, Request: o.ID, Arm: o.Arm, Unit: o.Unit, Cost: o.Cost,
			Usage: answer.Usage{Input: o.InputTokens, Output: o.OutputTokens, Cached: o.CachedTokens, Reported: o.OutputTokens > 0},
		})
	}
	a.meter(&o)
	a.router.report(a.table, a.arm, o, &a.flight, a.why, false)
	return true
}
