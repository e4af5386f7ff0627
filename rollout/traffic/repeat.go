package traffic

import (
	"io"
	"net/http"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/resend"
)

// The headers by which a caller allows a request to be sent again: a server remembers
// the key, and [http.Transport] believes both.
const (
	keyHeader  = "Idempotency-Key"
	xKeyHeader = "X-Idempotency-Key"
)

// dropKeys removes a caller's idempotency keys. A key is one server's to remember, so
// that it does not go to another one.
func dropKeys(h http.Header) {
	delete(h, keyHeader)
	delete(h, xKeyHeader)
}

// hasKeys reports whether there are such keys.
func hasKeys(h http.Header) bool { return len(h[keyHeader]) > 0 || len(h[xKeyHeader]) > 0 }

// keepSingle takes from a request what a transport could send it again by, unless it
// may be sent again: a question to a model without effects may be, and what changes
// something on a server if it has an Idempotency-Key. out has its body.
func keepSingle(out *http.Request, ask *answer.Ask, once bool) {
	if !hasKeys(out.Header) && !once {
		return // nothing would send it again
	}
	switch ask.Route.Kind {
	case answer.Inference:
		if !once {
			return
		}
	case answer.Resource:
		if v := out.Header[keyHeader]; len(v) > 0 && v[0] != "" {
			return
		}
	case answer.Auxiliary:
		return
	}
	if out.GetBody != nil { // without a body, package resend sees to it
		out.Body, out.GetBody = onceBody{out.Body}, nil
	}
}

// onceBody is a body that could be had again, but is not to be.
type onceBody struct{ io.ReadCloser }

// Held implements [relay.Held] and [hop.Held].
func (onceBody) Held() {}

// boundedTransport returns a transport of the configuration as the router uses it. A plain
// [http.Transport] would send an inference on one idle connection after another.
func boundedTransport(t http.RoundTripper) http.RoundTripper {
	if plain, ok := t.(*http.Transport); ok {
		return resend.New(plain)
	}
	return t
}
