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
	body io.ReadCloser // what is sent, if the body is not held
	held bool
	// again, if not nil, gives the body anew each time; then data is not used.
	again func() (io.ReadCloser, error)
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
	buf := bytes.NewBuffer(make([]byte, 0, min(max(req.ContentLength, 512), trust)+bytes.MinRead))
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
// can be had again without a copy. It closes a body that it holds, as
// [http.RoundTripper] demands of whoever has been given one.
func holdOutgoing(req *http.Request, limit int64) (payload, error) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody != nil {
		return payload{held: true, again: req.GetBody}, req.Body.Close()
	}
	p, err := hold(req, limit)
	if req.Body != nil && (p.held || err != nil) {
		err = errors.Join(err, req.Body.Close())
	}
	return p, err
}

// attach makes the payload the body of req. A payload that is held can be
// attached any number of times.
func (p payload) attach(req *http.Request) error {
	switch {
	case !p.held:
		req.Body = p.body
	case p.again != nil:
		body, err := p.again()
		if err != nil {
			return err
		}
		req.Body = body
	case len(p.data) == 0:
		req.Body, req.ContentLength, req.TransferEncoding = http.NoBody, 0, nil
	default:
		req.Body = io.NopCloser(bytes.NewReader(p.data))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.data)), nil }
		req.ContentLength, req.TransferEncoding = int64(len(p.data)), nil
	}
	return nil
}
