package traffic

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/attempts"
	"github.com/serin-go/serin/internal/bounded"
)

// exchange is one request and its answer, whatever the shape in which they
// pass. It belongs to one goroutine at a time.
type exchange struct {
	router     *Router
	arm        *arm
	generation uint64
	unit, id   string
	tenant     string // as in the observation, and model too
	model      string
	slot       uint16  // that has decided, if chance has
	flight     flight  // until it is reported
	unmet      bool    // the first content, by flight
	pair       *copied // whose answer is compared with this one, if it is mirrored
	began      time.Time
	why        Reason // the arm is this one
	table      *table
	ask        answer.Ask
	label      string // of the route
	makes      bool   // its answer names what later requests refer to
	held       *share // of the memory for bodies
	first      shaped // the request as arm is to be sent it, if that differs
	plain      *arm   // refuses the usage option; see usage.go
	keyed      bool   // has an Idempotency-Key
	leg        *leg   // nil unless the request is charged
	hit        bool   // a cache has answered

	reader *answer.Reader // from the header of the answer to its end
	head   []byte         // the first bytes of the answer, for Config.Classify
	status int
	caller caller
	copies []*copied // of the request, that go to mirrors; see mirror.go

	tokens    int           // events with tokens so far
	contentAt time.Duration // when the last of them came, without the caller's pauses

	outcome  answer.Outcome // once ended
	endedAt  time.Time
	ended    bool
	fallback bool // the baseline serves
	reported bool
}

// ending says how an exchange ended, as far as the answer itself does not.
type ending struct {
	expired error // a time limit: errFirstByte or errStalled
	broken  error // the arm failed, or broke off its answer
	gone    error // the caller went away, or gave up waiting
	unsent  bool  // no server was reached
}

var (
	errFirstByte = errors.New("traffic: no byte of an answer in time")
	errStalled   = errors.New("traffic: the answer stalled")
	errBrokenOff = errors.New("traffic: the answer was broken off")
	errNoAnswer  = errors.New("traffic: what came is no answer")
)

// cause returns e as the cause of an answer's end.
func (e ending) cause() answer.Cause {
	switch {
	case e.expired != nil:
		return answer.Cause{Kind: answer.TimedOut, Err: e.expired}
	case e.gone != nil:
		return answer.Cause{Kind: answer.Gone, Err: e.gone}
	case malformed(e.broken):
		return answer.Cause{Kind: answer.Malformed, Err: e.broken}
	case e.broken != nil:
		return answer.Cause{Kind: answer.Broken, Err: e.broken}
	}
	return answer.Cause{}
}

// err returns the error for the caller of a RoundTripper when there is no response.
func (e ending) err() error {
	switch {
	case e.expired != nil:
		return e.expired
	case e.gone != nil:
		return e.gone
	}
	return e.broken
}

// begin makes of x the exchange of a request that is about to be served, assigns it,
// and sends its copies. x.ask is set; received reports whether the request came through
// the Handler. The error is a [*ShapeError], a [*BodyMemoryError] or an accountError;
// then nothing has begun.
func (r *Router) begin(x *exchange, req *http.Request, body *payload, received bool) (*table, error) {
	t := r.table.Load()
	x.router, x.table, x.unit, x.tenant, x.id = r, t, r.unit(req), r.tenant(req), newID()
	x.began, x.held = time.Now(), &body.share
	x.label = r.labels.of(req.Method, req.URL.Path).name
	p := r.place(t, &subject{unit: x.unit, tenant: x.tenant, req: req, keep: true}, &x.ask, body, r.stale(x.began))
	x.arm, x.why, x.slot, x.generation = p.arm, p.why, p.slot, p.generation
	x.makes = makesIDs(req.Method, &x.ask)
	x.keyed = len(req.Header["Idempotency-Key"]) > 0
	if x.alters(x.arm) {
		if err := x.fit(req, body); err != nil {
			return nil, err
		}
	}
	if x.leg != nil {
		if err := x.leg.open(x, req, body); err != nil {
			return nil, err
		}
	}
	x.model = x.asked(req)
	x.traceAssigned()
	if t.mirrors != nil {
		r.mirror(t, x, req, body, received)
	}
	t.inFlight.Add(1)
	if x.followed() {
		x.flight = r.fly(x.assigned()) // after the copies, which it names
	}
	return t, nil
}

