package evalue

import "math"

// RidgeTerms is how many things a [Ridge] explains an outcome by.
const RidgeTerms = 4

// Ridge holds the sums of a linear regression with a penalty (Hoerl and Kennard, "Ridge
// Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12, 1970). The
// sums are integers, so they do not depend on the order of addition. The zero Ridge is
// empty. It is not safe for concurrent use.
type Ridge struct {
	N  int64
	X  [RidgeTerms]int64             // sums, in units of 1/256
	Y  int64                         // in units of 1/256
	XX [RidgeTerms][RidgeTerms]int64 // sums of products, in units of 1/65536; the upper triangle
	XY [RidgeTerms]int64
	YY int64
}

const (
	ridgeUnit = 256
	ridgeMost = 1000 // numbers are limited to this magnitude
)

// Add adds an outcome y and its covariates. It limits numbers to the range from -1,000 to
// 1,000, and ignores the outcome if a number is NaN.
func (r *Ridge) Add(x [RidgeTerms]float64, y float64) {
	if math.IsNaN(y) {
		return
	}
	var fixed [RidgeTerms]int64
	for i, v := range x {
		if math.IsNaN(v) {
			return
		}
		fixed[i] = round(min(max(v, -ridgeMost), ridgeMost) * ridgeUnit)
	}
	fy := round(min(max(y, -ridgeMost), ridgeMost) * ridgeUnit)
	r.N++
	r.Y += fy
	r.YY += fy * fy
	for i, v := range fixed {
		r.X[i] += v
		r.XY[i] += v * fy
		for j := i; j < RidgeTerms; j++ {
			r.XX[i][j] += v * fixed[j]
		}
	}
}

// Merge adds the state of disjoint outcomes.
func (r *Ridge) Merge(o *Ridge) {
	r.N += o.N
	r.Y += o.Y
	r.YY += o.YY
	for i := range r.X {
		r.X[i] += o.X[i]
		r.XY[i] += o.XY[i]
		for j := i; j < RidgeTerms; j++ {
			r.XX[i][j] += o.XX[i][j]
		}
	}
}

// RidgeFit is the result of [Ridge.Fit].
type RidgeFit struct {
	Slopes, Means [RidgeTerms]float64
	// Explained is the explained share of the outcome's variance, from 0 to 1.
	Explained float64
}

// Fit returns the regression with the penalty lambda, which must be positive.
func (r *Ridge) Fit(lambda float64) (f RidgeFit) {
	if r.N < 2 {
		return f
	}
	n := float64(r.N)
	y := float64(r.Y) / ridgeUnit / n
	yy := float64(r.YY)/ridgeUnit/ridgeUnit - n*y*y
	var a [RidgeTerms][RidgeTerms + 1]float64
	for i := range f.Means {
		f.Means[i] = float64(r.X[i]) / ridgeUnit / n
	}
	for i := range a {
		for j := range RidgeTerms {
			a[i][j] = float64(r.XX[min(i, j)][max(i, j)])/ridgeUnit/ridgeUnit - n*f.Means[i]*f.Means[j]
		}
		a[i][i] += lambda
		a[i][RidgeTerms] = float64(r.XY[i])/ridgeUnit/ridgeUnit - n*f.Means[i]*y
	}
	xy := [RidgeTerms]float64{}
	for i := range xy {
		xy[i] = a[i][RidgeTerms]
	}
	// The matrix is positive definite, so elimination needs no pivoting.
	for i := range a {
		for j := i + 1; j < RidgeTerms; j++ {
			q := a[j][i] / a[i][i]
			for k := i; k <= RidgeTerms; k++ {
				a[j][k] -= q * a[i][k]
			}
		}
	}
	for i := RidgeTerms - 1; i >= 0; i-- {
		f.Slopes[i] = a[i][RidgeTerms]
		for j := i + 1; j < RidgeTerms; j++ {
			f.Slopes[i] -= a[i][j] * f.Slopes[j]
		}
		f.Slopes[i] /= a[i][i]
	}
	if yy > 0 {
		for i := range xy {
			f.Explained += f.Slopes[i] * xy[i] / yy
		}
	}
	return f
}

// Excess returns the expected outcome at x minus the mean outcome.
func (f *RidgeFit) Excess(x [RidgeTerms]float64) (sum float64) {
	for i, v := range x {
		sum += f.Slopes[i] * (v - f.Means[i])
	}
	return sum
}
