package traffic

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// stats counts what one arm does.
type stats struct {
	arm       string
	inFlight  atomic.Int64
	fallbacks atomic.Uint64
	byClass   [analysis.NumClasses]atomic.Uint64
	stale     atomic.Uint64
	cut       atomic.Uint64
	why       reasons
	logged    atomic.Int64 // when, in nanoseconds since 1970
	copies    copyStats
	learned   learned
	life      life
	series    allSeries
	backend   atomic.Pointer[served]
}

func newStats(arm string) *stats { return &stats{arm: arm} }

func (s *stats) count(c analysis.Class) {
	if c >= analysis.NumClasses {
		c = analysis.Error // what is not recognised is not known to be good
	}
	s.byClass[c].Add(1)
}

// mayLog reports whether the arm has not been logged about for a second.
func (s *stats) mayLog(now time.Time) bool {
	last := s.logged.Load()
	return now.UnixNano()-last >= int64(time.Second) && s.logged.CompareAndSwap(last, now.UnixNano())
}

// ArmStats says what one arm has done since it was added, and is doing now.
type ArmStats struct {
	Arm string
	// InFlight is the number of requests that the arm is serving now, those that
	// it serves in place of another arm included.
	InFlight int
	// Requests is the number of requests that were assigned to the arm and have
	// ended. It is the sum of ByClass.
	Requests uint64
	// Fallbacks is how many of them the baseline served in its place.
	Fallbacks uint64
	// Stale is how often a request was sent once more because the server had closed
	// an idle connection before it answered. It is not a failure of the arm.
	Stale uint64
	// Cut is how many requests [ErrCut] ended before the arm had answered them whole,
	// those that it served in place of another arm included.
	Cut uint64
	// ByClass counts Requests by their class; classes that did not occur are
	// absent.
	ByClass map[analysis.Class]uint64
	// Why counts those that were not good by their reason, and FinishReasons those
	// that ended with a finish reason that is not known; what is beyond 32 names
	// counts as "other".
	Why, FinishReasons map[string]uint64
}

// Unserved returns how many requests were refused before an arm was asked, by the
// reason: "body broken", "body memory", "body too large", "body too slow",
// "control route", "model cannot be set".
func (r *Router) Unserved() map[string]uint64 { return r.unserved.all() }

// Stats returns what all arms have done, ordered by name. The numbers are taken
// one after the other while requests go on.
func (r *Router) Stats() []ArmStats {
	var all []ArmStats
	for _, s := range *r.known.Load() {
		all = append(all, s.public())
	}
	return all
}

func (s *stats) public() ArmStats {
	a := ArmStats{
		Arm: s.arm, InFlight: int(s.inFlight.Load()), Fallbacks: s.fallbacks.Load(), Stale: s.stale.Load(), Cut: s.cut.Load(),
		Why: s.why.why.all(), FinishReasons: s.why.finish.all(), ByClass: make(map[analysis.Class]uint64),
	}
	for c := range s.byClass {
		if n := s.byClass[c].Load(); n > 0 {
			a.ByClass[analysis.Class(c)] = n
			a.Requests += n
		}
	}
	return a
}

// publish makes the present arms visible to Stats and Metrics, which must not wait for
// the lock. The caller holds r.mu, or has the Router to itself.
func (r *Router) publish() {
	list := make([]*stats, 0, len(r.arms))
	for _, a := range r.arms {
		a.stats.backend.Store(&served{base: a.address(), name: a.backend.Provider})
		list = append(list, a.stats)
	}
	slices.SortFunc(list, func(a, b *stats) int { return strings.Compare(a.arm, b.arm) })
	r.known.Store(&list)
}
