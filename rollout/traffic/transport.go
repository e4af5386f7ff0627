package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// upstream is where an arm is served, for the RoundTripper.
type upstream struct {
	base      *url.URL
	transport http.RoundTripper
}

// send sends out, a copy of a request, to where the arm is served.
func (u *upstream) send(out *http.Request, target *url.URL) (*http.Response, error) {
	*target = *out.URL
	out.URL = target
	(&httputil.ProxyRequest{In: out, Out: out}).SetURL(u.base)
	return u.transport.RoundTrip(out)
}

// RoundTripper returns the router as a transport for services that call models
// themselves. Requests go to the URL of their arm, whose path is put before
// theirs; scheme and host of the request are replaced. Responses carry the
// headers Serin-Version and Serin-Request-Id. A request ends, and is recorded,
// when the body of its response has been read to the end or closed.
//
// Bodies of requests that can be had again through GetBody are not copied.
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
	body, err := holdOutgoing(req, r.maxBody)
	if err != nil {
		return nil, fmt.Errorf("traffic: body of the request: %w", err)
	}
	c := &call{body: body}
	x := &c.exchange
	c.reply.copy(r, x, req)
	c.glimpse.show(&c.body, c.reply.out)
	t := r.begin(x, c.reply.out)
	if t.mirrors != nil {
		r.mirror(t, x, c.reply.out, &c.body)
	}

	base := t.baseline()
	rescuable := r.rescues(x, base, &c.body, req) && base.upstream != nil
	resp, e := c.reply.exchange(r, x.arm, &c.body, rescuable)
	if resp != nil {
		return resp, nil
	}
	if !rescuable || e.gone != nil && e.gone != errCut {
		x.finish(e)
		return nil, e.err()
	}
	r.budget.take(base.stats, x.began, 1)
	r.logRescue(req.Context(), x, e)
	failed := e // a copy: e itself need not live beyond this call where all goes well
	second := &reply{instead: &failed}
	second.copy(r, x, req)
	resp, e2 := second.exchange(r, base, &c.body, false)
	if resp == nil {
		x.rescued(e)
		return nil, e2.err()
	}
	return resp, nil
}

// err is what the caller of a RoundTripper is told when there is no response.
func (e ending) err() error {
	switch {
	case e.expired:
		return errFirstByte
	case e.gone != nil:
		return e.gone
	}
	return e.broken
}

// copy makes b.out a copy of req with a context of its own.
func (b *reply) copy(r *Router, x *exchange, req *http.Request) {
	b.x, b.caller = x, req.Context()
	ctx := b.caller
	if r.alarms.patience > 0 || r.drain != 0 {
		ctx, b.cancel = context.WithCancelCause(ctx)
	}
	b.out = req.WithContext(ctx)
}

// exchange sends b.out with the given body to an arm, and returns the response
// with b as its body. Without a response the exchange is not recorded yet. While
// a rescue is possible, it waits for the first byte of the body.
func (b *reply) exchange(r *Router, to *arm, body *payload, rescuable bool) (*http.Response, ending) {
	b.arm = to
	to.stats.inFlight.Add(1)
	r.alarms.set(&b.alarm, b)
	if r.drain != 0 {
		b.stop = r.mortal(to, b.cancel)
	}
	if err := body.attach(b.out); err != nil {
		b.release()
		return nil, ending{broken: fmt.Errorf("traffic: body of the request: %w", err)}
	}
	if to.upstream == nil {
		b.release()
		return nil, ending{broken: errors.Join(fmt.Errorf("traffic: arm %q has no URL", to.name), b.out.Body.Close())}
	}
	resp, err := to.upstream.send(b.out, &b.target)
	if err != nil {
		b.release()
		return nil, b.ending(err)
	}
	if b.instead == nil {
		b.x.answer(resp.StatusCode, resp.Header)
	}
	b.id[0] = b.x.id
	resp.Header[VersionHeader] = to.header
	resp.Header[RequestHeader] = b.id[:]
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The connection is the caller's now; wrapping it would cost abilities.
		b.finish(ending{})
		return resp, ending{}
	}
	b.body, b.length = resp.Body, resp.ContentLength
	if rescuable {
		if err := b.await(resp.StatusCode); err != nil {
			e := b.ending(err)
			_ = b.body.Close() // what it says of an answer that is given up is of no use
			b.release()
			return nil, e
		}
	}
	resp.Body = b
	return resp, ending{}
}

