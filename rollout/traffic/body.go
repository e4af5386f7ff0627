package traffic

import (
	"bytes"
	"errors"
	"io"
	"net/http"
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
	// again, if not nil, gives the body anew each time; then data is not used.
	again func() (io.ReadCloser, error)
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

// hold reads the body of req up to limit bytes.
func hold(req *http.Request, limit int64) (payload, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return payload{held: true}, nil
	}
	if req.ContentLength > limit {
		return payload{body: req.Body}, nil
	}
	// The length is the sender's word; memory is taken as the bytes come.
	const trust = 64 << 10
	if n := req.ContentLength; n > 0 && n <= trust { // a client says 0 when it does not know
		data := make([]byte, n)
		_, err := io.ReadFull(req.Body, data)
		return payload{data: data, held: true}, err
	}
	buf := bytes.NewBuffer(make([]byte, 0, trust))
	if _, err := buf.ReadFrom(io.LimitReader(req.Body, limit+1)); err != nil {
		return payload{}, err
	}
	if int64(buf.Len()) > limit {
		return payload{body: struct {
			io.Reader
			io.Closer
		}{io.MultiReader(buf, req.Body), req.Body}}, nil
	}
	return payload{data: buf.Bytes(), held: true}, nil
}

// holdOutgoing is like hold for a request that its maker sends: often the body
// can be had again without a copy, and then the one that came is sent first. A
// body that was read to its end is closed, as [http.RoundTripper] demands of
// whoever has been given one.
func holdOutgoing(req *http.Request, limit int64) (payload, error) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody != nil {
		return payload{body: req.Body, held: true, again: req.GetBody}, nil
	}
	p, err := hold(req, limit)
	if req.Body != nil && (p.held || err != nil) {
		err = errors.Join(err, req.Body.Close())
	}
	return p, err
}

// attach makes the payload the body of req. A payload that is held can be
// attached any number of times, from the second time on without the body as it
// came.
func (p *payload) attach(req *http.Request) error {
	switch {
	case p.body != nil:
		req.Body, p.body = p.body, nil
	case p.again != nil:
		body, err := p.again()
		if err != nil {
			return err
		}
		req.Body = body
	case len(p.data) == 0:
		req.Body, req.ContentLength, req.TransferEncoding = http.NoBody, 0, nil
	default:
		req.Body, _ = p.open()
		req.GetBody = p.open
		req.ContentLength, req.TransferEncoding = int64(len(p.data)), nil
	}
	return nil
}

// glimpse is the body of a request while it is looked at to find its unit. It
// opens the payload when it is read, which is seldom; one that is not held looks
// empty.
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

// show makes the payload visible in req, a copy that nobody sends as it is.
func (g *glimpse) show(p *payload, req *http.Request) {
	g.payload = p
	if req.Body = g; p.empty() {
		req.Body = http.NoBody
	}
}
