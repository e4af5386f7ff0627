package evalue

import "math"

// Regression holds the sums of a linear regression over pairs (x, y). y is an
// outcome, such as the logarithm of a latency. x is a covariate that was known
// before the assignment, such as the number of prompt tokens. A comparison can
// remove what x explains of y (CUPED: Deng, Xu, Kohavi and Walker, "Improving the
// sensitivity of online controlled experiments by utilizing pre-experiment data").
// This leaves 1-ρ² of the variance, where ρ is the correlation. If x is always 0, a
// Regression holds the mean and the variance of y.
//
// Regression is plain data. Its sums are centred, so that large means lose no
// precision. States of disjoint data can be merged. The zero Regression is empty.
// It is not safe for concurrent use.
type Regression struct {
	N int `json:"n"`
	// X and Y are the means. XX, XY and YY are the sums of the products of the
	// deviations from the means.
	X  float64 `json:"x"`
	Y  float64 `json:"y"`
	XX float64 `json:"xx"`
	XY float64 `json:"xy"`
	YY float64 `json:"yy"`
}

// Add adds a pair. Values that are not finite are ignored.
func (r *Regression) Add(x, y float64) {
	if s := x + y; math.IsNaN(s) || math.IsInf(s, 0) {
		return
	}
	r.Merge(Regression{N: 1, X: x, Y: y})
}

// Merge adds the state of disjoint pairs (Chan, Golub and LeVeque, "Updating
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

// Slope returns θ = cov(x, y)/var(x), the growth of y with x, or 0 if x does not
// vary.
func (r Regression) Slope() float64 {
	if !(r.XX > 0) {
		return 0
	}
	return r.XY / r.XX
}
