package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/traced"
)

// Mirroring says how copies of requests are made for the mirrors of a split
// ([strategies.Mirror]). The zero value is ready to use.
//
// A copy is sent while its request is being served, under a context and a deadline
// of its own. Callers never wait for it, and never hear of it. Its answer is
// measured for the arm that it went to, and thrown away.
type Mirroring struct {
	// Concurrent is how many copies are under way at a time, and Queue how many more
	// may wait; beyond that copies are dropped, and counted. Zero means 16 and 64.
	Concurrent int `env:"MIRROR_CONCURRENT"`
	Queue      int `env:"MIRROR_QUEUE"`
	// Timeout bounds a copy, and the comparison of its answer. Zero means 5 min.
	Timeout time.Duration `env:"MIRROR_TIMEOUT"`
	// MaxCost is what copies may cost in each hour; no copy begins beyond that. It
	// needs arms with a price. Zero means no limit.
	MaxCost analysis.Money `env:"MIRROR_MAX_COST"`
	// KeepTools leaves the tools of a request in its copies. Without it they are
	// taken out: a service that calls tools by itself would call them twice.
	KeepTools bool `env:"MIRROR_KEEP_TOOLS"`

	// Compare, if not nil, judges the two answers to a request, by whatever means:
	// a rule, a test, another model. Its scores, from 0 to 1, join the two requests
	// as feedback would ([Router.Feedback]), so that a metric of satisfaction
	// compares the arms; a judge that only knows which answer is better gives it 1
	// and the other 0, and both 0.5 for a draw. ok false means no opinion. It is
	// called for answers that are complete, from up to Concurrent goroutines.
	Compare func(ctx context.Context, p Pair) (primary, copy float64, ok bool)
	// MaxAnswer is how much of an answer is kept for Compare, in bytes; pairs with
	// a longer one are not compared. Zero means 1 MiB.
	MaxAnswer int `env:"MIRROR_MAX_ANSWER"`
	// Observe, if not nil, receives the observation of each copy. [Config].Observe
	// does not receive them, since callers do not pay for copies.
	Observe func(analysis.Observation)
}

func (m Mirroring) validate() error {
	for _, f := range []struct {
		field string
		value int64
	}{
		{"Concurrent", int64(m.Concurrent)}, {"Queue", int64(m.Queue)}, {"Timeout", int64(m.Timeout)},
		{"MaxCost", int64(m.MaxCost)}, {"MaxAnswer", int64(m.MaxAnswer)},
	} {
		if f.value < 0 {
			return &checks.InvalidError{Package: "traffic", Field: "Config.Mirror." + f.field, Value: f.value, Want: "a value >= 0"}
		}
	}
	return nil
}

// MirrorHeader is set in copies of requests, so that backends can recognize them.
const MirrorHeader = "Serin-Mirror"

// mirror is a mirror of the split, bound to its arm.
type mirror struct {
	arm   *arm
	share int
	hash  hasher
}

// mirroring is what all copies of a router share.
type mirroring struct {
	cfg     Mirroring
	pending atomic.Int64  // copies that wait or are under way
	room    chan struct{} // for those that are under way

	mu    sync.Mutex
	hour  time.Time // when the present one began
	spent analysis.Money
}

func newMirroring(cfg Mirroring) *mirroring {
	orElse := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
	}
	orElse(&cfg.Concurrent, 16)
	orElse(&cfg.Queue, 64)
	orElse(&cfg.MaxAnswer, 1<<20)
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Minute
	}
	return &mirroring{cfg: cfg, room: make(chan struct{}, max(0, cfg.Concurrent))}
}

// affords reports whether another copy may begin at a.
func (m *mirroring) affords(a *arm, now time.Time) bool {
	if m.cfg.MaxCost == 0 {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.hour) >= time.Hour {
		m.hour, m.spent = now, 0
	}
	return a.backend.priced() && m.spent < m.cfg.MaxCost
}

