package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/attempts"
)

// upstream is where an arm is served, for the RoundTripper.
type upstream struct {
	base      *url.URL
	transport http.RoundTripper
}

// send sends out, a copy of a request, to where an arm is served.
func (r *Router) send(u *upstream, out *http.Request, target *url.URL) (*http.Response, error) {
	*target = *out.URL
	out.URL = target
	(&httputil.ProxyRequest{In: out, Out: out}).SetURL(u.base)
	resp, err := u.transport.RoundTrip(out)
	if err == nil && largeHeader(resp.Header, nil) {
		_ = r.closeBody(resp.Body) // what it says of an answer that is given up is of no use
		return nil, errLargeHeader
	}
	return resp, err
}

// RoundTripper returns the router as a transport for services that call models
// themselves. Requests go to the URL of their arm, whose path is put before
// theirs; scheme and host of the request are replaced. Responses carry the
// headers Serin-Version and Serin-Request-Id. A request ends, and is recorded,
// when the body of its response has been read to the end or closed.
//
// Bodies of requests that can be had again through GetBody are not held; they are
// copied where an arm is sent something else. Errors of its own: a [*ShapeError], and a
// [*BodyMemoryError].
func (r *Router) RoundTripper() http.RoundTripper { return (*roundTripper)(r) }

type roundTripper Router

// call is one request through the RoundTripper with all that it needs, in one
// piece of memory.
type call struct {
	exchange exchange
	body     payload
	glimpse  glimpse
	reply    reply
}

// RoundTrip implements [http.RoundTripper].
func (rt *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	r := (*Router)(rt)
	body, err := r.holdOutgoing(req)
	if err != nil {
		body.share.end()
		return nil, r.unheld(fmt.Errorf("traffic: body of the request: %w", err))
	}
	c := &call{body: body}
	resp, err := r.roundTrip(c, req)
	if err != nil {
		c.exchange.leg.settle()
		c.body.share.end()
		if unsent := c.body.body; unsent != nil {
			_ = unsent.Close() // nothing was done with it
		}
	}
	return resp, err
}

// unheld counts a request that was sent to no arm, and returns the reason.
func (r *Router) unheld(err error) error {
	var memory *BodyMemoryError
	var misfit *ShapeError
	var unpaid *accountError
	switch {
	case errors.As(err, &memory):
		r.unserved.add("body memory")
		return memory
	case errors.As(err, &misfit):
		r.unserved.add("model cannot be set")
	case errors.As(err, &unpaid):
		r.unserved.add("budget")
		return unpaid.error
	}
	return err
}

// roundTrip sends a request whose body is held.
func (r *Router) roundTrip(c *call, req *http.Request) (*http.Response, error) {
	x := &c.exchange
	var err error
	if x.ask, err = r.askOfOutgoing(req, &c.body); err != nil {
		return nil, r.unheld(err)
	}
	x.leg = r.leg(req.Context())
	c.reply.leg = x.leg
	c.reply.copy(r, x, req)
	c.glimpse.show(&c.body, c.reply.out)
	t, err := r.begin(x, c.reply.out, &c.body, false)
	if err != nil {
		if c.reply.cancel != nil {
			c.reply.cancel(nil)
		}
		return nil, r.unheld(err)
	}

	base := t.baseline()
	fallback := r.mayFallBack(x, base, &c.body, req) && base.upstream != nil
	resp, e := c.reply.exchange(r, x.arm, &c.body, fallback)
	if resp != nil {
		return resp, nil
	}
	x.end(e)
	if !fallback || x.once() && x.accepted(e) || e.gone != nil && e.gone != errCut || e.gone == nil && e.broken != errNoAnswer && !x.falls(e) {
		x.finish(e)
		return nil, e.err()
	}
	r.budget.take(base.stats, x.began, 1)
	r.logFallback(req.Context(), x)
	opinion := x.outcome.Class == analysis.Rejected
	if !opinion {
		x.fellBack()
	}
	second := &reply{instead: true, leg: x.second(req, &c.body, base, opinion)}
	second.copy(r, x, req)
	resp, e2 := second.exchange(r, base, &c.body, false)
	if resp == nil {
		second.leg.end(e2)
		x.confirmed(0)
		return nil, e2.err()
	}
	x.confirmed(resp.StatusCode)
	return resp, nil
}