// reply is one attempt to have a request answered, and the body of the response,
// measured as it is read.
type reply struct {
	x       *exchange
	arm     *arm
	instead *ending // how the arm failed in whose place this one serves
	caller  context.Context
	cancel  context.CancelCauseFunc // nil without a timeout
	stop    func() bool             // nil where arms may always finish
	alarm   alarm

	out    *http.Request
	target url.URL
	id     [1]string

	progress atomic.Uint32

	body   io.ReadCloser
	length int64     // as announced, -1 if it was not
	first  []byte    // read already, not yet given out
	after  error     // what came behind first
	ahead  [128]byte // where first lies, unless it is longer
	holds  bool      // while first is gathered, until it shows that there is an answer

	mu    sync.Mutex // Close may come while a Read is under way
	read  int64
	ended bool
}

// expire gives the request up unless the first byte has come.
func (b *reply) expire() {
	if b.progress.CompareAndSwap(waiting, expired) {
		b.cancel(errFirstByte)
	}
}

// await reads the first bytes of the body, or finds out that there is none to
// come. An error means that the arm has not answered.
func (b *reply) await(status int) error {
	if status >= 500 {
		_, _ = io.CopyN(io.Discard, b.body, maxDropped) // keeps the connection usable
		return fmt.Errorf("traffic: the arm answered with status %d", status)
	}
	b.holds = b.x.holds()
	var since time.Duration
	buf := b.ahead[:]
	for {
		n, err := b.receive(buf)
		if n == 0 && err == nil {
			continue
		}
		if len(b.first) == 0 && n == 0 && err != io.EOF {
			return err
		}
		if b.first == nil {
			b.first, since = b.ahead[:n:n], time.Since(b.x.began)
		} else {
			b.first = append(b.first, buf[:n]...)
		}
		if b.after = err; !b.holds {
			return nil
		}
		switch v, broken := b.x.weigh(len(b.first), time.Since(b.x.began)-since); {
		case v == failed:
			return broken
		case v == undecided && err == nil:
			if &buf[0] == &b.ahead[0] {
				buf = make([]byte, 512) // first lies where the last read went
			}
			continue
		case v == undecided && err != io.EOF:
			return err
		case v == undecided && b.x.empty():
			return errBrokenOff
		}
		b.holds = false
		if !b.progress.CompareAndSwap(waiting, answering) {
			return errFirstByte
		}
		b.x.router.alarms.stop(&b.alarm)
		return nil
	}
}

// receive reads from the arm and measures what came.
func (b *reply) receive(p []byte) (int, error) {
	asked := time.Since(b.x.began)
	n, err := b.body.Read(p)
	if n > 0 && !b.holds && b.progress.Load() == waiting && b.progress.CompareAndSwap(waiting, answering) {
		b.x.router.alarms.stop(&b.alarm)
	}
	if n > 0 {
		at := time.Since(b.x.began)
		b.mu.Lock()
		b.read += int64(n)
		if b.instead == nil && !b.ended {
			if c := &b.x.caller; c.back > 0 {
				c.took(c.back, asked)
				b.x.feed(p[:n], c.arrives(asked, at))
			} else {
				b.x.feed(p[:n], at)
			}
			b.x.caller.back = at
		}
		b.mu.Unlock()
	}
	return n, err
}

// Read implements [io.Reader].
func (b *reply) Read(p []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	n, err := 0, b.after
	if err == nil {
		n, err = b.receive(p)
	}
	if err == io.EOF {
		b.finish(ending{})
	} else if err != nil {
		e := b.ending(err)
		b.finish(e)
		if e.expired {
			err = errFirstByte
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
	return b.body.Close()
}

var errClosed = errors.New("traffic: the body was closed before its end")

// ending interprets an error of the arm's connection.
func (b *reply) ending(err error) ending {
	e := ending{expired: b.progress.Load() == expired, gone: b.caller.Err()}
	if e.gone == nil && b.cancel != nil && context.Cause(b.out.Context()) == errCut {
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
	b.mu.Unlock()
	if ended {
		return
	}
	b.release()
	if b.instead != nil {
		b.x.rescued(*b.instead)
		return
	}
	b.x.finish(e)
}

// release lets go of what an attempt holds. Its context ends only here, when
// nobody reads from it any more.
func (b *reply) release() {
	if b.progress.Load() != answering {
		b.x.router.alarms.stop(&b.alarm)
	}
	b.arm.stats.inFlight.Add(-1)
	if b.stop != nil {
		b.stop()
	}
	if b.cancel != nil && b.x.status != http.StatusSwitchingProtocols {
		b.cancel(nil)
	}
}