func (m *mirroring) pay(cost analysis.Money) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cost < 0 && m.cfg.MaxCost > 0 {
		cost = m.cfg.MaxCost // an unknown price is not zero
	}
	m.spent += max(0, cost)
}

// copied is one copy of a request.
type copied struct {
	router     *Router
	arm        *arm
	generation uint64
	unit       string
	ask        answer.Ask
	leg        *leg
	traced     traced.Request    // nil if the request is not traced
	assigned   analysis.Assigned // what the recorder learns when it is sent
	sent       bool              // its flight has begun
	void       atomic.Bool       // a cache has answered the request, and not its arm

	method, path, uri, host string
	header                  http.Header
	body                    []byte
	held                    share

	// The request's own answer, which is complete when ended is closed.
	primary keeper
	ended   chan struct{}
	seen    analysis.Observation
	outcome answer.Outcome
}

// mirror sends copies of a request to the mirrors of the split. It does not wait.
// received reports whether the request came through the Handler.
func (r *Router) mirror(t *table, x *exchange, req *http.Request, body *payload, received bool) {
	if x.why != ByWeight || x.ask.Route.Kind != answer.Inference || x.ask.Read && x.once() || mayContinue(&x.ask) || req.Header.Get("Upgrade") != "" {
		return // not comparable, or more than a question
	}
	q := r.mirroring
	var all []*copied
	for i := range t.mirrors {
		m := &t.mirrors[i]
		if m.arm == x.arm || t.slot(&m.hash, x.unit) >= m.share {
			continue
		}
		stats := &m.arm.stats.copies
		held := share{memory: &r.bodies}
		data, ok, err := body.bytes(r.maxBody, &held)
		if ok {
			err = held.takeCopies(int64(len(data)), body.again == nil, !q.cfg.KeepTools)
		}
		switch {
		case err != nil:
			stats.dropped.Add(1)
		case !ok:
			stats.oversize.Add(1)
		case x.once(): // it is held, but could not be read
		case !q.affords(m.arm, x.began):
			stats.capped.Add(1)
		case q.pending.Add(1) > int64(q.cfg.Concurrent+q.cfg.Queue):
			q.pending.Add(-1)
			stats.dropped.Add(1)
		default:
			c := &copied{
				router: r, arm: m.arm, generation: x.generation, unit: x.unit, ask: x.ask, assigned: x.assigned(),
				method: req.Method, path: req.URL.Path, uri: req.URL.RequestURI(), host: req.Host, header: req.Header.Clone(), body: data, held: held,
			}
			if received {
				r.trusted.forward(req, c.header)
			}
			if r.charged != nil && x.leg != nil {
				c.leg = x.leg.copied(m.arm)
			}
			if x.leg != nil && x.leg.bill != nil {
				c.traced = x.leg.bill.traced
			}
			held = share{} // the copy gives it back
			if q.cfg.Compare != nil {
				c.primary.limit, c.ended = q.cfg.MaxAnswer, make(chan struct{})
				x.copies = append(x.copies, c)
			}
			c.assigned.Arm, c.assigned.Shadow, c.assigned.Unrandomised = m.arm.name, m.arm.name, true
			all = append(all, c)
		}
		held.end()
	}
	if len(all) > 0 && x.arm == t.baseline() {
		// One copy is compared with the request. Which one must depend on nothing else.
		x.pair = all[rand.IntN(len(all))]
		x.pair.assigned.Unrandomised = !t.randomised(x.why)
	}
	for _, c := range all {
		go c.run()
	}
}

// takeCopies takes what a copy of a request needs beside its answer: the body, which
// may outlive the request, unless it was read for it, and what is left of it without
// its tools.
func (s *share) takeCopies(n int64, body, withoutTools bool) error {
	var all int64
	if body {
		all += n
	}
	if withoutTools {
		all += n
	}
	return s.take(all)
}

