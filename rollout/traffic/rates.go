package traffic

import (
	"math"
	"sync"
	"time"
)

// Series returns series of a router for detectors of anomalies, such as package anomaly, by
// name. For each arm that the router has now there are
//
//   - "requests of ARM": requests that have ended, by the second
//   - "errors of ARM": the share of them that failed
//   - "fallbacks of ARM": the share of them that the baseline has served in its place
//   - "in flight of ARM": requests that the arm is serving
//
// Rates and shares are about the time since the look before. They are NaN at the first look,
// after 5 min without one, for a share without requests, and for an arm that is gone or was
// added again. Each function is safe for concurrent use, and is for one reader.
func Series(r *Router) map[string]func(at time.Time) float64 {
	all := make(map[string]func(at time.Time) float64)
	for _, s := range r.Stats() {
		arm := s.Arm
		requests := func(s ArmStats) uint64 { return s.Requests }
		failed := func(s ArmStats) (n uint64) {
			for class, count := range s.ByClass {
				if class.Failed() {
					n += count
				}
			}
			return n
		}
		all["requests of "+arm] = r.between(arm, requests, nil)
		all["errors of "+arm] = r.between(arm, failed, requests)
		all["fallbacks of "+arm] = r.between(arm, func(s ArmStats) uint64 { return s.Fallbacks }, requests)
		all["in flight of "+arm] = func(time.Time) float64 {
			if s, there := r.armStats(arm); there {
				return float64(s.InFlight)
			}
			return math.NaN()
		}
	}
	return all
}

func (r *Router) armStats(arm string) (ArmStats, bool) {
	for _, s := range r.Stats() {
		if s.Arm == arm {
			return s, true
		}
	}
	return ArmStats{}, false
}

// longestLook is the longest time between two looks at a series.
const longestLook = 5 * time.Minute

// between returns a function of how much a count has grown since the look before: by the
// second or, with of, as a share of another count.
func (r *Router) between(arm string, count, of func(ArmStats) uint64) func(at time.Time) float64 {
	var (
		mu           sync.Mutex
		last         time.Time
		counted, ofs uint64
	)
	return func(at time.Time) float64 {
		mu.Lock()
		defer mu.Unlock()
		s, there := r.armStats(arm)
		if !there {
			last = time.Time{}
			return math.NaN()
		}
		before, n, all := last, count(s), uint64(0)
		if of != nil {
			all = of(s)
		}
		took, more, moreOf := at.Sub(before), n-counted, all-ofs
		known := !before.IsZero() && took > 0 && took <= longestLook && n >= counted && all >= ofs
		last, counted, ofs = at, n, all
		switch {
		case !known, of != nil && moreOf == 0:
			return math.NaN()
		case of != nil:
			return min(1, float64(more)/float64(moreOf))
		}
		return float64(more) / took.Seconds()
	}
}
