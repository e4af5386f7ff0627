package evalue

import "math"

// Regression is what a series of pairs (x, y) adds up to: y is an outcome, such
// as a latency or its logarithm, and x something known before the request was
// assigned to an arm, such as its number of prompt tokens. What x explains of y
// can be taken out of a comparison (CUPED: Deng, Xu, Kohavi and Walker,
// "Improving the sensitivity of online controlled experiments by utilizing
// pre-experiment data"); that leaves 1-ρ² of the variance, where ρ is their
// correlation. With x always 0 it holds the mean and the variance of y.
//
// Regression is plain data. Its sums are centred, so that large means do no
// harm; states of disjoint data are merged. The zero Regression has seen
// nothing. It is not safe for concurrent use.
type Regression struct {
	N int `json:"n"`
	// X and Y are the means; XX, XY and YY the sums of the products of the
	// deviations from them.
	X  float64 `json:"x"`
	Y  float64 `json:"y"`
	XX float64 `json:"xx"`
	XY float64 `json:"xy"`
	YY float64 `json:"yy"`
}

// Add takes a pair in. Values that are not finite are ignored.
func (r *Regression) Add(x, y float64) {
	if s := x + y; math.IsNaN(s) || math.IsInf(s, 0) {
		return
	}
	r.Merge(Regression{N: 1, X: x, Y: y})
}

// Merge adds what was seen elsewhere (Chan, Golub and LeVeque, "Updating
// formulae and a pairwise algorithm for computing sample variances").
func (r *Regression) Merge(o Regression) {
	if o.N <= 0 {
		return
	}
	n, m := float64(r.N), float64(o.N)
	dx, dy := o.X-r.X, o.Y-r.Y
	w := n * m / (n + m)
	r.N += o.N
	r.X += dx * m / (n + m)
	r.Y += dy * m / (n + m)
	r.XX += o.XX + w*dx*dx
	r.XY += o.XY + w*dx*dy
	r.YY += o.YY + w*dy*dy
}

// Slope returns θ = cov(x, y)/var(x), by how much y grows with x. It is 0 where
// x does not vary.
func (r Regression) Slope() float64 {
	if !(r.XX > 0) {
		return 0
	}
	return r.XY / r.XX
}

// Adjust returns y without what x explains of it, by what was seen so far: y -
// θ(x - X). A test that compares requests one by one stays exact if it compares
// adjusted values, provided that both arms are adjusted by the same regression
// and that it has seen none of the values that it adjusts.
func (r Regression) Adjust(x, y float64) float64 { return y - r.Slope()*(x-r.X) }

// residual returns the sum of squares that θ leaves of y.
func (r Regression) residual(theta float64) float64 {
	return max(r.YY-2*theta*r.XY+theta*theta*r.XX, 0)
}

// adjusted returns the means of both arms without what x explains, by the slope
// that both share, and the variances of these means. The latter are infinite
// for fewer than two values.
func adjusted(base, cand Regression) (yb, vb, yc, vc float64) {
	within := Regression{N: base.N + cand.N, XX: base.XX + cand.XX, XY: base.XY + cand.XY}
	theta := within.Slope()
	x := base.X
	if n := base.N + cand.N; n > 0 {
		x += (cand.X - base.X) * float64(cand.N) / float64(n)
	}
	mean := func(r Regression) (y, v float64) {
		if r.N < 2 {
			return r.Y, math.Inf(1)
		}
		return r.Y - theta*(r.X-x), r.residual(theta) / float64(r.N-1) / float64(r.N)
	}
	yb, vb = mean(base)
	yc, vc = mean(cand)
	return yb, vb, yc, vc
}

// Difference returns how much larger the candidate's mean of y is than the
// baseline's, adjusted for x, and the square of its standard error. For
// [AsymptoticHalfWidth], n is the number of values of both arms and sigma2 is n
// times that square. The variance is infinite while an arm has fewer than two
// values.
func Difference(base, cand Regression) (difference, variance float64) {
	yb, vb, yc, vc := adjusted(base, cand)
	return yc - yb, vb + vc
}

// RelativeDifference is [Difference] as a share of the baseline's plain mean, its
// variance by the delta method at both plain means. The variance is infinite
// while that of the baseline is 0.
func RelativeDifference(base, cand Regression) (difference, variance float64) {
	yb, vb, yc, vc := adjusted(base, cand)
	if base.Y == 0 {
		return 0, math.Inf(1)
	}
	ratio := cand.Y / base.Y
	return (yc - yb) / base.Y, (vc + vb*ratio*ratio) / (base.Y * base.Y)
}
