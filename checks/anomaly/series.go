package anomaly

import (
	"math"
	"time"

	"github.com/serin-go/serin/internal/looks"
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
// more than 3 times every without one, and where the counter was reset. It is safe for
// concurrent use, and is for one reader.
func PerSecond(every time.Duration, counter func(at time.Time) float64) func(at time.Time) float64 {
	return looks.Rate(gapOf*every, func(at time.Time) (float64, bool) { return counter(at), true })
}
