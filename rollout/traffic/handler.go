package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

var _ http.Handler = (*Router)(nil)

// ServeHTTP serves the request by the arm that the split in force assigns it to,
// or by the baseline if that arm fails before it has answered. It supports what
// the server below it supports: flushing, informational answers, trailers and
// hijacking.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !r.allowControl && r.routeOf(req).Kind == answer.Control {
		r.unserved.add("control route")
		writeError(w, http.StatusForbidden, "this route is closed here")
		return
	}
	body, err := r.hold(w, req)
	if err != nil {
		r.reject(w, err)
		return
	}
	c := &visit{body: body}
	defer c.body.share.end()
	x := &c.exchange
	x.leg = r.leg(req.Context())
	x.ask = r.askOf(req, c.body.data, c.body.held)
	ctx, cancel := context.WithCancelCause(x.context(req.Context(), x.leg))
	in := req.WithContext(ctx) // a copy, since req must not be modified
	c.glimpse.show(&c.body, in)
	t, err := r.begin(x, in, &c.body, true)
	if err != nil {
		cancel(nil)
		r.reject(w, err)
		return
	}
	defer x.leg.settle()
	defer x.settle()

	base := t.baseline()
	fallback := r.mayFallBack(x, base, &c.body, req) && base.backend.Handler != nil
	c.writer = writer{ResponseWriter: w, x: x, arm: x.arm, timed: c.body.timed, cancel: cancel, fallback: fallback, measured: true}
	first := r.serve(&c.writer, req, in, &c.body)
	if why := c.body.timed.fault(); why != "" {
		r.unserved.add(why)
		x.dismiss(first.ending)
		first.repanic()
		return
	}
	if !first.fallback {
		x.finish(first.ending)
		first.repanic()
		return
	}
	r.budget.take(base.stats, x.began, 1)
	r.logFallback(req.Context(), x)
	opinion := x.outcome.Class == analysis.Rejected
	if !opinion {
		x.fellBack()
	}
	l := x.second(req, &c.body, base, opinion)
	ctx, cancel = context.WithCancelCause(x.context(req.Context(), l))
	second := r.serve(&writer{ResponseWriter: w, x: x, arm: base, cancel: cancel, opinion: opinion, leg: l}, req, req.WithContext(ctx), &c.body)
	l.end(second.ending)
	x.confirmed(0) // unless the baseline's status was enough
	second.repanic()
}

// visit is one request through ServeHTTP with what it needs, in one piece of
// memory.
type visit struct {
	exchange exchange
	body     payload
	glimpse  glimpse
	writer   writer
}

// attempt is how one try went to have a request served by an arm.
type attempt struct {
	ending   ending
	fallback bool // nothing has reached the caller, and the baseline should serve
	panicked any  // what is to be panicked with, after all is accounted for
}

// repanic raises the panic of the handler again.
func (t attempt) repanic() {
	if t.panicked != nil {
		panic(t.panicked)
	}
}

// serve makes one attempt: wr's arm serves in, a copy of req whose context wr can
// cancel.
func (r *Router) serve(wr *writer, req, in *http.Request, body *payload) (t attempt) {
	defer wr.cancel(nil)
	if !body.held {
		// The body arrives while the answer may be under way already; without
		// this, a server would cut the one when the other begins.
		_ = http.NewResponseController(wr.ResponseWriter).EnableFullDuplex() // not every server needs or has it
		// What is left of it must be read before the handler returns (golang/go#68560).
		defer func() { _ = req.Body.Close() }()
	}
	if h := wr.Header(); len(h) > 0 {
		wr.outer = maps.Clone(h)
	}
	if first := wr.limit(&r.limits, wr.x, time.Since(wr.x.began), wr.fallback); first > 0 {
		r.deadlines.set(&wr.deadline, wr, time.Now().Add(first))
		defer r.deadlines.stop(&wr.deadline)
	}
	wr.arm.stats.inFlight.Add(1)
	defer wr.arm.stats.inFlight.Add(-1)
	defer r.cancelOnDrain(wr.arm, wr.cancel)()

	p := r.serveOnce(wr, req, in, body)
	if wr.declined {
		wr.forget()
		p = r.serveOnce(wr, req, req.WithContext(in.Context()), body)
	}
	t.conclude(req.Context(), wr, p, context.Cause(in.Context()) == errCut)
	wr.rest()
	return t
}

