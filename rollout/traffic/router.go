package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/strategies"
)

// Router assigns requests to arms and measures them; see the package comment.
// Its methods are safe for concurrent use. Make one with [New].
type Router struct {
	unit                        func(*http.Request) string
	units                       bool // unit is one of the configuration
	observe                     func(analysis.Observation)
	exposed                     func(Exposure)
	charged                     func(Charge)
	cached                      func(http.Header) bool
	maxBody                     int64
	bodies                      bodyMemory
	limits                      limits
	deadlines                   deadlines
	noFallback, noSecondOpinion bool
	askUsage                    bool
	trusted                     trustedProxies
	budget                      budget
	drain                       time.Duration
	logger                      *slog.Logger

	routes        func(method, path string) (answer.Route, bool)
	classify      func(answer.Ask, []byte, *answer.Outcome)
	finishReasons map[string]answer.End
	labels        labels
	allowControl  bool
	unserved      names // requests that no arm was asked
	panics        names // of functions of the configuration
	hooks         hookLog
	meters        meters

	mayForce             func(*http.Request, string) bool
	tenant, conversation func(*http.Request) string
	layers               []layer
	sticky               Sticky
	pins                 pins
	mirroring            *mirroring

	table    atomic.Pointer[table] // the split in force
	recorder atomic.Pointer[analysis.Recorder]
	epoch    time.Time    // from which expiry counts, on the monotonic clock
	expiry   atomic.Int64 // nanoseconds after epoch; 0 is never
	witness  witness      // nil except in tests

	mu    sync.Mutex      // held to change the table, never to read it
	arms  map[string]*arm // guarded by mu
	past  []*table        // splits before the one in force that have requests in flight; guarded by mu
	known atomic.Pointer[[]*stats]

	killed map[string]bool // guarded by mu
}

// arm is one version as requests see it. It is immutable except for gone, plainUntil
// and its stats, which survive a change of its backend.
type arm struct {
	name     string
	header   []string  // name, as the value of a response header
	backend  Backend   // its Header in canonical spelling
	upstream *upstream // nil without a URL
	stats    *stats
	// own reports whether Backend.Handler is one of the configuration, and
	// ownCredential whether Backend.Header holds a credential.
	own, ownCredential bool
	account            account
	gone               atomic.Bool // removed, or replaced by one with another account
	// plainUntil is until when it is not asked for a usage report, in nanoseconds
	// after Router.epoch; see usage.go.
	plainUntil atomic.Int64
}

// Validate reports everything that is wrong with cfg, joined: [*checks.InvalidError] and
// [*NoBackendError] values.
func (cfg Config) Validate() error {
	_, err := build(cfg)
	return err
}

// New returns a Router that serves cfg.Split. It returns the errors of [Config.Validate].
// New starts nothing and connects to nothing.
func New(cfg Config) (*Router, error) {
	r, err := build(cfg)
	if err != nil {
		return nil, err
	}
	r.publish()
	return r, nil
}