// bytes returns the content of a payload, and whether it is held and not too large.
// Memory for a copy is taken from s.
func (p *payload) bytes(limit int64, s *share) ([]byte, bool, error) {
	switch {
	case !p.held:
		return nil, false, nil
	case p.again == nil:
		return p.data, true, nil
	}
	body, err := p.again()
	if err != nil {
		return nil, false, nil
	}
	defer body.Close()
	if p.length > limit {
		return nil, false, nil
	}
	data, err := s.read(body, p.length, limit)
	if isBodyMemory(err) {
		return nil, false, err
	}
	return data, err == nil && int64(len(data)) <= limit, nil
}

// answered takes the observation of the request itself.
func (c *copied) answered(o analysis.Observation, out answer.Outcome) {
	c.seen, c.outcome = o, out
	close(c.ended)
}

// run sends the copy, measures its answer, and has it compared.
func (c *copied) run() {
	r, q := c.router, c.router.mirroring
	defer q.pending.Add(-1)
	defer c.held.end()
	q.room <- struct{}{}
	defer func() { <-q.room }()
	if !r.table.Load().mirrorsTo(c.arm.name) {
		c.arm.stats.copies.dropped.Add(1) // the rollout has gone on meanwhile, or back
		return
	}
	ctx, cancel := context.WithTimeout(c.leg.in(context.Background()), q.cfg.Timeout)
	defer cancel()
	x := &exchange{router: r, arm: c.arm, generation: c.generation, unit: c.unit, id: newID(), ask: c.ask, label: r.labels.of(c.method, c.path).name, began: time.Now(), tenant: c.assigned.Tenant, model: c.assigned.Model, leg: c.leg, keyed: len(c.header["Idempotency-Key"]) > 0}
	kept := keeper{limit: c.primary.limit}
	ended := c.traceCopy()
	e := c.send(ctx, x, &kept)
	defer func() { ended(&x.outcome) }()
	var misfit *ShapeError
	if isBodyMemory(e.broken) || errors.As(e.broken, &misfit) {
		c.arm.stats.copies.dropped.Add(1)
		x.flight.void(time.Now(), "dropped") // it was sent without the usage option before
		return
	}
	x.end(e)
	o := x.observation()
	c.arm.stats.copies.count(o.Class)
	x.meterCopy(&o)
	q.pay(o.Cost)
	if c.void.Load() { // or the candidate would answer for requests that the baseline was spared
		x.flight.void(o.At, "cached")
	}
	x.flight.land(o)
	if q.cfg.Observe != nil {
		q.cfg.Observe(o)
	}
	if q.cfg.Compare == nil {
		return
	}
	select {
	case <-c.ended:
		c.compare(ctx, r.recorder.Load(), kept.answer(c.ask.Route, o, x.outcome))
	case <-ctx.Done():
	}
}

// compare has the two answers judged.
func (c *copied) compare(ctx context.Context, rec *analysis.Recorder, second Answer) {
	primary := c.primary.answer(c.ask.Route, c.seen, c.outcome)
	if primary.ID == "" || second.ID == "" {
		return
	}
	defer c.router.contained("Mirror.Compare")
	pair := Pair{Unit: c.unit, Request: c.body, Primary: primary, Copy: second}
	stats := &c.arm.stats.copies
	stats.compared.Add(1)
	if pair.Same() {
		stats.same.Add(1)
	}
	first, other, ok := c.router.mirroring.cfg.Compare(ctx, pair)
	if ok && rec != nil {
		rec.Feedback(primary.ID, first)
		rec.Feedback(second.ID, other)
	}
}

// send sends the copy to its arm and reads the answer to its end. An arm that
// refuses the usage option is asked again without it.
func (c *copied) send(ctx context.Context, x *exchange, kept *keeper) (e ending) {
	c.arm.stats.inFlight.Add(1)
	defer c.arm.stats.inFlight.Add(-1)
	defer func() {
		if ctx.Err() != nil {
			e.expired = ctx.Err()
		}
	}()
	e, refused := c.try(ctx, x, kept)
	if refused {
		x.askPlain(c.arm)
		e, _ = c.try(ctx, x, kept)
	}
	return e
}

