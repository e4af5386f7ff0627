// Package relay is a reverse proxy for requests whose bodies are in memory. It does what
// [httputil.ReverseProxy] does, without the copies that it makes of each request and its
// answer, and leaves everything else to one: upgrades to other protocols, and bodies that
// are still being received.
//
// The package contains what a proxy does to requests and answers. How these are sent is
// up to a RoundTripper. It needs the standard library alone.
package relay

import (
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
)

// Config says where a [Proxy] sends requests, and how. All fields are required.
type Config struct {
	Target    *url.URL
	Transport http.RoundTripper
	// Dress prepares out, a copy of in that is about to be sent. It may change the header
	// of out, but must not change the values in it, which belong to in. The header has
	// nothing that concerns one connection, and does not say where the request came from.
	// Neither out nor its header may be used after the request has been served.
	Dress func(in, out *http.Request)
	// Fail answers a request that has got no answer.
	Fail func(w http.ResponseWriter, out *http.Request, err error)
	// Broken learns why an answer was broken off whose header was passed on.
	Broken func(w http.ResponseWriter, err error)
	// Buffers are what answers are copied through.
	Buffers httputil.BufferPool
}

// Proxy is an [http.Handler]. It may be used by several goroutines.
type Proxy struct {
	config Config
	rest   *httputil.ReverseProxy
}

// New returns a Proxy.
func New(c Config) *Proxy {
	return &Proxy{c, &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(c.Target)
			c.Dress(pr.In, pr.Out)
		},
		Transport:  c.Transport,
		BufferPool: c.Buffers,
		// Zero is not "late": ReverseProxy flushes event streams and answers of
		// unknown length immediately by itself. A negative interval would add a timer
		// and a second write to each small answer of known length.
		FlushInterval: 0,
		ErrorHandler:  c.Fail,
		ErrorLog:      log.New(io.Discard, "", 0), // Fail learns of errors
	}}
}

// Held is an optional interface for the Body of a request without GetBody. If
// implemented, the body is in memory, so that reading it never waits.
type Held interface{ Held() }

// serves reports whether a Proxy passes a request on itself.
func serves(req *http.Request) bool {
	if listed(req.Header["Connection"], "upgrade") || req.Context().Done() == nil {
		return false // without Done, ReverseProxy watches the connection instead
	}
	if req.Body == nil || req.ContentLength == 0 || req.GetBody != nil {
		return true
	}
	_, held := req.Body.(Held)
	return held
}

// ServeHTTP implements [http.Handler]. As a ReverseProxy, it panics with
// [http.ErrAbortHandler] if an answer breaks off.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !serves(req) {
		p.rest.ServeHTTP(w, req)
		return
	}
	t := transits.Get().(*transit)
	out := t.prepare(p, w, req)
	resp, err := p.config.Transport.RoundTrip(out)
	t.end()
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close() // its error adds nothing
		err = errSwitched
	}
	if err != nil {
		p.config.Fail(w, out, err)
		return
	}
	if err := p.answer(w, resp); err != nil {
		_ = resp.Body.Close() // the first error counts
		p.config.Broken(w, err)
		if req.Context().Value(http.ServerContextKey) != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	if b, ok := resp.Body.(Freeing); ok && b.FreesRequest() && !t.traced {
		t.reset()
		transits.Put(t)
	}
}

// Freeing is an optional interface for the Body of an answer. If implemented, it reports
// whether the transport does not use the request any more after the end of the body.
type Freeing interface{ FreesRequest() bool }

// transit is one request on its way, with what it needs in one piece of memory.
type transit struct {
	url     url.URL
	header  http.Header
	trace   httptrace.ClientTrace
	informs func(int, textproto.MIMEHeader) error
	traced  bool // the request has a trace of its own, which the dialer may use for longer

	mu    sync.Mutex // an http.Transport may have informational answers for a caller that has left
	w     http.ResponseWriter
	ended bool
}

var transits = sync.Pool{New: func() any {
	t := &transit{header: make(http.Header, headerRoom)}
	t.informs = t.inform
	return t
}}

