package traffic

import (
	"cmp"
	"net/http"
	"net/url"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/internal/traced"
)

// baggageHeader is the header of the W3C for what applications want to have sent along.
// It may say who a user is.
const baggageHeader = "Baggage"

// dropBaggage removes the baggage of a caller from a request to another host than the
// baseline's, by the rule for credentials.
func (a *arm) dropBaggage(h http.Header, baseline *url.URL) {
	if _, ok := h[baggageHeader]; ok && !Auto.passes(a.address(), baseline, false) {
		delete(h, baggageHeader)
	}
}

// traceAssigned reports to a tracer which arm was chosen.
func (x *exchange) traceAssigned() {
	if x.leg == nil || x.leg.bill == nil || x.leg.bill.traced == nil {
		return
	}
	shape := shapes[seriesOf(x.ask.Route.API)]
	b := served{base: x.arm.address(), name: x.arm.backend.Provider}
	defer x.router.contained("Tracer")
	x.leg.bill.traced.Assigned(traced.Assignment{
		ID: x.id, Arm: x.arm.name, Operation: shape.operation, Provider: cmp.Or(b.provider(), shape.provider),
		Model: x.model, Address: b.host(),
	})
}

// traceAttempt reports to a tracer how an attempt has ended.
func (b *bill) traceAttempt(a *arm, role Attempt, out *answer.Outcome) {
	if b == nil || b.traced == nil {
		return
	}
	defer b.router.contained("Tracer")
	b.traced.Attempted(attempted(a, role, out))
}

// traceCopy reports to a tracer that a copy is about to be sent. What it returns takes how the
// copy has ended.
func (c *copied) traceCopy() (ended func(*answer.Outcome)) {
	ended = func(*answer.Outcome) {}
	if c.traced == nil {
		return ended
	}
	defer c.router.contained("Tracer")
	span := c.traced.Copied(c.arm.name, c.header)
	return func(out *answer.Outcome) {
		defer c.router.contained("Tracer")
		span(attempted(c.arm, Mirror, out))
	}
}

func attempted(a *arm, role Attempt, out *answer.Outcome) traced.Attempt {
	u := &out.Usage
	return traced.Attempt{
		Role: role.String(), Arm: a.name, Class: out.Class.String(), Why: out.Why, Status: out.Status,
		Failed: out.Class != analysis.OK && out.Class != analysis.Refused, Model: bounded.Name(out.Model), Finish: bounded.Name(out.Finish),
		Counted: u.Input > 0 || u.Output > 0, Input: u.Input, Output: u.Output, CacheRead: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning,
	}
}