// fit makes the request fit its arm, or gives it to the baseline.
func (x *exchange) fit(req *http.Request, body *payload) error {
	s, err := x.router.shape(x.arm, x.ask, req, body, &body.share, x.asksUsage(x.arm))
	if base := x.table.baseline(); err != nil && !isBodyMemory(err) && base != nil && base != x.arm {
		if other, otherErr := x.router.shape(base, x.ask, req, body, &body.share, x.asksUsage(base)); otherErr == nil {
			x.arm, x.why, x.generation, s, err = base, ByShape, x.table.split.Generation, other, nil
		} else if isBodyMemory(otherErr) {
			err = otherErr
		}
	}
	x.first = s
	return err
}

// shaped returns the request as an arm is to be sent it. The error is a
// [*BodyMemoryError].
func (x *exchange) shaped(a *arm, req *http.Request, body *payload) (shaped, error) {
	if a == x.arm && x.first.body != nil {
		return x.first, nil
	}
	if !x.alters(a) {
		return shaped{body: body}, nil
	}
	s, err := x.router.shape(a, x.ask, req, body, &body.share, x.asksUsage(a))
	if isBodyMemory(err) {
		return s, err
	}
	if err != nil {
		s.body = &payload{held: true} // rather nothing than the wrong model
	}
	return s, nil
}

// context returns the context of an attempt, in which transports find what they need.
func (x *exchange) context(ctx context.Context, l *leg) context.Context {
	if mayContinue(&x.ask) {
		ctx = attempts.AtHome(ctx)
	}
	return l.in(ctx)
}

// observed reports whether the exchange is observed: as one of a model, or of what
// the baseline keeps, which is not compared.
func (x *exchange) observed() bool { return x.ask.Route.Kind != answer.Auxiliary }

// followed reports whether the recorder follows the exchange: what the baseline keeps is
// not compared.
func (x *exchange) followed() bool {
	kind := x.ask.Route.Kind
	return x.observed() && kind != answer.Resource && kind != answer.Control
}

// asked returns the model that the caller asked for. A form is searched for it only
// where the request is charged.
func (x *exchange) asked(req *http.Request) string {
	if x.leg != nil && x.leg.bill != nil {
		return bounded.Name(x.leg.bill.model)
	}
	return bounded.Name(modelOf(x.ask, req, &payload{}))
}

// newID returns 64 random bits in hexadecimal.
func newID() string {
	const digits = "0123456789abcdef"
	var b [16]byte
	bits := rand.Uint64()
	for i := range b {
		b[i] = digits[bits>>(60-4*i)&15]
	}
	return string(b[:])
}

// start takes the status and the header of the answer that is measured.
func (x *exchange) start(status int, h http.Header) {
	x.status = status
	if (x.why.byChance() || x.leg != nil) && x.router.cached(h) {
		x.hit = true
		if x.why.byChance() {
			x.fromCache()
		}
	}
	x.unmet = !x.hit
	x.reader = answer.Get()
	x.reader.Ask, x.reader.FinishReasons = x.ask, x.router.finishReasons
	x.reader.Names = x.arm.backend.PriceOf != nil || len(x.arm.backend.Price.Tiers) > 0 || x.leg != nil && x.leg.bill != nil && x.leg.bill.traced != nil
	x.reader.Start(status, h)
}

// fromCache notes that a cache has answered, and not the arm. It ends the flight, which
// began at the assignment, since a request that hangs must be seen: an answer from a
// cache ends it without a word about the arm. The copy to compare with says nothing
// either.
func (x *exchange) fromCache() {
	x.why = ByCache
	x.flight.void(time.Now(), "cached")
	if x.pair != nil {
		x.pair.void.Store(true)
	}
}

// meet reports the first generated content, which came at the given instant, to the
// flight. Of a document there is no such instant, as in the outcome.
func (x *exchange) meet(at time.Duration) {
	if x.reader.Tokens() == 0 {
		return
	}
	x.unmet = false
	switch x.reader.Form() {
	case answer.EventStream, answer.Lines, answer.Array:
		x.flight.first(x.began.Add(at))
	}
}