// build returns a Router that is not published yet.
func build(cfg Config) (*Router, error) {
	units := cfg.Unit != nil
	cfg = cfg.withDefaults()
	errs := []error{cfg.validateFields()}
	r := new(Router)
	cfg.Logger = slog.New(containedHandler{cfg.Logger.Handler()})
	r.containHooks(&cfg)
	*r = Router{
		unit: cfg.Unit, units: units, observe: cfg.Observe, exposed: cfg.Exposed, charged: cfg.Charged, cached: cfg.Cached, maxBody: cfg.MaxBody,
		routes: cfg.Routes, classify: cfg.Classify, finishReasons: maps.Clone(cfg.FinishReasons), noSecondOpinion: cfg.NoSecondOpinion, askUsage: cfg.AskUsage, allowControl: cfg.AllowControl, drain: cfg.Drain, budget: budget{ratio: cfg.FallbackRatio},
		noFallback: cfg.NoFallback, logger: cfg.Logger, epoch: time.Now(), arms: make(map[string]*arm, len(cfg.Arms)),
		mayForce: cfg.MayForce, tenant: cfg.Tenant, conversation: cfg.Conversation, sticky: cfg.Sticky, killed: make(map[string]bool),
	}
	r.pins.shared, r.bodies.limit, r.meters = cfg.Pins, cfg.BodyMemory, newMeters()
	r.limits.set(cfg)
	trusted, invalid := newTrustedProxies(cfg.TrustedProxies)
	r.trusted, errs = trusted, append(errs, invalid...)
	errs = append(errs, cfg.Mirror.validate())
	r.mirroring = newMirroring(cfg.Mirror)
	for i, l := range cfg.Layers {
		errs = append(errs, l.validate(i))
		r.layers = append(r.layers, newLayer(l))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Arms)) {
		if err := cfg.Arms[name].validate(name); err != nil {
			errs = append(errs, err)
		}
		r.arms[name] = r.newArm(name, cfg.Arms[name], nil)
	}
	errs = append(errs, r.validateCredentials(cfg.Split.Baseline())...)
	if len(cfg.Split.Arms) > 0 {
		errs = append(errs, checks.Within(cfg.Split.Validate(), "traffic", "Split", "Config.Split"))
		for _, a := range cfg.Split.Arms {
			if a.Weight > 0 && r.arms[a.Name] == nil {
				errs = append(errs, &NoBackendError{Arm: a.Name})
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := r.bind(cfg.Split); err != nil {
		return nil, err
	}
	return r, nil
}

// newArm makes an arm whose backend has been validated.
func (r *Router) newArm(name string, b Backend, s *stats) *arm {
	if s == nil {
		s = newStats(name)
	}
	a := &arm{name: name, header: []string{name}, backend: b, stats: s, own: b.Handler != nil}
	a.backend.Models, a.backend.PriceOf = maps.Clone(b.Models), r.containPrice(b.PriceOf)
	a.backend.Header = make(http.Header, len(b.Header))
	for name, values := range b.Header {
		name = http.CanonicalHeaderKey(name)
		a.backend.Header[name] = slices.Clone(values)
		a.ownCredential = a.ownCredential || slices.Contains(credentialHeaders, name) && slices.ContainsFunc(values, func(v string) bool { return v != "" })
	}
	if u, err := parseTarget(b.URL); err == nil {
		a.upstream = &upstream{base: u, transport: newTransport()}
		if b.Transport != nil {
			a.upstream.transport = containedTransport{r, boundedTransport(b.Transport)}
		}
		if b.Handler == nil {
			a.backend.Handler = newProxy(u, a.upstream.transport, func(in, out *http.Request) {
				r.trusted.forward(in, out.Header)
				r.dress(a, out, false)
			})
		}
	}
	a.account = a.accountOf()
	return a
}

// SetSplit puts a split in force for all requests that come from now on;
// requests that are being served end where they began. A split that is not
// valid, or that gives traffic to an arm without a backend, is an error and
// leaves the one in force as it was. A split whose generation is older than the
// generation in force is ignored, without an error, unless it is zero: an
// overtaken message must not undo a rollback.
func (r *Router) SetSplit(ctx context.Context, split strategies.Split) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("traffic: %w", context.Cause(ctx))
	}
	if err := split.Validate(); err != nil {
		return checks.Within(err, "traffic", "Split", "Split")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := split.Generation; g != 0 && g < r.table.Load().split.Generation {
		return nil
	}
	return r.bind(split)
}

// AssignsUnits reports whether the router has [Config].Unit, and so keeps the requests of
// one unit together as a rule.
func (r *Router) AssignsUnits() bool { return r.units }

// Split returns the split in force.
func (r *Router) Split() strategies.Split { return cloneSplit(r.table.Load().split) }

// SetBackend adds an arm, or replaces the backend of one for the requests that
// come from now on. It does not change the split. Errors are [*checks.InvalidError]
// values, joined.
func (r *Router) SetBackend(name string, b Backend) error {
	if err := b.validate(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var s *stats
	old := r.arms[name]
	if old != nil {
		s = old.stats
	}
	r.arms[name] = r.newArm(name, b, s)
	// The split in force may name the arm already, with weight 0 or with the
	// backend that is replaced.
	if err := r.bind(r.table.Load().split); err != nil {
		return err
	}
	if old != nil && old.account != r.arms[name].account {
		r.unpin(old)
	}
	r.publish()
	return nil
}

// unpin forgets the ids of an arm that is no longer there.
func (r *Router) unpin(a *arm) {
	a.gone.Store(true)
	r.pins.own.forget(a.name)
}

// RemoveBackend forgets an arm, its stats and the ids it made. Requests that it is
// serving end there; requests about its ids go to the baseline. An arm that the split
// in force gives traffic to, or that is its baseline, stays and is an [*InUseError].
// Removing an unknown arm does nothing.
func (r *Router) RemoveBackend(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	split := r.table.Load().split
	if split.Weight(name) > 0 || split.Baseline() == name {
		return &InUseError{Arm: name}
	}
	old := r.arms[name]
	delete(r.arms, name)
	if err := r.bind(split); err != nil {
		return err
	}
	if old != nil {
		r.unpin(old)
	}
	r.publish()
	return nil
}

// Measure has all requests that are assigned from now on recorded by rec, in place of
// the recorder before it, which still learns how the requests before have ended. If rec
// is nil, none are recorded. One recorder belongs to one rollout.
func (r *Router) Measure(rec *analysis.Recorder) { r.recorder.Store(rec) }

// Expire says until when the split in force may be relied on; a request that
// begins later is served by the baseline. It is for an engine that shares its
// store with others: when it cannot read the store any more, a rollback may have
// happened that it does not know of. Each request looks at the time itself, so
// that a process that was asleep does not serve one request too many. The zero
// time, with which a router begins, means no expiry.
func (r *Router) Expire(at time.Time) {
	var d int64
	if !at.IsZero() {
		d = max(1, int64(at.Sub(r.epoch)))
	}
	r.expiry.Store(d)
}

// place returns the arm of a request under t: the one that it forces, if it may;
// the one that made what it refers to; else the table's. s has the request, its unit
// and its tenant. The ids in body are not looked at if it is nil.
func (r *Router) place(t *table, s *subject, ask *answer.Ask, body *payload, stale bool) placement {
	base, kind, req := t.baseline(), ask.Route.Kind, s.req
	if t.pinned && req.Method == http.MethodHead && answer.RouteOf(http.MethodGet, req.URL.Path).Kind == answer.Resource {
		kind = answer.Resource
	}
	if kind == answer.Resource || kind == answer.Control {
		if kind == answer.Resource && t.pinned {
			if a := r.keeper(t, req, body, stale); a != nil && (base == nil || a.account != base.account) {
				return t.to(a, ByPin)
			}
		}
		if base != nil {
			return t.to(base, ByRoute)
		}
	}
	if r.mayForce != nil && !stale {
		if v := req.Header[ArmHeader]; len(v) > 0 {
			if a := t.named(v[0]); a != nil && r.mayForce(req, v[0]) {
				return t.to(a, ByForce)
			}
		}
	}
	if t.units {
		s.conversation = r.conversation(req)
	}
	if t.apart && !stale && mayContinue(ask) {
		if a := r.follow(t, s, ask.After); a != nil {
			return t.to(a, ByPin)
		}
	}
	return t.place(s, stale)
}

// stale reports whether the split in force must not be relied on any more.
func (r *Router) stale(now time.Time) bool {
	d := r.expiry.Load()
	return d != 0 && int64(now.Sub(r.epoch)) >= d
}

// report hands on the observation of one finished request, and ends its flight.
func (r *Router) report(t *table, a *arm, o analysis.Observation, f *flight, why Reason, fallbacks bool) {
	t.inFlight.Add(-1)
	a.stats.count(o.Class)
	f.land(o)
	if r.exposed != nil {
		r.expose(t, a, o, why, fallbacks)
	}
	if r.observe != nil {
		r.observe(o)
	}
}
