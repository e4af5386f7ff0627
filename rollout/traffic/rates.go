package traffic

import (
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/looks"
)

// Series returns series of a router for detectors of anomalies, such as package anomaly, by
// name. For each arm that the router has now there are
//
//   - "requests of ARM": requests that have ended, by the second
//   - "errors of ARM": the share of them that failed
//   - "refusals of ARM": the share of them that the model declined
//   - "fallbacks of ARM": the share of them that the baseline has served in its place
//   - "in flight of ARM": requests that the arm is serving
//   - "TTFT p50 of ARM", "TTFT p95 of ARM": quantiles of the time to the first token of a
//     stream, in seconds
//   - "TPOT p50 of ARM": the median of the time for each output token after the first, in
//     seconds
//   - "output tokens of ARM": the mean length of an answer whose length is reported
//
// All but "in flight" are about the time since the look before. They are NaN at the first
// look, after 5 min without one, where nothing has come of which they are a share, a
// quantile or a mean, and for an arm that is gone or was added again. Quantiles are exact
// to 1.6 %. Each function is safe for concurrent use, and is for one reader.
func Series(r *Router) map[string]func(at time.Time) float64 {
	all := make(map[string]func(at time.Time) float64)
	for _, s := range r.Stats() {
		arm := s.Arm
		count := func(count func(ArmStats) uint64) func(time.Time) (float64, bool) {
			return func(time.Time) (float64, bool) {
				s, there := r.armStats(arm)
				return float64(count(s)), there
			}
		}
		share := func(count func(ArmStats) uint64) func(at time.Time) float64 {
			return looks.Quotient(looks.Longest, func(time.Time) (float64, float64, bool) {
				s, there := r.armStats(arm)
				return float64(min(count(s), s.Requests)), float64(s.Requests), there
			})
		}
		quantile := func(q float64, times func(OperationMetrics) Histogram) func(at time.Time) float64 {
			return looks.Between(looks.Longest,
				func(time.Time) (map[Bucket]uint64, bool) { return r.spread(arm, times) },
				func(_ time.Duration, before, now map[Bucket]uint64) float64 { return quantileSince(q, before, now) })
		}
		all["requests of "+arm] = looks.Rate(looks.Longest, count(func(s ArmStats) uint64 { return s.Requests }))
		all["errors of "+arm] = share(failures)
		all["refusals of "+arm] = share(func(s ArmStats) uint64 { return s.ByClass[analysis.Refused] })
		all["fallbacks of "+arm] = share(func(s ArmStats) uint64 { return s.Fallbacks })
		all["in flight of "+arm] = func(time.Time) float64 {
			if s, there := r.armStats(arm); there {
				return float64(s.InFlight)
			}
			return math.NaN()
		}
		ttft := func(o OperationMetrics) Histogram { return o.TTFT }
		all["TTFT p50 of "+arm] = quantile(0.5, ttft)
		all["TTFT p95 of "+arm] = quantile(0.95, ttft)
		all["TPOT p50 of "+arm] = quantile(0.5, func(o OperationMetrics) Histogram { return o.PerOutputToken })
		all["output tokens of "+arm] = looks.Quotient(looks.Longest, func(time.Time) (sum, n float64, ok bool) {
			m, there := r.armMetrics(arm)
			for _, o := range m.Operations {
				sum, n = sum+o.OutputTokens.Sum, n+float64(o.OutputTokens.Count)
			}
			return sum, n, there
		})
	}
	return all
}

func failures(s ArmStats) (n uint64) {
	for class, count := range s.ByClass {
		if class.Failed() {
			n += count
		}
	}
	return n
}

func (r *Router) armStats(arm string) (ArmStats, bool) {
	for _, s := range r.Stats() {
		if s.Arm == arm {
			return s, true
		}
	}
	return ArmStats{}, false
}

func (r *Router) armMetrics(arm string) (ArmMetrics, bool) {
	for _, m := range r.Metrics() {
		if m.Arm == arm {
			return m, true
		}
	}
	return ArmMetrics{}, false
}

// spread returns how many values each bucket has, of all operations of an arm. The buckets
// themselves have no count.
func (r *Router) spread(arm string, times func(OperationMetrics) Histogram) (map[Bucket]uint64, bool) {
	m, there := r.armMetrics(arm)
	counts := make(map[Bucket]uint64)
	for _, o := range m.Operations {
		for _, b := range times(o).Buckets {
			counts[Bucket{From: b.From, To: b.To}] += b.Count
		}
	}
	return counts, there
}

// quantileSince returns a quantile of what has come between two looks. It is NaN if nothing
// has, or a count was reset.
func quantileSince(q float64, before, now map[Bucket]uint64) float64 {
	for b, n := range before {
		if now[b] < n {
			return math.NaN()
		}
	}
	var grown []Bucket
	var all uint64
	for b, n := range now {
		if b.Count = n - before[b]; b.Count > 0 {
			all += b.Count
			grown = append(grown, b)
		}
	}
	slices.SortFunc(grown, func(a, b Bucket) int {
		if a.From < b.From {
			return -1
		}
		return 1
	})
	rank := uint64(math.Ceil(q * float64(all)))
	for _, b := range grown {
		if b.Count >= rank {
			return (b.From + b.To) / 2
		}
		rank -= b.Count
	}
	return math.NaN()
}