// headSize is how much of an answer [Config].Classify gets to see.
const headSize = 4 << 10

// feed measures a part of the answer's body that passed at the given instant.
func (x *exchange) feed(p []byte, at time.Duration) {
	for _, c := range x.copies {
		c.primary.add(p)
	}
	if x.router.classify != nil && len(x.head) < headSize {
		x.head = append(x.head, p[:min(len(p), headSize-len(x.head))]...)
	}
	if x.reader == nil {
		return
	}
	x.reader.Feed(p, at)
	if x.unmet {
		x.meet(at)
	}
}

// silent reports whether bytes have come for too long without content among them,
// when a part of the answer has come and was fed. The time in which the caller did
// not read does not count.
func (x *exchange) silent(at time.Duration) bool {
	if x.reader == nil || x.router.limits.content <= 0 {
		return false
	}
	at -= x.caller.away
	if n := x.reader.Tokens(); n != x.tokens || x.contentAt == 0 {
		x.tokens, x.contentAt = n, at
		return false
	}
	if at-x.contentAt < x.router.limits.content {
		return false
	}
	switch x.reader.Form() {
	case answer.EventStream, answer.Lines, answer.Array:
		return x.ask.Route.Kind == answer.Inference
	case answer.Document, answer.UnknownForm: // white space, or one that never ends
		limit := x.router.limits.firstDocument
		return limit > 0 && at-x.contentAt >= limit && x.ask.Route.Kind == answer.Inference && x.reader.State() == answer.Waiting
	}
	return false
}

// end ends the measurement, once, and returns what the answer was.
func (x *exchange) end(e ending) *answer.Outcome {
	if x.ended {
		return &x.outcome
	}
	x.ended, x.endedAt = true, time.Now()
	r := x.reader
	if x.reader = nil; r == nil {
		r = answer.Get() // there was no answer
		r.Ask = x.ask
	}
	x.outcome = r.End(x.endedAt.Sub(x.began)-x.caller.total, e.cause())
	answer.Put(r)
	switch abandoned := x.outcome.Class == analysis.Abandoned; {
	case e.gone == errCut && abandoned:
		x.outcome.Class, x.outcome.Why = analysis.Cancelled, "drained"
	case e.gone == ErrCut && (abandoned || x.outcome.Class == analysis.Cancelled):
		x.outcome.Class, x.outcome.Why = analysis.Cancelled, "cut"
		x.arm.stats.cut.Add(1)
	}
	x.router.reclassify(x.ask, x.head, &x.outcome)
	if x.leg != nil && !x.hit && (x.status != 0 || x.leg.reached(e)) {
		x.leg.charge(x.leg.attempt, &x.outcome)
	}
	return &x.outcome
}

// falls reports whether the baseline should serve in place of the arm, whose answer
// has ended. Where the fault may be the caller's it is asked for a second opinion,
// unless that is turned off. What has effects is asked once, unless it was refused.
func (x *exchange) falls(e ending) bool {
	if x.once() && x.accepted(e) {
		return false
	}
	class := x.outcome.Class
	if class == analysis.Rejected || x.status == http.StatusTooManyRequests {
		return !x.router.noSecondOpinion
	}
	return class.Failed()
}

// hopeless reports whether an answer that has failed, of which held bytes have
// come, is given up before its end. Config.Classify judges whole answers.
func (x *exchange) hopeless(status, held int) bool {
	return held > maxDropped || status < 300 && x.router.classify == nil
}

// settled reports whether the status alone decides that the baseline serves instead:
// then the rest of the answer is not waited for. Config.Classify judges whole answers.
func (x *exchange) settled() bool {
	switch status := x.status; {
	case x.router.classify != nil:
		return false
	case status < 400:
		return status >= 300 && x.ask.Route.Kind == answer.Inference
	case status < 500:
		return !x.router.noSecondOpinion
	}
	return true
}

// stays ends the measurement of an answer whose status says that it has failed, and
// reports whether it goes to the caller nevertheless.
func (x *exchange) stays() bool {
	if x.status < 300 {
		return false
	}
	x.end(ending{})
	return !x.falls(ending{})
}

// finish reports the one observation of the exchange.
func (x *exchange) finish(e ending) {
	x.end(e)
	x.report()
}