// copy makes b.out a copy of req with a context of its own.
func (b *reply) copy(r *Router, x *exchange, req *http.Request) {
	b.x, b.caller = x, req.Context()
	ctx := x.context(b.caller, b.leg)
	if r.limits.timed() || r.drain != 0 {
		ctx, b.cancel = context.WithCancelCause(ctx)
	}
	b.out = req.WithContext(ctx)
	// A copy with room for what the router adds, as req must not be modified.
	b.out.Header = make(http.Header, len(req.Header)+2)
	maps.Copy(b.out.Header, req.Header)
}

// exchange sends b.out with the given body to an arm, and returns the response
// with b as its body. Without a response the exchange is not reported yet. While
// a fallback is possible, it waits until the body shows whether there is an answer.
func (b *reply) exchange(r *Router, to *arm, body *payload, fallback bool) (*http.Response, ending) {
	b.arm = to
	to.stats.inFlight.Add(1)
	if b.cancel != nil {
		if first := b.limit(&r.limits, b.x, time.Since(b.x.began), fallback); first > 0 {
			r.deadlines.set(&b.deadline, b, time.Now().Add(first))
		}
	}
	if r.drain != 0 {
		b.stop = r.cancelOnDrain(to, b.cancel)
	}
	resp, err := b.ask(r, to, body)
	if err != nil {
		b.release()
		return nil, b.ending(err)
	}
	dropForeign(resp.Header, to)
	if b.instead {
		b.leg.start(resp.StatusCode, resp.Header)
	} else {
		b.x.start(resp.StatusCode, resp.Header)
	}
	b.id[0] = b.x.id
	resp.Header[VersionHeader] = to.header
	resp.Header[RequestHeader] = b.id[:]
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The connection is the caller's now; wrapping it would cost abilities.
		b.finish(ending{})
		return resp, ending{}
	}
	if b.x.makes {
		b.ids = r.idsOf(to, resp.StatusCode, resp.Header)
	}
	b.body, b.length, b.resp = resp.Body, resp.ContentLength, resp
	if fallback {
		if e, ok := b.await(); !ok {
			_ = r.closeBody(b.body) // what it says of an answer that is given up is of no use
			b.release()
			return nil, e
		}
	}
	if b.asked != nil {
		if b.filter = b.x.usageFilter(to, resp.StatusCode, resp.Header); b.filter != nil {
			resp.ContentLength = -1
		}
	}
	resp.Body = b
	return resp, ending{}
}

// ask sends the request to an arm, and once more if the arm refuses the usage option.
func (b *reply) ask(r *Router, to *arm, body *payload) (*http.Response, error) {
	s, err := b.x.shaped(to, b.out, body)
	if err != nil {
		return nil, err
	}
	if !s.usage {
		return b.send(r, to, body, s, b.out, &b.target)
	}
	ctx, stop := context.WithCancelCause(b.out.Context())
	out := b.out.WithContext(ctx) // a transport may hold on to it for longer
	out.Header = b.out.Header.Clone()
	resp, err := b.send(r, to, body, s, out, new(url.URL))
	if err != nil || !refusesUsage(resp.StatusCode) {
		b.asked = stop
		return resp, err
	}
	lingers := r.limits.linger(stop)
	_, _ = io.CopyN(io.Discard, refusal{r, resp.Body}, maxDropped) // which keeps the connection usable
	_ = r.closeBody(resp.Body)
	lingers()
	stop(nil)
	b.x.askPlain(to)
	if s, err = b.x.shaped(to, b.out, body); err != nil {
		return nil, err
	}
	if resp, err = b.send(r, to, body, s, b.out, &b.target); err == nil {
		b.x.answeredPlain(to, resp.StatusCode)
	}
	return resp, err
}

// refusal is the body of an answer that the caller does not see.
type refusal struct {
	router *Router
	body   io.Reader
}

func (r refusal) Read(p []byte) (int, error) { return r.router.read(r.body, p) }

