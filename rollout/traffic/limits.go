package traffic

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/hist"
)

// limits are the time limits of a router; 0 or less is no limit.
type limits struct {
	firstByte, firstDocument time.Duration
	stall                    time.Duration // without a byte
	content                  time.Duration // with bytes but without content
	peekTimeout              time.Duration
	requestStall             time.Duration // of a request's body
	patience                 patience
}

// set takes the limits from a configuration that has its defaults.
func (l *limits) set(cfg Config) {
	l.firstByte, l.firstDocument, l.stall, l.content = cfg.FirstByteTimeout, cfg.FirstByteTimeout, cfg.Stall, cfg.ContentStall
	l.peekTimeout, l.requestStall = cfg.PeekTimeout, cfg.RequestStall
	if cfg.FirstByteTimeout == 0 {
		l.firstByte, l.firstDocument = DefaultFirstByteTimeout, DefaultDocumentTimeout
	}
	l.patience.factor = cfg.Patience
}

// linger has cancel called when an attempt that has failed goes on for longer than
// the beginning of an answer is held back. It returns a function that prevents that.
func (l *limits) linger(cancel context.CancelCauseFunc) (stop func() bool) {
	limit := l.peekTimeout
	if limit <= 0 {
		limit = DefaultPeekTimeout
	}
	return time.AfterFunc(limit, func() { cancel(errNoAnswer) }).Stop
}

// timed reports whether an attempt may be given up.
func (l *limits) timed() bool {
	return l.firstByte > 0 || l.firstDocument > 0 || l.stall > 0 || l.content > 0 || l.patience.factor > 0
}

// first returns how long an arm may take to its first byte. With a baseline that
// could serve instead, a candidate has no more patience than what the baseline's
// own times justify.
func (l *limits) first(ask answer.Ask, fallback bool, now time.Time) time.Duration {
	limit := l.firstDocument
	if ask.Stream {
		limit = l.firstByte
	}
	if !fallback {
		return limit
	}
	if p := l.patience.limit(ask, now); p > 0 && (limit <= 0 || p < limit) {
		return p
	}
	return limit
}

const (
	patienceMin     = 5 * time.Second
	patienceAnswers = 200              // of the baseline before it counts
	patienceWindow  = 15 * time.Minute // that these are taken from
	patienceEvery   = 32               // answers between two looks at the quantile
	maxPatience     = 1e9              // in seconds, as a factor may be anything
)

// patience derives how long a candidate is waited for from how long the baseline
// takes to its first byte.
type patience struct {
	factor float64 // times the baseline's 99th percentile; 0 or less turns it off
	routes [2 * numAPIs]waits
}

// numAPIs is the number of interfaces.
const numAPIs = int(answer.Transcription) + 1

// waits holds the times to the first byte of one interface, for streams or for
// documents.
type waits struct {
	limit atomic.Int64 // in nanoseconds, 0 before it is known
	until atomic.Int64 // when limit is out of date, in nanoseconds since 1970

	mu         sync.Mutex
	young, old *hist.Histogram // each half a window
	turned     time.Time       // when young was begun
	pending    int
}

func (p *patience) of(ask answer.Ask) *waits {
	i := 2 * int(ask.Route.API)
	if ask.Stream {
		i++
	}
	if i >= len(p.routes) {
		i = 0
	}
	return &p.routes[i]
}

// limit returns how long a candidate may take to its first byte, 0 if that is not
// known.
func (p *patience) limit(ask answer.Ask, now time.Time) time.Duration {
	if p.factor <= 0 || ask.Route.Kind != answer.Inference {
		return 0
	}
	w := p.of(ask)
	limit := w.limit.Load()
	if limit == 0 || now.UnixNano() >= w.until.Load() {
		return 0
	}
	return time.Duration(limit)
}

// observe takes an answer of the baseline.
func (p *patience) observe(ask answer.Ask, o *answer.Outcome, now time.Time) {
	if p.factor <= 0 || o.FirstByte <= 0 || ask.Route.Kind != answer.Inference || o.Class != analysis.OK && o.Class != analysis.Refused {
		return
	}
	w := p.of(ask)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch age := now.Sub(w.turned); {
	case w.young == nil || age >= patienceWindow:
		w.young, w.old, w.turned = new(hist.Histogram), nil, now
		w.limit.Store(0)
	case age >= patienceWindow/2:
		w.young, w.old, w.turned = new(hist.Histogram), w.young, now
	}
	w.until.Store(w.turned.Add(patienceWindow).UnixNano())
	w.young.Add(o.FirstByte.Seconds())
	if w.pending++; w.pending < patienceEvery && w.limit.Load() > 0 {
		return
	}
	w.pending = 0
	n, high := w.young.Count(), w.young.Quantile(0.99)
	if w.old != nil {
		n += w.old.Count()
		high = max(high, w.old.Quantile(0.99)) // no merge: the larger one errs towards patience
	}
	if n < patienceAnswers {
		w.limit.Store(0)
		return
	}
	w.limit.Store(int64(max(patienceMin, time.Duration(min(p.factor*high, maxPatience)*float64(time.Second)))))
}
