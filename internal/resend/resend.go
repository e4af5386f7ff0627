// Package resend sends a request once more if its server had closed the idle
// connection that it was sent on.
package resend

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/serin-go/serin/internal/attempts"
)

// Transport is an [http.Transport] that resends a request at most once, and on a new
// connection. An http.Transport by itself tries one idle connection after another: a
// request that makes its server hang up would be sent on all of them.
//
// It resends what http.Transport would: what was not written, and what was written to
// an idle connection that ended without an answer if the request is idempotent or has
// an Idempotency-Key. In addition it resends a request with such a key that was
// written in part. A request without a body whose method is not idempotent is not
// resent, whatever its keys.
type Transport struct {
	*http.Transport
	fresh *http.Transport // makes a connection for each request
}

// New returns a Transport that sends by t.
func New(t *http.Transport) *Transport {
	fresh := t.Clone()
	fresh.DisableKeepAlives = true
	return &Transport{t, fresh}
}

// errAgain is how an http.Transport says that it would send a request again.
var errAgain = errors.New("resend: once more")

func refuse() (io.ReadCloser, error) { return nil, errAgain }

// RoundTrip implements [http.RoundTripper], but takes over the request: it sets
// Body and GetBody.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		if keyed(req) {
			req.Body = io.NopCloser(strings.NewReader("")) // which cannot be had again
			req.GetBody = nil
		}
		return t.send(req)
	}
	if req.GetBody == nil {
		return t.send(req)
	}
	again := req.GetBody
	req.GetBody = refuse
	resp, err := t.Transport.RoundTrip(req)
	req.GetBody = again
	if err == nil {
		return resp, nil
	}
	if req.Context().Err() != nil {
		return nil, attempts.Unsought(req.Context(), err)
	}
	_, may := req.Header["Idempotency-Key"]
	if !errors.Is(err, errAgain) && !(may && brokenWrite(err)) {
		return nil, err
	}
	body, bodyErr := again()
	if bodyErr != nil {
		return nil, err
	}
	second := req.WithContext(req.Context())
	second.Body, second.GetBody = body, nil
	return t.fresh.RoundTrip(second)
}

// send sends a request that is not resent.
func (t *Transport) send(req *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(req)
	if err != nil {
		return nil, attempts.Unsought(req.Context(), err)
	}
	return resp, nil
}

// keyed reports whether an http.Transport would resend a request without a body that
// is not idempotent by its method, because of a key.
func keyed(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	_, key := req.Header["Idempotency-Key"]
	_, xKey := req.Header["X-Idempotency-Key"]
	return key || xKey
}

// brokenWrite reports whether a request could not be written to its end, so that
// the server cannot have had all of it.
func brokenWrite(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "write" || op.Op == "readfrom") && !op.Timeout()
}