// try sends the copy once. It reports whether the arm has refused the usage option.
func (c *copied) try(ctx context.Context, x *exchange, kept *keeper) (e ending, refused bool) {
	body := c.body
	if !c.router.mirroring.cfg.KeepTools {
		body = withoutTools(body)
	}
	if c.ask.Route.API == answer.Responses {
		body = withoutStore(body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.uri, nil)
	if err != nil {
		return ending{broken: fmt.Errorf("traffic: copy of a request: %w", err)}, false
	}
	req.Host, req.Header, req.RequestURI = c.host, outgoing(c.header), c.uri
	dropKeys(req.Header)
	s, err := c.router.shape(c.arm, c.ask, req, &payload{data: body, held: true}, &c.held, x.asksUsage(c.arm))
	if err != nil {
		return ending{broken: err}, false
	}
	if s.url != nil {
		req.URL, req.RequestURI = s.url, s.url.RequestURI()
	}
	if !c.sent {
		c.sent, c.assigned.At = true, x.began
		x.flight = c.router.fly(c.assigned)
	}
	_ = s.body.attach(req, c.arm.stats) // it is in memory
	c.router.dress(c.arm, req, true)
	if c.arm.upstream == nil {
		sink := &sink{header: make(http.Header), x: x, kept: kept, asked: s.usage}
		req = req.WithContext(context.WithValue(ctx, forwardedKey, true))
		if p := c.router.runMirror(c.arm, sink, req); p != nil {
			e.broken = fmt.Errorf("traffic: the handler panicked: %v", p)
		}
		sink.WriteHeader(http.StatusOK) // if it has not said anything
		return e, sink.refused
	}
	req.Host, req.RequestURI = "", ""
	resp, err := c.router.send(c.arm.upstream, req, req.URL)
	if err != nil {
		return ending{broken: err}, false
	}
	defer func() { _ = c.router.closeBody(resp.Body) }()
	if s.usage && refusesUsage(resp.StatusCode) {
		return e, true
	}
	x.answeredPlain(c.arm, resp.StatusCode)
	x.start(resp.StatusCode, resp.Header)
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		n, err := c.router.read(resp.Body, buf)
		if n > 0 {
			x.feed(buf[:n], time.Since(x.began))
			kept.add(buf[:n])
		}
		if err == io.EOF {
			return e, false
		} else if err != nil {
			return ending{broken: err}, false
		}
	}
}

// mirrorsTo reports whether the split still sends copies to an arm.
func (t *table) mirrorsTo(arm string) bool {
	for i := range t.mirrors {
		if t.mirrors[i].arm.name == arm {
			return true
		}
	}
	return false
}

// runMirror calls the handler of an arm and returns what it panicked with.
func (r *Router) runMirror(a *arm, w http.ResponseWriter, req *http.Request) (p any) {
	if a.backend.Handler == nil {
		return fmt.Sprintf("arm %q has neither Handler nor URL", a.name)
	}
	defer func() {
		if p = recover(); p != nil && p != http.ErrAbortHandler {
			r.logPanic(req.Context(), a, p, debug.Stack())
		}
	}()
	a.backend.Handler.ServeHTTP(w, req)
	return nil
}

// sink is what a handler writes the answer to a copy to.
type sink struct {
	header http.Header
	x      *exchange
	kept   *keeper
	said   bool

	asked, refused bool // the usage option
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) Flush()              {}

func (s *sink) WriteHeader(status int) {
	if s.said || status < 200 {
		return
	}
	s.said = true
	if s.refused = s.asked && refusesUsage(status); s.refused {
		return
	}
	s.x.answeredPlain(s.x.arm, status)
	s.x.start(status, s.header)
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.refused {
		return len(p), nil
	}
	s.x.feed(p, time.Since(s.x.began))
	s.kept.add(p)
	return len(p), nil
}