// serveOnce has wr's arm serve in, which it makes what the arm is to be sent. It
// returns what the handler panicked with.
func (r *Router) serveOnce(wr *writer, req, in *http.Request, body *payload) (p any) {
	s, err := wr.x.shaped(wr.arm, req, body)
	if err != nil { // of an arm that is asked after another one, or once more
		wr.failure = err
		noMemory(wr)
		return nil
	}
	if s.url != nil {
		in.URL = s.url
	}
	once := wr.x.once() || r.routes != nil && wr.x.ask.Route.Kind != answer.Inference // which the path need not say
	elsewhere := !wr.measured && hasKeys(in.Header)                                   // at another arm than the first one
	if changed := s.body != body; wr.arm.own || changed || once || elsewhere {
		in.Header = in.Header.Clone()
		if wr.arm.own {
			if len(r.trusted) > 0 || forwarded(in.Header) {
				r.trusted.forward(req, in.Header)
				in = in.WithContext(context.WithValue(in.Context(), forwardedKey, true))
			}
			r.dress(wr.arm, in, false)
		}
		if once {
			in.Header[onceHeader] = nil
		}
		if elsewhere {
			dropKeys(in.Header)
		}
		if changed {
			dropDigests(in.Header)
		}
	}
	_ = s.body.attach(in, wr.arm.stats) // only a body that is read again can fail
	keepSingle(in, &wr.x.ask, wr.x.once())
	if wr.asked = s.usage; wr.asked {
		in.Header["Accept-Encoding"] = identityOnly // a Handler of the configuration may pass it on
		ctx, stop := context.WithCancelCause(in.Context())
		defer stop(nil)
		in, wr.stop = in.WithContext(ctx), stop
	}
	p = r.run(wr.arm, wr, in)
	if wr.unlinger != nil {
		wr.unlinger()
		wr.unlinger = nil
	}
	return p
}

// conclude sets t from what a handler has done that has returned, or panicked with
// p; drained reports whether its arm had no more time.
func (t *attempt) conclude(ctx context.Context, wr *writer, p any, drained bool) {
	if p == nil && wr.status == 0 && !wr.hijacked && largeHeader(wr.Header(), wr.outer) {
		wr.WriteHeader(http.StatusOK) // as the server would; it is refused
	}
	e := &t.ending
	e.expired = wr.ended()
	e.broken = wr.failure
	switch {
	case p == nil:
	case p == http.ErrAbortHandler && e.broken != nil: // it was stopped because of that
	case p == http.ErrAbortHandler:
		e.broken = errBrokenOff
	default:
		e.broken = fmt.Errorf("traffic: the handler panicked: %v", p)
	}
	if e.gone = left(ctx); e.gone == nil {
		e.gone = wr.gone
	}
	if e.gone == nil && drained {
		e.gone = errCut
	}
	if wr.fallback && (e.gone == nil || e.gone == errCut) && !wr.sent && !wr.hijacked {
		if wr.status == 0 && p == nil && e.expired == nil && e.broken == nil {
			wr.WriteHeader(http.StatusOK) // as the server would
		}
		if o := wr.x.end(*e); wr.x.falls(*e) || (o.Class == analysis.Cancelled || e.broken == errNoAnswer) && !(wr.x.once() && wr.x.accepted(*e)) {
			t.fallback = true
			wr.restore()
			return
		}
	}
	switch {
	case e.gone == ErrCut && wr.unfinished(*e, p):
		t.panicked = wr.cutShort()
	case wr.refused && p == nil, wr.refused && p == http.ErrAbortHandler:
		wr.conclude()
	case p != nil && e.expired == nil || wr.sent && e.expired != nil:
		t.panicked = p
		if p == nil {
			t.panicked = http.ErrAbortHandler // the caller must see that there is an end missing
		}
	default:
		wr.conclude()
	}
}

// run calls the handler of an arm and returns what it panicked with.
func (r *Router) run(a *arm, w *writer, req *http.Request) (p any) {
	if a.backend.Handler == nil {
		upstreamError(w, req, fmt.Errorf("traffic: arm %q has neither Handler nor URL", a.name))
		return nil
	}
	defer func() {
		p = recover()
		if p != nil && p != http.ErrAbortHandler {
			r.logPanic(req.Context(), a, p, debug.Stack())
		}
	}()
	a.backend.Handler.ServeHTTP(w, req)
	return nil
}

// reject answers a request that is sent to no arm: its body could not be read, held or
// changed, or its account does not pay for it.
func (r *Router) reject(w http.ResponseWriter, err error) {
	status, why, text := http.StatusBadRequest, "body broken", "the body of the request could not be read"
	var large *http.MaxBytesError
	var misfit *ShapeError
	var unpaid *accountError
	switch {
	case isBodyMemory(err):
		r.unserved.add("body memory")
		noMemory(w)
		return
	case errors.As(err, &unpaid):
		r.unserved.add("budget")
		unpaid.refusal().ServeHTTP(w, nil)
		return
	case errors.As(err, &misfit):
		status, why, text = http.StatusRequestEntityTooLarge, "model cannot be set", "the model cannot be set in the body of the request"
	case errors.As(err, &large):
		status, why = http.StatusRequestEntityTooLarge, "body too large"
	case errors.Is(err, errSlowBody):
		status, why, text = http.StatusRequestTimeout, "body too slow", slowBody
		w.Header().Set("Connection", "close")
	}
	r.unserved.add(why)
	writeError(w, status, text)
}

// noMemory answers a request whose body finds no room in memory.
func noMemory(w http.ResponseWriter) {
	unavailable(w, "too many requests are being held; send this one again later")
}
