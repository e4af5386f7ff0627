package traffic

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// payload is the body of a request, held in memory if it is not too large, so
// that it can be sent more than once. There is a second reason: a server may
// close a request's body as soon as it begins to answer, and a proxy that is
// still passing on that body then breaks off an answer that had come already
// (golang/go#40747). With the body in memory this cannot happen.
type payload struct {
	data []byte
	body io.ReadCloser // the body as it came, if it is to be sent as it is
	held bool
	// timed, if not nil, is a body that is not held and has to come in time.
	timed *timedBody
	// again, if not nil, opens the body once more each time; then data is not used, and
	// length is what its maker says that it has.
	again  func() (io.ReadCloser, error)
	length int64
	// share is what the request takes of the memory for bodies.
	share share
}

// empty reports whether there is nothing in the payload.
func (p *payload) empty() bool { return p.held && p.again == nil && len(p.data) == 0 }

// open returns a reader of its own of a payload that is held.
func (p *payload) open() (io.ReadCloser, error) {
	if p.again != nil {
		return p.again()
	}
	// In just this form: net/http knows it for a reader that cannot block, and
	// writes header and body with one system call instead of two.
	return io.NopCloser(bytes.NewReader(p.data)), nil
}

// errSlowBody means that the body of a request did not come in time, and slowBody
// is what its caller reads.
var errSlowBody = errors.New("traffic: body of the request: not in time")

const slowBody = "the body of the request did not come in time"

// hold reads the body of a request that was received, up to the limit of the
// router and within its time.
func (r *Router) hold(w http.ResponseWriter, req *http.Request) (payload, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return payload{held: true}, nil
	}
	body := &timedBody{ReadCloser: req.Body, stall: r.limits.requestStall}
	if body.stall <= 0 {
		return r.holdBody(req, req.Body)
	}
	body.controller = http.NewResponseController(w)
	body.end = time.Now().Add(6*body.stall + time.Duration(max(req.ContentLength, 0)>>20)*time.Second)
	body.unknown = req.ContentLength < 0
	p, err := r.holdBody(req, body)
	switch {
	case err != nil:
	case p.held:
		body.untime()
	default:
		p.timed = body
	}
	return p, err
}

// timedBody is the body of a request that has to come in time: each read within
// stall, and all of it before end.
type timedBody struct {
	io.ReadCloser
	controller *http.ResponseController
	stall      time.Duration
	end        time.Time
	unknown    bool         // how long it is
	untimed    bool         // the server below has no deadlines
	armed      bool         // it has one
	due        atomic.Int64 // of the read under way, in nanoseconds since 1970; 0 between reads
	late       atomic.Bool
	large      atomic.Bool // a limit of the server has ended it, as of http.MaxBytesReader
}

// fault returns why the caller is to blame for a request that failed, or "".
func (b *timedBody) fault() string {
	switch {
	case b.isLate():
		return "body too slow"
	case b != nil && b.large.Load():
		return "body too large"
	}
	return ""
}

// isLate reports whether the body did not come in time. A server cancels its
// requests before the read that was late has returned.
func (b *timedBody) isLate() bool {
	if b == nil {
		return false
	}
	due := b.due.Load()
	return b.late.Load() || due != 0 && time.Now().UnixNano() >= due
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	if b.late.Load() {
		return 0, errSlowBody
	}
	due := time.Now().Add(b.stall)
	if b.end.Before(due) {
		due = b.end
	}
	if !b.untimed {
		b.untimed = b.controller.SetReadDeadline(due) != nil
		b.armed = !b.untimed
	}
	b.due.Store(due.UnixNano())
	var n int
	var err error
	if b.untimed {
		n, err = b.await(p, time.Until(due))
	} else {
		n, err = b.ReadCloser.Read(p)
	}
	if err != nil {
		err = b.stops(err)
	}
	b.due.Store(0)
	if n > 0 && b.unknown { // each MiB brings a second
		b.end = b.end.Add(time.Duration(n) * time.Second >> 20)
	}
	return n, err
}

// stops takes the error with which the body has ended, and returns the one to report.
func (b *timedBody) stops(err error) error {
	var large *http.MaxBytesError
	var timeout net.Error
	switch {
	case err == io.EOF:
	case errors.As(err, &large):
		b.large.Store(true)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		b.late.Store(true)
		return errSlowBody
	}
	b.untime()
	return err
}

