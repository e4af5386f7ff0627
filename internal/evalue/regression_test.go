package evalue

import "math"

// residual returns the sum of squares that the slope theta leaves of y.
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

// difference returns how much larger the candidate's mean of y is than the
// baseline's, adjusted for x, and the square of its standard error. The reference
// values of other implementations need it. For
// [AsymptoticHalfWidth], n is the number of values of both arms and sigma2 is n
// times that square. The variance is infinite while an arm has fewer than two
// values.
func difference(base, cand Regression) (d, v float64) {
	yb, vb, yc, vc := adjusted(base, cand)
	return yc - yb, vb + vc
}

// relativeDifference is [difference] as a share of the baseline's plain mean. Its
// variance follows from the delta method at both plain means, and is infinite if
// the baseline's mean is 0.
func relativeDifference(base, cand Regression) (d, v float64) {
	yb, vb, yc, vc := adjusted(base, cand)
	if base.Y == 0 {
		return 0, math.Inf(1)
	}
	ratio := cand.Y / base.Y
	return (yc - yb) / base.Y, (vc + vb*ratio*ratio) / (base.Y * base.Y)
}