// headerRoom is how many names the header of a request may have whose memory is kept.
const headerRoom = 28

// reset makes t ready for another request.
func (t *transit) reset() {
	if len(t.header) > headerRoom {
		t.header = make(http.Header, headerRoom)
	}
	clear(t.header)
	t.url, t.trace, t.w, t.ended = url.URL{}, httptrace.ClientTrace{}, nil, false
}

// prepare returns the request to send.
func (t *transit) prepare(p *Proxy, w http.ResponseWriter, in *http.Request) *http.Request {
	t.w, t.traced = w, httptrace.ContextClientTrace(in.Context()) != nil
	t.trace = httptrace.ClientTrace{Got1xxResponse: t.informs} // the context may add its own
	out := in.WithContext(httptrace.WithClientTrace(in.Context(), &t.trace))
	t.url = *in.URL
	out.URL = &t.url
	out.Close = false
	if in.ContentLength == 0 {
		out.Body = nil
	}
	if len(in.TransferEncoding) == 0 {
		out.Trailer = nil // which takes chunks
	}
	out.Header = t.header
	copyOutgoing(out.Header, in.Header)
	t.url.RawQuery = cleanQuery(t.url.RawQuery)
	(&httputil.ProxyRequest{In: in, Out: out}).SetURL(p.config.Target)
	p.config.Dress(in, out)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = noAgent
	}
	return out
}

// noAgent keeps a transport from naming itself as the client.
var noAgent = []string{""}

// inform passes on an informational answer.
func (t *transit) inform(status int, header textproto.MIMEHeader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	h := t.w.Header()
	add(h, http.Header(header))
	t.w.WriteHeader(status)
	clear(h)
	return nil
}

// end ends the passing on of informational answers.
func (t *transit) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
}

// answer passes on an answer. The error means that it was broken off.
func (p *Proxy) answer(w http.ResponseWriter, resp *http.Response) error {
	dropListed(resp.Header)
	h := w.Header()
	for name, values := range resp.Header {
		if !ofConnection(name) {
			addTo(h, name, values)
		}
	}
	announced := len(resp.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range resp.Trailer {
			names = append(names, name)
		}
		h["Trailer"] = append(h["Trailer"], strings.Join(names, ", "))
	}
	w.WriteHeader(resp.StatusCode)
	if err := p.copy(w, resp); err != nil {
		return err
	}
	_ = resp.Body.Close() // it has ended; now Trailer is complete
	if len(resp.Trailer) == 0 {
		return nil
	}
	// A small body would get a Content-Length otherwise, and no trailers.
	_ = http.NewResponseController(w).Flush() // what cannot flush has no trailers either
	prefix := http.TrailerPrefix
	if len(resp.Trailer) == announced {
		prefix = ""
	}
	for name, values := range resp.Trailer {
		addTo(h, prefix+name, values)
	}
	return nil
}

// Buffering is an optional interface for the Body of an answer. If implemented, it returns
// how many bytes can be read without waiting.
type Buffering interface{ Buffered() int }

// mayWait reports whether the first byte of a body may take longer than its header. A
// server finds out the type of an answer without Content-Type if it has both together.
func mayWait(resp *http.Response) bool {
	if b, ok := resp.Body.(Buffering); ok {
		return b.Buffered() == 0
	}
	return len(resp.Header["Content-Type"]) > 0
}

// copy copies the body of an answer, and flushes each part of one that takes its time.
func (p *Proxy) copy(w http.ResponseWriter, resp *http.Response) error {
	streams := resp.ContentLength == -1 || isEventStream(resp.Header["Content-Type"])
	control := http.NewResponseController(w)
	if streams && mayWait(resp) {
		_ = control.Flush() // the header, since the body may take long; not everything can flush
	}
	buf := p.config.Buffers.Get()
	defer p.config.Buffers.Put(buf)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			written, err := w.Write(buf[:n])
			if err == nil && written < n {
				err = io.ErrShortWrite
			}
			if err != nil {
				return err
			}
			if streams {
				_ = control.Flush() // an error shows in the next Write
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