// send makes out what an arm is to be sent, and sends it.
func (b *reply) send(r *Router, to *arm, body *payload, s shaped, out *http.Request, target *url.URL) (*http.Response, error) {
	if s.url != nil {
		out.URL = s.url
	}
	if s.body != body {
		dropDigests(out.Header)
		if body.body != nil { // what is sent instead was read from a copy of it
			_ = body.body.Close()
			body.body = nil
		}
	}
	r.dress(to, out, false)
	if b.instead {
		dropKeys(out.Header)
	}
	askPlainly(out, b.x.ask.Route.Kind, b.x.once())
	if err := s.body.attach(out, to.stats); err != nil {
		return nil, &attempts.UnsentError{Err: fmt.Errorf("traffic: body of the request: %w", err)}
	}
	keepSingle(out, &b.x.ask, b.x.once())
	if to.upstream == nil {
		return nil, &attempts.UnsentError{Err: errors.Join(fmt.Errorf("traffic: arm %q has no URL", to.name), out.Body.Close())}
	}
	return r.send(to.upstream, out, target)
}

// reply is one attempt to have a request answered, and the body of the response,
// measured as it is read.
type reply struct {
	x        *exchange
	arm      *arm
	instead  bool // another arm has failed, in whose place this one serves
	leg      *leg // nil unless the request is charged
	caller   context.Context
	cancel   context.CancelCauseFunc // nil without a time limit
	stop     func() bool             // nil where arms may always finish
	asked    context.CancelCauseFunc // ends the request with the usage option; nil without it
	deadline deadline
	progress

	out    *http.Request
	target url.URL
	id     [1]string

	ids    *idReader // of what the answer says was made; nil if it does not
	resp   *http.Response
	body   io.ReadCloser
	length int64     // as announced, -1 if it was not
	first  []byte    // read already, not yet given out
	after  error     // what came behind first
	ahead  [128]byte // where first lies, unless it is longer
	holds  bool      // while first is gathered, until it shows that there is an answer
	filter *usageFilter
	rest   []byte // what it has let pass, not yet given out
	end    error  // behind that

	mu    sync.Mutex // Close may come while a Read is under way
	read  int64
	ended bool
}

// overdue implements [overdue].
func (b *reply) overdue(now time.Time) time.Time {
	return b.check(now.Sub(b.x.began), b.x, b.cancel)
}

// await reads the first bytes of the body until they show whether there is an
// answer. Without an answer it returns false, and how the attempt ended.
func (b *reply) await() (ending, bool) {
	b.holds = true
	defer func() { b.holds = false }()
	if b.cancel != nil && b.x.settled() {
		defer b.x.router.limits.linger(b.cancel)()
	}
	var since time.Duration
	store, k := b.ahead[:], 0
	if n := b.length; n > int64(len(store)) && n <= maxHeldDocument && b.x.reader.Form() != answer.EventStream {
		store = make([]byte, n+1) // a document in one piece, with room for its end
	}
	for {
		n, err := b.receive(store[k:])
		if n == 0 && err == nil {
			continue
		}
		if b.first == nil {
			since = time.Since(b.x.began)
		}
		k += n
		b.first = store[:k:k]
		b.after = err
		state := b.x.weigh(len(b.first), time.Since(b.x.began)-since)
		switch {
		case state == begun:
			if !b.answers() {
				return b.ending(errNoAnswer), false
			}
			return ending{}, true
		case err == nil && state == failed && b.x.hopeless(b.x.status, len(b.first)):
			if b.x.stays() {
				ok := b.answers()
				return ending{expired: b.progress.ended()}, ok
			}
			return ending{broken: errNoAnswer}, false
		case err == nil:
			if len(store)-k < len(b.ahead) { // a part of an event would show less than all of it
				store = append(store[:k], make([]byte, max(len(store), heldMin))...)
			}
			continue
		}
		e := b.bodyEnding(err)
		if b.x.end(e); e.gone != nil || b.x.falls(e) {
			return e, false
		}
		ok := b.answers()
		return ending{expired: b.progress.ended()}, ok
	}
}

// heldMin is what the memory for a beginning that is held back grows by, at least.
const heldMin = 4 << 10

