package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/bounded"
)

// The functions of a configuration are called on the way of each request, and some
// in goroutines of the router's own. A panic in one of them ends neither the process
// nor an answer that has begun: it is counted ([Router.Panics]), logged at most once
// a second, and what is missing takes the value that claims least.

// Panics returns how often functions of the configuration have panicked, by their
// names: "Unit", "Observe", "Transport". Handlers are not among them; their panics
// are failures of their arm.
func (r *Router) Panics() map[string]uint64 { return r.panics.all() }

// contained is deferred around a function of the configuration. It must be deferred
// itself, not called by a function that is.
func (r *Router) contained(hook string) {
	if p := recover(); p != nil {
		r.panicked(hook, p)
	}
}

// panicked counts and logs a panic.
func (r *Router) panicked(hook string, p any) {
	r.panics.add(hook)
	r.logHook(context.Background(), hook, p)
}

// containHooks wraps the functions of a configuration.
func (r *Router) containHooks(cfg *Config) {
	cfg.Unit = r.containName("Unit", cfg.Unit)
	cfg.Tenant = r.containName("Tenant", cfg.Tenant)
	cfg.Conversation = r.containName("Conversation", cfg.Conversation)
	if f := cfg.MayForce; f != nil {
		cfg.MayForce = func(req *http.Request, arm string) (may bool) {
			defer r.contained("MayForce")
			return f(req, arm)
		}
	}
	if f := cfg.Cached; f != nil {
		cfg.Cached = func(h http.Header) (hit bool) {
			defer r.contained("Cached")
			return f(h)
		}
	}
	cfg.Observe = r.containObserve("Observe", cfg.Observe)
	cfg.Mirror.Observe = r.containObserve("Mirror.Observe", cfg.Mirror.Observe)
	if f := cfg.Exposed; f != nil {
		cfg.Exposed = func(e Exposure) {
			defer r.contained("Exposed")
			f(e)
		}
	}
	if f := cfg.Charged; f != nil {
		cfg.Charged = func(c Charge) {
			defer r.contained("Charged")
			f(c)
		}
	}
	if cfg.Sticky != nil {
		cfg.Sticky = containedSticky{r, cfg.Sticky, "Sticky.Get", "Sticky.Put"}
	}
	if cfg.Pins != nil {
		cfg.Pins = containedSticky{r, cfg.Pins, "Pins.Get", "Pins.Put"}
	}
}

// containName contains a function that names what a request is about, and bounds
// what it returns.
func (r *Router) containName(hook string, f func(*http.Request) string) func(*http.Request) string {
	return func(req *http.Request) (name string) {
		defer r.contained(hook)
		return bounded.Name(f(req))
	}
}

func (r *Router) containObserve(hook string, f func(analysis.Observation)) func(analysis.Observation) {
	if f == nil {
		return nil
	}
	return func(o analysis.Observation) {
		defer r.contained(hook)
		f(o)
	}
}

// containedSticky is a Sticky that remembers nothing where it panics.
type containedSticky struct {
	router   *Router
	sticky   Sticky
	get, put string // the names of its methods
}

func (s containedSticky) Get(unit string) (arm string, generation uint64, ok bool) {
	defer s.router.contained(s.get)
	return s.sticky.Get(unit)
}

func (s containedSticky) Put(unit, arm string, generation uint64) {
	defer s.router.contained(s.put)
	s.sticky.Put(unit, arm, generation)
}

// containPrice contains the function of a backend that knows prices: a price that it
// does not return is not known.
func (r *Router) containPrice(f func(string) (Price, bool)) func(string) (Price, bool) {
	if f == nil {
		return nil
	}
	return func(model string) (p Price, known bool) {
		defer r.contained("PriceOf")
		return f(model)
	}
}

// errTransport means that the transport of an arm has panicked.
var errTransport = errors.New("traffic: transport panicked")

// containedTransport is a transport whose panics are errors.
type containedTransport struct {
	router    *Router
	transport http.RoundTripper
}

func (c containedTransport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.router.panicked("Transport", p)
			resp, err = nil, errTransport
		}
	}()
	resp, err = c.transport.RoundTrip(req)
	switch {
	case err != nil:
	case resp == nil:
		err = fmt.Errorf("traffic: transport %T returned neither a response nor an error", c.transport)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		if resp.Body == nil {
			resp.Body = http.NoBody
		}
		if resp.Header == nil {
			resp.Header = make(http.Header)
		}
	}
	return resp, err
}

// read reads from the body of an answer, whose panics are errors.
func (r *Router) read(body io.Reader, p []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.panicked("Transport", p)
			n, err = 0, errTransport
		}
	}()
	return body.Read(p)
}

// closeBody closes the body of an answer, whose panics are errors.
func (r *Router) closeBody(body io.Closer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.panicked("Transport", p)
			err = errTransport
		}
	}()
	return body.Close()
}

// containedHandler is a handler of log records whose panics are dropped.
type containedHandler struct{ slog.Handler }

func (h containedHandler) Handle(ctx context.Context, record slog.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("traffic: log handler panicked: %v", p)
		}
	}()
	return h.Handler.Handle(ctx, record)
}

func (h containedHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() {
		if recover() != nil {
			enabled = false
		}
	}()
	return h.Handler.Enabled(ctx, level)
}

func (h containedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return containedHandler{h.Handler.WithAttrs(attrs)}
}

func (h containedHandler) WithGroup(name string) slog.Handler {
	return containedHandler{h.Handler.WithGroup(name)}
}

// stack returns the stack of the present goroutine for a log record.
func stack() slog.Attr { return slog.String("stack", string(debug.Stack())) }
