package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/hop"
	"github.com/serin-go/serin/internal/resend"
	"github.com/serin-go/serin/rollout/traffic/internal/relay"
)

// Proxy returns a handler that forwards requests to the server at target, an
// absolute http or https URL whose path, if any, is put before the path of requests.
// It does what an [httputil.ReverseProxy] does, with the settings that model traffic needs:
//
//   - requests sent as the package comment says;
//   - a transport that keeps as many idle connections to its one host as there
//     were requests at a time (the default of two costs more than twice the CPU),
//     and gives up connecting after five seconds;
//   - a body whose length is known, up to 64 KiB, read before it is sent, so that the
//     answer cannot end its arrival (golang/go#40747);
//   - a pool of buffers;
//   - every chunk of an answer of unknown length flushed immediately, an answer of
//     known length not flushed needlessly;
//   - no compression between here and the model, so that answers can be measured;
//   - X-Forwarded-For, -Host and -Proto, and Forwarded where the request has it,
//     replaced by the peer of the connection, unless a [Router] with trusted proxies
//     has set them;
//   - errors of the connection answered with 502 or 504 in the form that clients
//     of models expect, without internal names in them.
func Proxy(target string) (http.Handler, error) {
	u, err := parseTarget(target)
	if err != nil {
		return nil, &checks.InvalidError{Package: "traffic", Field: "target", Value: fmt.Sprintf("%q", target), Want: "an absolute http or https URL with a host, without query or fragment"}
	}
	p := newProxy(u, newTransport(), dressPlainly)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		held, err := holdSmall(req)
		if err != nil {
			upstreamError(w, req, err)
			return
		}
		p.ServeHTTP(w, held)
	}), nil
}

// dressPlainly prepares the header of a request that a [Proxy] sends.
func dressPlainly(in, out *http.Request) {
	if in.Context().Value(forwardedKey) == nil {
		trustedProxies(nil).forward(in, out.Header)
	} else { // a router has done so
		for _, name := range forwardedNames {
			if values, ok := in.Header[name]; ok {
				out.Header[name] = values
			}
		}
	}
	dropOwn(out.Header)
}

// holdSmall returns a request whose body is in memory if it is known to be small.
func holdSmall(req *http.Request) (*http.Request, error) {
	if n := req.ContentLength; n <= 0 || n > maxHeldByProxy || req.Body == nil || req.GetBody != nil {
		return req, nil
	}
	if _, held := req.Body.(relay.Held); held {
		return req, nil
	}
	p := payload{data: make([]byte, req.ContentLength), held: true}
	if _, err := io.ReadFull(req.Body, p.data); err != nil {
		return nil, err
	}
	_, once := req.Header[onceHeader]
	req = req.WithContext(req.Context())
	req.Body, _ = p.open() // from memory
	if req.GetBody = p.open; once {
		req.Body, req.GetBody = onceBody{req.Body}, nil
	}
	return req, nil
}

// newProxy returns a proxy to target. dress prepares the header of each request that
// it sends for the one that came.
func newProxy(target *url.URL, transport http.RoundTripper, dress func(in, out *http.Request)) http.Handler {
	return relay.New(relay.Config{
		Target: target, Transport: transport, Dress: asking(dress),
		Fail:    upstreamError,
		Broken:  upstreamBroken,
		Buffers: &buffers,
	})
}

// asking returns a function that dresses a request, and asks plainly.
func asking(dress func(in, out *http.Request)) func(in, out *http.Request) {
	return func(in, out *http.Request) {
		_, once := in.Header[onceHeader]
		dress(in, out)
		askPlainly(out, answer.RouteOf(in.Method, in.URL.Path).Kind, once)
	}
}

// onceHeader marks a request on its way to [Proxy] that must not be sent twice by
// itself. It goes no further.
const onceHeader = "Serin-Once"

