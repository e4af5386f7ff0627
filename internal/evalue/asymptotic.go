package evalue

import "math"

// MixtureRho returns the ρ of [AsymptoticHalfWidth] that makes the interval
// tightest at a total sample of nStar:
//
//	ρ² = (-2 ln α + ln(1 - 2 ln α)) / nStar
//
// with 2α in place of α for a one-sided interval.
func MixtureRho(alpha, nStar float64, oneSided bool) float64 {
	if oneSided {
		alpha *= 2
	}
	l := -2 * math.Log(alpha)
	return math.Sqrt((l + math.Log1p(l)) / nStar)
}

// AsymptoticHalfWidth returns the half width of the asymptotic confidence
// sequence for a mean (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
// "Time-uniform central limit theory and asymptotic confidence sequences") after
// n observations with variance sigma2 each. The interval covers the mean at all
// times with probability 1-alpha, if n is not too small. nStar is the n at which it
// is tightest. It must not depend on the data. Default 5,000. A one-sided interval
// is the half line that begins at this distance from the estimate. The width is
// infinite unless n and nStar are positive, sigma2 is not negative, and alpha is in
// (0, 1).
func AsymptoticHalfWidth(n, sigma2, alpha, nStar float64, oneSided bool) float64 {
	if nStar == 0 {
		nStar = 5000
	}
	if !(n > 0 && sigma2 >= 0 && alpha > 0 && alpha < 1 && nStar > 0) {
		return math.Inf(1)
	}
	rho := MixtureRho(alpha, nStar, oneSided)
	v := n * rho * rho
	tail := math.Log(math.Sqrt(v+1) / alpha)
	if oneSided {
		tail = math.Log1p(math.Sqrt(v+1) / (2 * alpha))
	}
	return math.Sqrt(sigma2 * 2 * (v + 1) / (n * v) * tail)
}
