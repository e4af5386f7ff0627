package kayenta

import (
	"math"
	"slices"
)

// Interval is what the Mann-Whitney test says of how far the canary's points
// lie above the baseline's. All are differences, in the metric's unit.
type Interval struct {
	Low, High float64
	// Estimate is that of Hodges and Lehmann: the median difference.
	Estimate float64
}

// MannWhitney returns the confidence interval for the shift between the points
// of the canary and those of the baseline: the shifts that a two-sided test
// with continuity correction and correction for ties does not reject at the
// confidence given, in (0, 1). Both must have points, and none may be NaN. It
// neither changes nor keeps its arguments.
func MannWhitney(canary, baseline []float64, confidence float64) Interval {
	x, y := slices.Sorted(slices.Values(canary)), slices.Sorted(slices.Values(baseline))
	// Between two neighbouring differences x-y, the statistic depends on nothing
	// but how many differences are larger than the shift. It crosses a quantile
	// of the normal distribution at one of them.
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

// spread returns the standard deviation of the statistic where no point of the
// one equals a shifted point of the other: only ties within each count.
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

// difference returns the k-th smallest of all x-y, exactly, for sorted x and y,
// without forming them: by bisection over the numbers that a float64 can hold,
// which takes 64 steps at most.
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

// atMost returns how many of all x-y are at most d.
func atMost(x, y []float64, d float64) (count int) {
	j := len(y) // y[j:] are those that leave x-y at most d
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
	b := math.Float64bits(f + 0) // there is one zero
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

// Statistic returns the Mann-Whitney statistic z of the canary's points, shifted
// down by the shift, against the baseline's: 0 for samples that are alike, with
// continuity correction and correction for ties. It is NaN if all points are
// equal.
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