// await reads in a goroutine of its own, which goes on until the body is closed if
// it does not come in time.
func (b *timedBody) await(p []byte, within time.Duration) (int, error) {
	type result struct {
		n   int
		err error
	}
	own := make([]byte, min(len(p), 32<<10)) // p must not be written to later
	read := make(chan result, 1)
	go func() {
		n, err := b.ReadCloser.Read(own)
		read <- result{n, err}
	}()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case r := <-read:
		return copy(p, own[:r.n]), r.err
	case <-timer.C:
		b.late.Store(true)
		return 0, errSlowBody
	}
}

// untime lifts the deadline: the server goes on reading to see its caller leave, for
// as long as the answer takes.
func (b *timedBody) untime() {
	if b.armed {
		b.armed = false
		_ = b.controller.SetReadDeadline(time.Time{}) // it could be set before
	}
}

// holdBody reads a body up to the limit of the router.
func (r *Router) holdBody(req *http.Request, body io.ReadCloser) (payload, error) {
	p := payload{share: share{memory: &r.bodies}}
	if req.ContentLength > r.maxBody {
		p.body = body
		return p, nil
	}
	data, err := p.share.read(body, req.ContentLength, r.maxBody) // a client says 0 when it does not know
	switch {
	case err != nil:
		p.share.end()
		return payload{}, err
	case int64(len(data)) > r.maxBody:
		p.body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(data), body), body}
	default:
		p.data, p.held = data, true
	}
	return p, nil
}

// holdOutgoing is like hold for a request that its maker sends: often the body
// can be had again without a copy, and then the one that came is sent first. A
// body that was read to its end is closed, as [http.RoundTripper] demands.
func (r *Router) holdOutgoing(req *http.Request) (payload, error) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody != nil {
		return payload{body: req.Body, held: true, again: req.GetBody, length: req.ContentLength, share: share{memory: &r.bodies}}, nil
	}
	if req.Body == nil || req.Body == http.NoBody {
		return payload{held: true}, nil
	}
	p, err := r.holdBody(req, req.Body)
	if req.Body != nil && (p.held || err != nil) {
		err = errors.Join(err, req.Body.Close())
	}
	return p, err
}

// attach makes the payload the body of req. A payload that is held can be
// attached any number of times, from the second time on without the body as it
// came. A transport that sends it once more by itself, because a connection had
// been closed before it was used, is counted in s.
func (p *payload) attach(req *http.Request, s *stats) error {
	switch {
	case p.body != nil:
		req.Body, p.body = p.body, nil
		if p.again != nil {
			req.GetBody = p.counted(s)
		}
	case p.again != nil:
		body, err := p.again()
		if err != nil {
			return err
		}
		req.Body, req.GetBody = body, p.counted(s)
	case len(p.data) == 0:
		req.Body, req.ContentLength, req.TransferEncoding = http.NoBody, 0, nil
	default:
		req.Body, _ = p.open()
		req.GetBody = p.counted(s)
		req.ContentLength, req.TransferEncoding = int64(len(p.data)), nil
	}
	return nil
}

// counted returns a function that opens the payload again and counts that.
func (p *payload) counted(s *stats) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		s.stale.Add(1)
		return p.open()
	}
}

// glimpse is the body of a request while it is looked at to find its unit. It
// opens the payload only when it is read, which is rare. A payload that is not held
// looks empty.
type glimpse struct {
	payload *payload
	body    io.ReadCloser
}

func (g *glimpse) Read(p []byte) (int, error) {
	if g.body == nil {
		if !g.payload.held {
			return 0, io.EOF
		}
		body, err := g.payload.open()
		if err != nil {
			return 0, err
		}
		g.body = body
	}
	return g.body.Read(p)
}

func (g *glimpse) Close() error {
	if g.body == nil {
		return nil
	}
	return g.body.Close()
}

// show makes the payload visible in req, a copy that is not sent as it is.
func (g *glimpse) show(p *payload, req *http.Request) {
	g.payload = p
	if req.Body = g; p.empty() {
		req.Body = http.NoBody
	}
}
