package analysis

import (
	"math"
	"time"

	"github.com/serin-go/serin/internal/evalue"
)

// passage is how many requests of the candidate it takes until the log of the
// evidence, which grows with a drift and spreads as it goes, has reached its
// target: an inverse Gaussian distribution with this mean and shape. The zero
// passage never ends.
type passage struct{ mean, shape float64 }

// newPassage returns the time until a mixture of alternatives with the given
// growths reaches target.
func newPassage(growths []evalue.Growth, target float64) passage {
	means := make([]float64, len(growths))
	best := 0
	for j, g := range growths {
		means[j] = g.Mean
		if g.Mean > means[best] {
			best = j
		}
	}
	n := evalue.Factor(means, target)
	if math.IsInf(n, 1) || growths[best].Variance <= 0 {
		return passage{}
	}
	height := n * growths[best].Mean
	return passage{mean: n, shape: height * height / growths[best].Variance}
}

// times returns the passage of a process that is slower by a factor.
func (p passage) times(factor float64) passage { return passage{p.mean * factor, p.shape * factor} }

// done returns the probability that it takes at most n requests.
func (p passage) done(n float64) float64 {
	if p.mean == 0 || n <= 0 {
		return 0
	}
	root := math.Sqrt(p.shape / n)
	late := 2*p.shape/p.mean + math.Log(normal(-root*(n/p.mean+1)))
	if math.IsInf(late, -1) || math.IsNaN(late) {
		late = math.Inf(-1)
	}
	return min(1, normal(root*(n/p.mean-1))+math.Exp(late))
}

// normal is the distribution function of the standard normal distribution.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// expectation returns how long it takes until all of several passages, taken to
// be independent, have come to their end, and no less than least requests.
func (t Traffic) expectation(least float64, all []passage) Expectation {
	for _, x := range all {
		if x.mean == 0 {
			return Expectation{Never: true}
		}
	}
	if len(all) == 0 {
		return Expectation{Never: true}
	}
	quantile := func(q float64) float64 {
		lo, hi := 0.0, 1.0
		done := func(n float64) float64 {
			product := 1.0
			for _, x := range all {
				product *= x.done(n)
			}
			return product
		}
		for hi < 1e15 && done(hi) < q {
			hi *= 2
		}
		for range 60 {
			if mid := (lo + hi) / 2; done(mid) < q {
				lo = mid
			} else {
				hi = mid
			}
		}
		return hi
	}
	var e Expectation
	const parts = 100
	mean := 0.0
	for i := range parts {
		mean += max(quantile((float64(i)+0.5)/parts), least) / parts
	}
	e.Requests = whole(mean)
	e.Median, e.P90 = whole(max(quantile(0.5), least)), whole(max(quantile(0.9), least))
	e.Time, e.P90Time = t.lasts(mean), t.lasts(max(quantile(0.9), least))
	return e
}

// whole rounds up what an int can hold.
func whole(n float64) int { return int(math.Ceil(min(n, 1e15))) }

// lasts returns how long it takes until the candidate has had n requests.
func (t Traffic) lasts(n float64) time.Duration {
	seconds := n / (t.PerSecond * t.Share)
	if seconds >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(seconds * 1e9)
}
