package anomaly

import (
	"math"
	"time"
)

// Ratio returns the logarithm of the ratio of two series, such as the queue of a candidate
// and the one of its baseline, for a [Robust]. It is NaN where one is not positive.
func Ratio(a, b func(at time.Time) float64) func(at time.Time) float64 {
	return func(at time.Time) float64 {
		x, y := a(at), b(at)
		if !(x > 0) || !(y > 0) {
			return math.NaN()
		}
		return math.Log(x) - math.Log(y)
	}
}

// PerSecond returns the rate of a counter between two looks. It is NaN at the first look, after
// more than 3 times every without one, and where the counter was reset. It is not safe for
// concurrent use.
func PerSecond(every time.Duration, counter func(at time.Time) float64) func(at time.Time) float64 {
	var last time.Time
	var count float64
	return func(at time.Time) float64 {
		n := counter(at)
		took, more := at.Sub(last), n-count
		known := !last.IsZero() && took > 0 && took <= gapOf*every
		last, count = at, n
		if !known || !(more >= 0) {
			return math.NaN()
		}
		return more / took.Seconds()
	}
}