// receive reads from the arm and measures what came.
func (b *reply) receive(p []byte) (int, error) {
	asked := time.Since(b.x.began)
	b.touch(asked)
	n, err := b.x.router.read(b.body, p)
	b.touch(busy)
	if err == io.EOF && largeHeader(b.resp.Trailer, nil) {
		clear(b.resp.Trailer)
	}
	if n > 0 {
		b.ids.feed(p[:n])
		if b.holds {
			b.peeks()
		} else if b.phase.Load() != answering {
			b.answers()
		}
		at := time.Since(b.x.began)
		b.mu.Lock()
		b.read += int64(n)
		if b.instead && !b.ended {
			b.leg.feed(p[:n], at)
		} else if !b.ended {
			if c := &b.x.caller; c.back > 0 && !b.holds { // what await takes is not the caller's time
				c.took(c.back, asked)
				b.x.feed(p[:n], c.arrives(asked, at))
			} else {
				b.x.feed(p[:n], at)
			}
			b.x.caller.back = at
			if b.cancel != nil && b.x.silent(at) {
				b.stall(b.cancel)
			}
		}
		b.mu.Unlock()
	}
	return n, err
}

// Read implements [io.Reader].
func (b *reply) Read(p []byte) (int, error) {
	if b.filter == nil || len(p) == 0 {
		return b.take(p)
	}
	for len(b.rest) == 0 {
		if b.end != nil {
			return 0, b.end
		}
		var n int
		if n, b.end = b.take(p); n > 0 {
			b.rest = b.filter.feed(p[:n])
		}
		if b.end != nil {
			b.rest = append(slices.Clone(b.rest), b.filter.end()...)
		} else if len(b.rest) > 0 && &b.rest[0] == &p[0] {
			n, b.rest = len(b.rest), nil
			return n, nil
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// take reads what the arm has sent.
func (b *reply) take(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	n, err := 0, b.after
	if err == nil {
		n, err = b.receive(p)
	}
	if err != nil {
		e := b.bodyEnding(err)
		b.finish(e)
		if e.expired != nil {
			err = e.expired
		}
	}
	return n, err
}

// Close implements [io.Closer]. Closing a body whose end was not reached means
// that the caller has lost interest, unless everything that matters had come.
func (b *reply) Close() error {
	b.mu.Lock()
	complete := b.read == b.length
	b.mu.Unlock()
	e := ending{}
	if !complete {
		e.gone = errClosed
	}
	b.finish(e)
	return b.x.router.closeBody(b.body)
}

var errClosed = errors.New("traffic: the body was closed before its end")

// bodyEnding interprets the error that ends the body. io.EOF is its ordinary end,
// but a server may also end its answer well when it was given up, or its caller left.
func (b *reply) bodyEnding(err error) ending {
	if err == io.EOF {
		return ending{expired: b.progress.ended(), gone: left(b.caller)}
	}
	return b.ending(err)
}

// ending interprets an error of the arm's connection.
func (b *reply) ending(err error) ending {
	e := ending{expired: b.progress.ended(), gone: left(b.caller), unsent: attempts.Unsent(err)}
	if e.expired == nil && e.gone == nil && b.cancel != nil && context.Cause(b.out.Context()) == errCut {
		e.gone = errCut
	}
	if e.gone == nil {
		e.broken = err
	}
	return e
}

// finish records the exchange, once.
func (b *reply) finish(e ending) {
	b.mu.Lock()
	ended := b.ended
	b.ended = true
	if b.instead {
		b.leg.end(e)
		if e.gone == ErrCut && !ended {
			b.arm.stats.cut.Add(1)
		}
	}
	b.mu.Unlock()
	if ended {
		return
	}
	b.release()
	b.x.held.end()
	if !b.instead {
		b.x.finish(e)
	}
	b.x.leg.settle()
}

// release lets go of what an attempt holds. Its context ends only here, when the
// answer is not read any more.
func (b *reply) release() {
	b.x.router.deadlines.stop(&b.deadline)
	b.arm.stats.inFlight.Add(-1)
	if b.stop != nil {
		b.stop()
	}
	if b.asked != nil && b.x.status != http.StatusSwitchingProtocols {
		b.asked(nil)
	}
	if b.cancel != nil && b.x.status != http.StatusSwitchingProtocols {
		b.cancel(nil)
	}
}
