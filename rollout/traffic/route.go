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
	route := r.routeOf(req)
	if !held || route.Kind != answer.Inference {
		return answer.Ask{Route: route}
	}
	kind := ""
	if v := req.Header["Content-Type"]; len(v) > 0 {
		kind = v[0]
	}
	return answer.AskOf(route, kind, data)
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
		return answer.Ask{Route: r.routeOf(req)}, nil
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
	return answer.Ask{Route: r.routeOf(req)}, nil
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
