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
	arm      string
	inFlight atomic.Int64
	rescued  atomic.Uint64
	byClass  [analysis.NumClasses]atomic.Uint64
	logged   atomic.Int64 // when, in nanoseconds since 1970
	copies   copyStats
	life     life
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
	// Rescued is how many of them the baseline served in its place.
	Rescued uint64
	// ByClass counts Requests by their class; classes that did not occur are
	// absent.
	ByClass map[analysis.Class]uint64
}

// Stats returns what all arms have done, ordered by name. The numbers are taken
// one after the other while requests go on.
func (r *Router) Stats() []ArmStats {
	var all []ArmStats
	for _, s := range *r.known.Load() {
		a := ArmStats{
			Arm: s.arm, InFlight: int(s.inFlight.Load()), Rescued: s.rescued.Load(),
			ByClass: make(map[analysis.Class]uint64),
		}
		for c := range s.byClass {
			if n := s.byClass[c].Load(); n > 0 {
				a.ByClass[analysis.Class(c)] = n
				a.Requests += n
			}
		}
		all = append(all, a)
	}
	return all
}

// publish makes the present arms visible to Stats and to OpenTelemetry, which
// must not wait for the lock. The caller holds r.mu, or has the Router to itself.
func (r *Router) publish() {
	list := make([]*stats, 0, len(r.arms))
	for _, a := range r.arms {
		list = append(list, a.stats)
	}
	slices.SortFunc(list, func(a, b *stats) int { return strings.Compare(a.arm, b.arm) })
	r.known.Store(&list)
}
