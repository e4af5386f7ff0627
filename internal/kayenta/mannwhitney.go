package kayenta

import (
	"math"
	"slices"
)

// Interval is a confidence interval for the shift of the canary's points above the
// baseline's, in the metric's unit.
type Interval struct {
	Low, High float64
	// Estimate is the Hodges-Lehmann estimate: the median difference.
	Estimate float64
}

// MannWhitney returns the confidence interval for the shift between the points of the
// canary and the points of the baseline. It contains the shifts that a two-sided test with
// corrections for continuity and ties does not reject at the given confidence, in (0, 1).
// Both arms must have points, without NaN. It does not change or keep its arguments.
func MannWhitney(canary, baseline []float64, confidence float64) Interval {
	x, y := slices.Sorted(slices.Values(canary)), slices.Sorted(slices.Values(baseline))
	// Between two adjacent differences x-y, the statistic depends only on the number of
	// differences above the shift. It crosses a quantile of the normal distribution at
	// one of them.
	pairs := float64(len(x)) * float64(len(y))
	reach := math.Sqrt2*math.Erfinv(confidence)*spread(x, y) + 0.5
	k := int(math.Floor(pairs/2-reach)) + 1 // k-1 may be smaller and the shift still be rejected
	if k < 1 {
		k = 1 // too few points to exclude anything
	}
	n := len(x) * len(y)
	return Interval{
		Low:      difference(x, y, k),
		High:     difference(x, y, n+1-k),
		Estimate: difference(x, y, (n+1)/2)/2 + difference(x, y, n/2+1)/2,
	}
}

// spread returns the standard deviation of the statistic. It counts only ties within an
// arm, as if no point of one arm equalled a shifted point of the other.
func spread(x, y []float64) float64 {
	nx, ny := float64(len(x)), float64(len(y))
	n := nx + ny
	return math.Sqrt(nx * ny / 12 * (n + 1 - (ties(x)+ties(y))/(n*(n-1))))
}

// ties returns Σ(t³-t) over the groups of t equal values of a sorted slice.
func ties(sorted []float64) (sum float64) {
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		t := float64(j - i)
		sum += t*t*t - t
		i = j
	}
	return sum
}

// difference returns the k-th smallest of all differences x-y, exactly, for sorted x and
// y. It bisects over all float64 values, in 64 steps at most.
func difference(x, y []float64, k int) float64 {
	lo, hi := order(x[0]-y[len(y)-1]), order(x[len(x)-1]-y[0])
	for lo < hi {
		mid := lo + (hi-lo)/2
		if atMost(x, y, value(mid)) >= k {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return value(lo)
}

// atMost returns the number of differences x-y that are at most d.
func atMost(x, y []float64, d float64) (count int) {
	j := len(y) // x-y is at most d for y[j:]
	for _, v := range x {
		for j > 0 && v-y[j-1] <= d {
			j--
		}
		for j < len(y) && v-y[j] > d {
			j++
		}
		count += len(y) - j
	}
	return count
}

// order maps numbers to integers in the same order, and value is its inverse.
func order(f float64) uint64 {
	b := math.Float64bits(f + 0) // no negative zero
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func value(o uint64) float64 {
	if o>>63 == 1 {
		return math.Float64frombits(o &^ (1 << 63))
	}
	return math.Float64frombits(^o)
}

// Statistic returns the Mann-Whitney statistic z of the canary's points minus the shift,
// compared with the baseline's points. It corrects for continuity and ties. It is 0 for
// equal samples, and NaN if all points are equal.
func Statistic(canary, baseline []float64, shift float64) float64 {
	all := make([]float64, 0, len(canary)+len(baseline))
	above := 0.0 // pairs in which the canary's point is larger, ties counting half
	for _, v := range canary {
		all = append(all, v-shift)
		for _, w := range baseline {
			switch {
			case v-shift > w:
				above++
			case v-shift == w:
				above += 0.5
			}
		}
	}
	all = append(all, baseline...)
	slices.Sort(all)
	nx, ny := float64(len(canary)), float64(len(baseline))
	n := nx + ny
	dz := above - nx*ny/2
	correction := 0.0
	switch {
	case dz > 0:
		correction = 0.5
	case dz < 0:
		correction = -0.5
	}
	return (dz - correction) / math.Sqrt(nx*ny/12*(n+1-ties(all)/(n*(n-1))))
}
