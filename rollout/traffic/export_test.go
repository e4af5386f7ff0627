package traffic

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/resend"
)

// BodyMemoryUsed returns what the bodies of requests take now.
func (r *Router) BodyMemoryUsed() int64 { return r.bodies.used.Load() }

// WithoutTools is withoutTools, for tests.
func WithoutTools(body []byte) []byte { return withoutTools(body) }

// PendingCopies returns how many copies wait or are under way.
func (r *Router) PendingCopies() int64 { return r.mirroring.pending.Load() }

// Flight is what a recorder was given about one request.
type Flight struct {
	Recorder *analysis.Recorder
	Assigned analysis.Assigned
	First    []time.Time
	Done     []analysis.Observation
}

// Flights collects what recorders are given.
type Flights struct {
	mu  sync.Mutex
	all []Flight
}

// Flights collects the flights that begin from now on. No request may be under way.
func (r *Router) Flights() *Flights {
	f := &Flights{}
	r.witness = f
	return f
}

// All returns the flights in the order in which they began.
func (f *Flights) All() []Flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.all)
	for i := range all {
		all[i].First, all[i].Done = slices.Clone(all[i].First), slices.Clone(all[i].Done)
	}
	return all
}

func (f *Flights) begin(rec *analysis.Recorder, a analysis.Assigned) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, Flight{Recorder: rec, Assigned: a})
	return len(f.all) - 1
}

func (f *Flights) first(number int, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[number].First = append(f.all[number].First, at)
}

func (f *Flights) done(number int, o analysis.Observation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[number].Done = append(f.all[number].Done, o)
}

// WithDefaults returns the Config that New makes of cfg.
func WithDefaults(cfg Config) Config { return cfg.withDefaults() }

// ReverseProxy returns what a [Proxy] was before it sent requests by itself: with the
// transport of net/http, to any server that is given.
func ReverseProxy(target string) (http.Handler, error) {
	u, err := parseTarget(target)
	if err != nil {
		return nil, err
	}
	dress := asking(dressPlainly)
	return &httputil.ReverseProxy{
		Rewrite:      func(pr *httputil.ProxyRequest) { pr.SetURL(u); dress(pr.In, pr.Out) },
		Transport:    resend.New(NetHTTP()),
		BufferPool:   &buffers,
		ErrorHandler: upstreamError,
		ErrorLog:     log.New(io.Discard, "", 0),
	}, nil
}
