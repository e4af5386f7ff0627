package traffic

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxHeld is how much of a stream is held back at most, in bytes.
const maxHeld = 64 << 10

// holds reports whether the beginning of an answer that can still be rescued is
// held back: that of a stream that the meter reads.
func (x *exchange) holds() bool {
	return x.router.holdBack > 0 && x.meter != nil && x.streaming && x.status < http.StatusBadRequest
}

// verdict is what the beginning of a stream shows.
type verdict int

const (
	undecided verdict = iota
	begun             // it bears content, or it has been held for long enough
	failed            // it says that there will be no answer
)

// weigh judges the beginning of a stream, of which held bytes came since some
// time.
func (x *exchange) weigh(held int, since time.Duration) (verdict, error) {
	s := x.meter.Stream()
	switch {
	case s.Err != "" && s.Chunks == 0:
		return failed, fmt.Errorf("traffic: error inside an answer: %s", s.Err)
	case s.Chunks > 0, s.Done, !s.Known && s.Events > 0, held > maxHeld, since > x.router.holdBack:
		return begun, nil
	}
	return undecided, nil
}

// empty reports whether a stream that has ended was none: it began as answers do,
// and had neither content nor an end.
func (x *exchange) empty() bool {
	s := x.meter.Stream()
	return s.Known && !s.Done && s.Chunks == 0
}

// budget bounds what rescues add to the baseline's load: in each period
// [Config].RescueRatio of what it serves anyway, and rescuesFree more.
type budget struct {
	ratio float64
	spent atomic.Bool // for the present period

	mu     sync.Mutex
	began  time.Time // of the period
	served uint64    // by the baseline when it began
	used   float64
}

const (
	rescuePeriod = 10 * time.Second
	rescuesFree  = 100
)

// allows reports whether another rescue may happen. It costs one load while there
// is enough.
func (b *budget) allows(base *stats, now time.Time) bool {
	return !b.spent.Load() || b.take(base, now, 0)
}

// take uses n rescues and reports whether there are more.
func (b *budget) take(base *stats, now time.Time, n float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	served := base.total()
	if now.Sub(b.began) >= rescuePeriod || served < b.served { // a new period, or another baseline
		b.began, b.served, b.used = now, served, 0
	}
	b.used += n
	left := b.used < rescuesFree+b.ratio*float64(served-b.served)
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
