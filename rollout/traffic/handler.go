package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
)

var _ http.Handler = (*Router)(nil)

// ServeHTTP serves the request by the arm that the split in force assigns it to,
// or by the baseline if that arm fails before it has answered. It supports what
// the server below it supports: flushing, informational answers, trailers and
// hijacking.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := hold(req, r.maxBody)
	if err != nil {
		r.reject(w, req, err)
		return
	}
	c := &visit{body: body}
	x := &c.exchange
	ctx, cancel := context.WithCancelCause(req.Context())
	in := req.WithContext(ctx) // a copy, since req must not be modified
	c.glimpse.show(&c.body, in)
	t := r.begin(x, in)
	if t.mirrors != nil {
		r.mirror(t, x, in, &c.body)
	}

	base := t.baseline()
	rescuable := r.rescues(x, base, &c.body, req) && base.backend.Handler != nil
	c.writer = writer{ResponseWriter: w, x: x, arm: x.arm, cancel: cancel, rescuable: rescuable, measured: true}
	first := r.serve(&c.writer, req, in, &c.body)
	if !first.rescue {
		x.finish(first.ending)
		first.leave()
		return
	}
	r.budget.take(base.stats, x.began, 1)
	r.logRescue(req.Context(), x, first.ending)
	ctx, cancel = context.WithCancelCause(req.Context())
	second := r.serve(&writer{ResponseWriter: w, x: x, arm: base, cancel: cancel}, req, req.WithContext(ctx), &c.body)
	x.rescued(first.ending)
	second.leave()
}

// visit is one request through ServeHTTP with what it needs, in one piece of
// memory.
type visit struct {
	exchange exchange
	body     payload
	glimpse  glimpse
	writer   writer
}

// rescues reports whether a request could be served by base instead of the arm
// that it is assigned to.
func (r *Router) rescues(x *exchange, base *arm, body *payload, req *http.Request) bool {
	return !r.noRescue && base != nil && base != x.arm && body.held && req.Header.Get("Upgrade") == "" && r.budget.allows(base.stats, x.began)
}

// attempt is how one try went to have a request served by an arm.
type attempt struct {
	ending   ending
	rescue   bool // nothing has reached the caller, and the baseline should serve
	panicked any  // what is to be panicked with, after all is accounted for
}

// leave ends the request in a way that the caller of ServeHTTP can see.
func (t attempt) leave() {
	if t.panicked != nil {
		panic(t.panicked)
	}
}

// serve makes one attempt: wr's arm serves in, a copy of req whose context wr can
// cancel.
func (r *Router) serve(wr *writer, req, in *http.Request, body *payload) (t attempt) {
	defer wr.cancel(nil)
	_ = body.attach(in) // only a body that is made anew can fail
	if !body.held {
		// The body arrives while the answer may be under way already; without
		// this, a server would cut the one when the other begins.
		_ = http.NewResponseController(wr.ResponseWriter).EnableFullDuplex() // not every server needs or has it
	}
	if h := wr.Header(); len(h) > 0 {
		wr.outer = maps.Clone(h)
	}
	r.alarms.set(&wr.alarm, wr)
	defer r.alarms.stop(&wr.alarm)
	wr.arm.stats.inFlight.Add(1)
	defer wr.arm.stats.inFlight.Add(-1)
	defer r.mortal(wr.arm, wr.cancel)()

	p := r.run(wr.arm, wr, in)
	t.conclude(req.Context(), wr, p, context.Cause(in.Context()) == errCut)
	return t
}

// conclude draws the conclusions from a handler that has returned, or panicked
// with p; cut says that its arm had no more time.
func (t *attempt) conclude(ctx context.Context, wr *writer, p any, cut bool) {
	e := &t.ending
	e.expired = wr.progress.Load() == expired
	e.broken = wr.failure
	switch {
	case p == nil:
	case p == http.ErrAbortHandler && e.broken != nil: // it was stopped because of that
	case p == http.ErrAbortHandler:
		e.broken = errBrokenOff
	default:
		e.broken = fmt.Errorf("traffic: the handler panicked: %v", p)
	}
	if e.gone = ctx.Err(); e.gone == nil {
		e.gone = wr.gone
	}
	if cut && p != nil {
		e.gone = errCut
	}
	unanswered := p != nil || e.expired || wr.status >= 500 || wr.failure != nil
	if len(wr.held) > 0 && !unanswered && wr.x.empty() {
		unanswered, e.broken = true, errBrokenOff
	}
	if wr.rescuable && unanswered && (e.gone == nil || e.gone == errCut) && !wr.sent && !wr.hijacked {
		t.rescue = true
		wr.restore()
		return
	}
	switch {
	case e.expired || p == nil:
		wr.conclude()
	default:
		t.panicked = p
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

// reject answers a request whose body could not be read. It is recorded, too:
// somebody asked and was not served.
func (r *Router) reject(w http.ResponseWriter, req *http.Request, err error) {
	in := req.WithContext(req.Context())
	in.Body = http.NoBody
	x := new(exchange)
	r.begin(x, in)
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		status = http.StatusRequestEntityTooLarge
	}
	wr := &writer{ResponseWriter: w, x: x, arm: x.arm, measured: true}
	writeError(wr, status, "the body of the request could not be read")
	x.finish(ending{gone: req.Context().Err()})
}