// dismiss ends the exchange without an observation: what happened says nothing
// about the arm. There are no copies, since the body was not held.
func (x *exchange) dismiss(e ending) {
	x.leg = nil
	x.end(e)
	if !x.reported {
		x.reported = true
		x.table.inFlight.Add(-1)
		x.flight.void(x.endedAt, "dismissed")
	}
}

// settle ends an exchange that a panic has left without an end: with the one that its
// arm had, if it had one.
func (x *exchange) settle() {
	if !x.reported {
		x.finish(ending{broken: errBrokenOff})
	}
}

// report reports the exchange, which has ended.
func (x *exchange) report() {
	if x.reported {
		return
	}
	x.reported = true
	if !x.observed() {
		x.table.inFlight.Add(-1)
		return
	}
	o := x.observation()
	for _, c := range x.copies {
		c.answered(o, x.outcome)
	}
	x.arm.stats.why.note(&x.outcome)
	if x.why != ByCache && x.arm == x.table.baseline() && !x.fallback {
		x.router.limits.patience.observe(x.ask, &x.outcome, x.endedAt)
	}
	x.meter(&o)
	if x.leg != nil {
		x.leg.bill.traceAttempt(x.arm, First, &x.outcome)
	}
	x.router.report(x.table, x.arm, o, &x.flight, x.why, x.fallback)
}

// fellBack reports the exchange as one whose arm failed and whose request the
// baseline serves: what the baseline generates says nothing about the arm.
func (x *exchange) fellBack() {
	if x.observed() {
		x.arm.stats.fallbacks.Add(1)
	}
	x.fallback = true
	for _, c := range x.copies {
		c.primary.spoilt = true // what was kept is no answer
	}
	x.report()
}

// confirmed takes the status with which the baseline has answered a request that
// the arm had rejected, 0 if it has not: a baseline that answers shows that the arm
// was wrong.
func (x *exchange) confirmed(status int) {
	if x.reported {
		return
	}
	if status >= 200 && status < 300 && x.outcome.Class == analysis.Rejected {
		x.outcome.Class = analysis.Error
	}
	x.fellBack()
}

// observation returns the observation of an exchange that has ended.
func (x *exchange) observation() analysis.Observation {
	out := &x.outcome
	o := analysis.Observation{
		At: x.endedAt, ID: x.id, Arm: x.arm.name, Unit: x.unit, Generation: x.generation,
		Route: x.label, Tenant: x.tenant, Model: x.model,
		Latency: x.endedAt.Sub(x.began) - x.caller.total, ClientStall: x.caller.total, Cost: -1,
	}
	o.Paid = x.leg != nil && x.leg.bill != nil && x.leg.bill.account != nil
	out.Observe(&o)
	if out.Deferred {
		o.Latency = 0
	}
	switch {
	case x.why == ByCache, x.ask.Route.Kind == answer.Resource, x.ask.Route.Kind == answer.Control:
		o.Cost = 0
	case out.Usage.Reported:
		p := x.arm.backend.price(out.Model)
		o.Cost = p.cost(&out.Usage, out.ServiceTier, 0)
	}
	return o
}

// reclassify has Config.Classify look at an outcome. What it must not turn into a
// success stays as it is, and a panic changes nothing.
func (r *Router) reclassify(ask answer.Ask, head []byte, o *answer.Outcome) {
	if r.classify == nil {
		return
	}
	if o.Class != analysis.Unread && o.Class != analysis.Invalid {
		head = nil
	}
	changed := *o
	if p := contain(func() { r.classify(ask, head, &changed) }); p != nil {
		r.panicked("Classify", p)
		return
	}
	if !changed.Class.Failed() && changed.Class != o.Class {
		if o.Status == 0 {
			return // there was no answer
		}
		switch o.Class {
		case analysis.Abandoned, analysis.Cancelled, analysis.Timeout, analysis.Truncated:
			return
		}
	}
	o.Class, o.Why = changed.Class, changed.Why
	switch {
	case o.Class == analysis.OK || o.Class == analysis.Refused:
		o.Err = nil
	case o.Err == nil:
		o.Err = &answer.Error{Class: o.Class, Why: o.Why, Status: o.Status}
	}
}

// contain calls a function of the configuration and returns what it panicked with.
func contain(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}
