package traffic

import (
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// routeOf returns what a request is about: what the configuration says, or else
// what the published interfaces say.
func (r *Router) routeOf(req *http.Request) answer.Route {
	if r.routes != nil {
		var route answer.Route
		var known bool
		if p := contain(func() { route, known = r.routes(req.Method, req.URL.Path) }); p != nil {
			r.panicked("Routes", p)
		} else if known {
			return route
		}
	}
	return r.labels.of(req.Method, req.URL.Path).route
}

// askOf returns what a request wants, whose body is read if it is held.
func (r *Router) askOf(req *http.Request, data []byte, held bool) answer.Ask {
	ask := answer.Ask{Route: r.routeOf(req)}
	if ask.Route.Kind != answer.Inference {
		return ask
	}
	if held {
		kind := ""
		if v := req.Header["Content-Type"]; len(v) > 0 {
			kind = v[0]
		}
		ask = answer.AskOf(ask.Route, kind, data)
	}
	if !ask.Read && hasTools(ask.Route.API) && (!held || object(data)) {
		ask.ServerTools = true // for all that is known
	}
	return ask
}

// hasTools reports whether an interface knows tools that the server calls.
func hasTools(api answer.API) bool {
	switch api {
	case answer.Embeddings, answer.Rerank, answer.Moderations, answer.Images, answer.Speech, answer.Transcription:
		return false
	}
	return true
}

// object reports whether a server that is more lenient than the specification of JSON
// might read data as an object, in whatever encoding.
func object(data []byte) bool {
	for _, c := range data {
		switch c {
		case ' ', '\t', '\r', '\n', 0, 0xef, 0xbb, 0xbf, 0xfe, 0xff: // white space and byte order marks
		default:
			return c == '{'
		}
	}
	return false
}

// askBuffers hold the bodies of requests while they are looked at.
var askBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// askOfOutgoing is askOf for a request whose body is not in memory, but can be had
// again. The error is a [*BodyMemoryError].
func (r *Router) askOfOutgoing(req *http.Request, p *payload) (answer.Ask, error) {
	if p.again == nil {
		return r.askOf(req, p.data, p.held), nil
	}
	buf := askBuffers.Get().(*[16 << 10]byte)
	defer askBuffers.Put(buf)
	body, err := p.again()
	if err != nil {
		return r.askOf(req, nil, false), nil
	}
	n, err := io.ReadFull(body, buf[:])
	_ = body.Close() // it has been read, or is read again
	switch err {
	case io.ErrUnexpectedEOF, io.EOF:
		return r.askOf(req, buf[:n], true), nil
	case nil: // there may be more
		held := share{memory: p.share.memory}
		defer held.end()
		data, ok, err := p.bytes(r.maxBody, &held)
		return r.askOf(req, data, ok), err
	}
	return r.askOf(req, nil, false), nil
}

// labels keeps what is known of the paths that were asked for, so that those seen
// before are neither parsed nor named again.
type labels struct {
	known atomic.Pointer[map[labelKey]labelled]
	mu    sync.Mutex
}

type labelKey struct{ method, path string }

type labelled struct {
	name  string
	route answer.Route // without the configuration's own
}

// maxLabels bounds how many routes have names of their own, and maxLabel how long such
// a name is.
const (
	maxLabels = 64
	maxLabel  = 128
)

// of returns the name of a route, "other" beyond the bound, and what it is about.
func (l *labels) of(method, path string) labelled {
	key := labelKey{method, path}
	known := l.known.Load()
	if known != nil {
		if label, ok := (*known)[key]; ok {
			return label
		}
	}
	other := labelled{"other", answer.RouteOf(method, path)}
	// Paths with identifiers in them are asked for once, and paths that are not known
	// may be anything: they must leave room for the others.
	room := maxLabels
	if other.route.Kind == answer.UnknownKind {
		room = maxLabels / 2
	}
	if len(method)+len(path) > maxLabel || !other.route.Measured() || known != nil && len(*known) >= room {
		return other
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := make(map[labelKey]labelled)
	if known := l.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	if len(next) >= room {
		return other
	}
	label := labelled{method + " " + path, other.route}
	// Not the path itself, which may be a part of a long line.
	next[labelKey{label.name[:len(method)], label.name[len(method)+1:]}] = label
	l.known.Store(&next)
	return label
}
