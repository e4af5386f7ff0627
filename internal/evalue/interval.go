package evalue

import "math"

// RateInterval returns a confidence sequence for the rate of events, n of which
// were possible: an interval that holds the true rate at all times with
// probability 1-alpha (Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
// nonparametric, nonasymptotic confidence sequences", the beta-binomial mixture).
// nOpt is the n at which it is tightest; zero means 1,000. It must not change
// while data come in. Impossible arguments give [0, 1].
func RateInterval(events, n int, alpha, nOpt float64) (low, high float64) {
	if nOpt == 0 {
		nOpt = 1000
	}
	if n <= 0 || events < 0 || events > n || !(alpha > 0 && alpha < 1 && nOpt > 0) {
		return 0, 1
	}
	rate := float64(events) / float64(n)
	rejected := func(p float64) bool {
		if p <= 0 || p >= 1 { // impossible only once the contrary was seen
			return p <= 0 && events > 0 || p >= 1 && events < n
		}
		v := p * (1 - p)
		return betaBinomialLogE((rate-p)*float64(n), v*float64(n), p, 1-p, nOpt*v, alpha) >= -math.Log(alpha)
	}
	// ln E grows with the distance from the observed rate.
	end := func(in, out float64) float64 {
		if in == out || !rejected(out+1e-9*(in-out)) {
			return out
		}
		for range 60 {
			if p := (in + out) / 2; rejected(p) {
				out = p
			} else {
				in = p
			}
		}
		return in
	}
	return end(rate, 0), end(rate, 1)
}

// betaBinomialLogE is the log of the two-sided beta-binomial mixture for a sum s
// of increments in [-g, h] whose variances add up to v.
func betaBinomialLogE(s, v, g, h, vOpt, alpha float64) float64 {
	l := 2 * math.Log(1/alpha)
	r := max(vOpt/(l+math.Log1p(l))-g*h, 1e-3*g*h)
	return v/(g*h)*math.Log(g+h) -
		(v+h*s)/(h*(g+h))*math.Log(g) - (v-g*s)/(g*(g+h))*math.Log(h) +
		logBeta((r+v-g*s)/(g*(g+h)), (r+v+h*s)/(h*(g+h))) -
		logBeta(r/(g*(g+h)), r/(h*(g+h)))
}

func logBeta(a, b float64) float64 { return logGamma(a) + logGamma(b) - logGamma(a+b) }

// Bounded is a confidence sequence for the mean of values in [0, 1], such as
// scores: the predictable plug-in empirical Bernstein interval (Waudby-Smith and
// Ramdas, "Estimating means of bounded random variables by betting"). Unlike
// [AsymptoticHalfWidth] it holds for few values too.
//
// It is plain data whose sums add up over disjoint values, taken in with the
// same alpha. The zero Bounded has seen none. It is not safe for concurrent use.
type Bounded struct {
	N int `json:"n"`
	// Sum is that of the values; Squares that of the squares of their
	// deviations from the mean of those up to each.
	Sum     float64 `json:"sum"`
	Squares float64 `json:"squares"`
	// Stakes is Σλ, Weighted Σλx, and Penalty Σ(x-m)²ψ(λ) with m the mean of
	// the values before each, for the low end and for the high end.
	Stakes   float64    `json:"stakes"`
	Weighted float64    `json:"weighted"`
	Penalty  [2]float64 `json:"penalty"`
}

// Add takes a value in. alpha is that of the interval, in (0, 1), and the same
// for every value. Values outside [0, 1] and NaN are ignored.
func (b *Bounded) Add(x, alpha float64) {
	if !(x >= 0 && x <= 1) || !(alpha > 0 && alpha < 1) {
		return
	}
	// For the stake, one imagined value of 1/2 with variance 1/4 goes before.
	// The penalty has no such value: each end takes the first mean to lie as far
	// out as it can, which is the convention of the Python library confseq.
	t := float64(b.N + 1)
	stake := min(math.Sqrt(2*math.Log(2/alpha)/((b.Squares+0.25)*math.Log1p(t))), 0.5)
	b.Stakes += stake
	b.Weighted += stake * x
	for end := range b.Penalty {
		mean := float64(end)
		if b.N > 0 {
			mean = b.Sum / float64(b.N)
		}
		b.Penalty[end] += (x - mean) * (x - mean) * (-math.Log1p(-stake) - stake)
	}
	b.N++
	b.Sum += x
	after := (b.Sum + 0.5) / (t + 1)
	b.Squares += (x - after) * (x - after)
}

// Interval returns the interval that holds the true mean at all times with
// probability 1-alpha; [0, 1] before the first value.
func (b *Bounded) Interval(alpha float64) (low, high float64) {
	if !(b.Stakes > 0) || !(alpha > 0 && alpha < 1) {
		return 0, 1
	}
	odds := math.Log(2 / alpha)
	return max((b.Weighted-odds-b.Penalty[0])/b.Stakes, 0), min((b.Weighted+odds+b.Penalty[1])/b.Stakes, 1)
}

// Merge adds what was seen elsewhere.
func (b *Bounded) Merge(o Bounded) {
	b.N += o.N
	b.Sum += o.Sum
	b.Squares += o.Squares
	b.Stakes += o.Stakes
	b.Weighted += o.Weighted
	b.Penalty[0] += o.Penalty[0]
	b.Penalty[1] += o.Penalty[1]
}
