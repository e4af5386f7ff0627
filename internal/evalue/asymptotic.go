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
// n observations with variance sigma2 each. The interval holds at all times with
// probability 1-alpha, for n not too small. nStar is the n at which it is
// tightest; zero means 5,000. It must not change while data come in. A
// one-sided interval is the half line that begins this far from the estimate.
// The width is infinite while n or sigma2 is not positive or alpha not in (0,
// 1).
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

// AsymptoticLogE returns ln E against "the mean is 0" or, one-sided, "at most
// 0", for an estimate after n observations with variance sigma2 each. It is the
// test whose interval is that of [AsymptoticHalfWidth], but for a one-sided
// interval, which is a little wider than it need be. Impossible arguments are no
// evidence, 0.
func AsymptoticLogE(n, estimate, sigma2, alpha, nStar float64, oneSided bool) float64 {
	if nStar == 0 {
		nStar = 5000
	}
	if !(n > 0 && sigma2 > 0 && alpha > 0 && alpha < 1 && nStar > 0) || math.IsNaN(estimate) {
		return 0
	}
	rho := MixtureRho(alpha, nStar, oneSided)
	v := n * rho * rho
	z := estimate * math.Sqrt(n/sigma2) * math.Sqrt(v/(v+1))
	logE := z*z/2 - math.Log1p(v)/2
	if oneSided {
		// Twice the share of the mixture that lies above 0; far below, by the
		// asymptote of erfc, which itself would be 0.
		if z < -30 {
			return -math.Log(-z*math.Sqrt(math.Pi/2)) - math.Log1p(v)/2
		}
		logE += math.Log(math.Erfc(-z / math.Sqrt2))
	}
	return logE
}
