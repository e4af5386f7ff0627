package traffic

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// The most that is held back of an answer, in bytes.
const (
	maxHeldStream   = 64 << 10
	maxHeldDocument = 1 << 20
)

// holding is what the beginning of an answer shows while it is held back.
type holding uint8

const (
	undecided holding = iota
	begun             // it bears content, or has been held for long enough
	failed            // it can no longer be a good answer
)

// weigh judges the beginning of an answer, of which held bytes have come since
// some time.
func (x *exchange) weigh(held int, since time.Duration) holding {
	if x.once() && x.status < 400 {
		return begun // it has been accepted, so its caller sees what came of it
	}
	switch x.reader.State() {
	case answer.Begun, answer.Complete:
		return begun
	case answer.Failed:
		return failed
	}
	most := maxHeldStream
	switch x.reader.Form() {
	case answer.Document, answer.UnknownForm:
		most = maxHeldDocument
	}
	if x.router.limits.peekTimeout <= 0 || held > most || since > x.router.limits.peekTimeout {
		return begun
	}
	return undecided
}

// mayFallBack reports whether a request could be served by base instead of the arm
// that it is assigned to: asking twice must not do anything twice.
func (r *Router) mayFallBack(x *exchange, base *arm, body *payload, req *http.Request) bool {
	if r.noFallback || base == nil || base == x.arm || !body.held || req.Header.Get("Upgrade") != "" {
		return false
	}
	if base.renames() && !x.ask.Read && !r.fits(x, base, body, req) {
		return false
	}
	switch x.ask.Route.Kind {
	case answer.Inference:
		if mayContinue(&x.ask) && base.account != x.arm.account {
			return false // what it goes on from is where the arm is
		}
	case answer.Auxiliary, answer.UnknownKind:
		if req.Method != http.MethodGet && req.Method != http.MethodHead && x.ask.Route.Kind == answer.UnknownKind {
			return false
		}
	default:
		return false
	}
	return r.budget.allows(base.stats, x.began)
}

// fits reports whether a body that could not be read can be given an arm's model.
func (r *Router) fits(x *exchange, a *arm, body *payload, req *http.Request) bool {
	held := share{memory: &r.bodies}
	defer held.end()
	_, err := r.shape(a, x.ask, req, body, &held, false)
	return err == nil
}

// once reports whether an inference has effects beside its answer: the server calls
// tools, or goes on with it in the background.
func (x *exchange) once() bool { return x.ask.ServerTools || x.ask.Background }

// accepted reports whether an attempt may have had effects: a server was reached and
// did not refuse.
func (x *exchange) accepted(e ending) bool {
	return x.status < 400 && (x.status != 0 || reached(e))
}

// budget bounds what fallbacks add to the baseline's load: in each period
// [Config].FallbackRatio of what it serves anyway, and fallbacksFree more.
type budget struct {
	ratio float64
	spent atomic.Bool // for the present period

	mu     sync.Mutex
	began  time.Time // of the period
	served uint64    // by the baseline when it began
	used   float64
}

const (
	fallbackPeriod = 10 * time.Second
	fallbacksFree  = 100
)

// allows reports whether another fallback may happen. It costs one load while
// there is enough.
func (b *budget) allows(base *stats, now time.Time) bool {
	return !b.spent.Load() || b.take(base, now, 0)
}

// take uses n fallbacks and reports whether there are more.
func (b *budget) take(base *stats, now time.Time, n float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	served := base.total()
	if now.Sub(b.began) >= fallbackPeriod || served < b.served { // a new period, or another baseline
		b.began, b.served, b.used = now, served, 0
	}
	b.used += n
	left := b.used < fallbacksFree+b.ratio*float64(served-b.served)
	b.spent.Store(!left)
	return left
}

// total returns how many requests have ended.
func (s *stats) total() (n uint64) {
	for c := range s.byClass {
		n += s.byClass[c].Load()
	}
	return n
}