// askPlainly has an inference answered without a content coding, so that it can be
// measured, and, unless it must be sent once, sent again by its transport if the
// server has closed an idle connection: an Idempotency-Key without a value is not
// sent, but says that it may. The header is out's own.
func askPlainly(out *http.Request, kind answer.Kind, once bool) {
	if kind != answer.Inference {
		out.Header.Del("Accept-Encoding")
		return
	}
	out.Header["Accept-Encoding"] = identityOnly
	if _, own := out.Header["Idempotency-Key"]; !own && !once {
		out.Header["Idempotency-Key"] = nil
	}
}

var identityOnly = []string{"identity"}

// newTransport returns the transport for one backend.
func newTransport() http.RoundTripper {
	plain := resend.New(NetHTTP())
	if os.Getenv(hopVar) == "off" {
		return plain
	}
	return hop.New(hop.Config{Fallback: plain, MaxHeaderBytes: maxHeaderSize})
}

// hopVar is the environment variable that turns the client of this module off.
const hopVar = "SERIN_HOP"

// NetHTTP returns a new transport of net/http with the settings of [Proxy]. As
// [Backend].Transport it keeps the requests to one version from being sent by the
// client of this module; see the package comment. The caller may change its fields before
// its first use.
func NetHTTP() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          0, // no limit; there is one host
		MaxIdleConnsPerHost:   4096,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		// The lines are counted where the answer is taken.
		MaxResponseHeaderBytes: maxHeaderSize,
	}
}

// upstreamError answers a request that got no answer.
func upstreamError(w http.ResponseWriter, req *http.Request, err error) {
	if left(req.Context()) == ErrCut {
		if w, ok := w.(*writer); ok {
			w.failure = ErrCut
		}
		unavailable(w, cutText)
		return
	}
	slow := errors.Is(err, errSlowBody)
	if w, ok := w.(*writer); ok {
		w.failure = err
		slow = slow || w.timed.isLate()
	}
	if slow {
		w.Header().Set("Connection", "close")
		writeError(w, http.StatusRequestTimeout, slowBody)
		return
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		writeError(w, http.StatusRequestEntityTooLarge, "the body of the request is too large")
		return
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		writeError(w, http.StatusGatewayTimeout, "the model did not answer in time")
		return
	}
	if malformed(err) {
		writeError(w, http.StatusBadGateway, badAnswer)
		return
	}
	writeError(w, http.StatusBadGateway, "the model could not be reached")
}

// badAnswer is what the caller of a version reads that sends what is no answer.
const badAnswer = "the model's answer could not be read"

// upstreamBroken learns why an answer was broken off.
func upstreamBroken(w http.ResponseWriter, err error) {
	if w, ok := w.(*writer); ok && malformed(err) {
		w.failure = err
	}
}

// malformed reports whether an error means that a server has sent what is no answer, or
// is ambiguous.
func malformed(err error) bool {
	if err == nil {
		return false // without an allocation
	}
	var refused *hop.ResponseError
	return errors.As(err, &refused)
}

// writeError writes an error in the form of the OpenAI interface.
func writeError(w http.ResponseWriter, status int, message string) {
	body := fmt.Sprintf(`{"error":{"message":%q,"type":"server_error","param":null,"code":%d}}`+"\n", message, status)
	writeJSON(w, status, body)
}

// unavailable answers a request that may be sent again soon.
func unavailable(w http.ResponseWriter, message string) {
	w.Header().Set("Retry-After", "1")
	writeError(w, http.StatusServiceUnavailable, message)
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the caller may be gone, and that is noticed elsewhere
}

// maxHeldByProxy is the largest body that a [Proxy] takes into memory.
const maxHeldByProxy = 64 << 10

const bufferSize = 32 << 10

// bufferPool pools the buffers that answers are copied through.
type bufferPool struct{ pool sync.Pool }

var buffers = bufferPool{sync.Pool{New: func() any { return new([bufferSize]byte) }}}

func (p *bufferPool) Get() []byte  { return p.pool.Get().(*[bufferSize]byte)[:] }
func (p *bufferPool) Put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }
