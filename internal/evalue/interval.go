package evalue

import "math"

// RateInterval returns a confidence sequence for the rate of events among n
// requests. The interval covers the true rate at all times with probability 1-alpha
// (Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
// nonasymptotic confidence sequences", the beta-binomial mixture). nOpt is the n at
// which it is tightest. It must not depend on the data. Default 1,000. Impossible
// arguments give [0, 1].
func RateInterval(events, n int, alpha, nOpt float64) (low, high float64) {
	if nOpt == 0 {
		nOpt = 1000
	}
	if n <= 0 || events < 0 || events > n || !(alpha > 0 && alpha < 1 && nOpt > 0) {
		return 0, 1
	}
	rate := float64(events) / float64(n)
	rejected := func(p float64) bool {
		if p <= 0 || p >= 1 { // impossible only if the contrary was observed
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

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// Wilson returns one-sided bounds of a share, events of n, each with the given confidence: the
// score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical
// inference", 1927. The numbers may be effective ones, of observations that depend on each
// other. With a confidence of 0.975 both together are a 95 % interval. It holds for one look,
// and is not valid at all times. Impossible arguments give [0, 1].
func Wilson(events, n, confidence float64) (low, high float64) {
	if !(n > 0 && events >= 0 && events <= n && confidence > 0.5 && confidence < 1) {
		return 0, 1
	}
	z := math.Sqrt2 * math.Erfinv(2*confidence-1)
	p := events / n
	mid := (p + z*z/2/n) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/4/n/n)
	low, high = max(0, mid-half), min(1, mid+half)
	if events == 0 {
		low = 0
	}
	if events == n {
		high = 1
	}
	return low, high
}
