package evalue

import "math"

// PSI returns the population stability index of two histograms with the same bins.
// It is the distance between their shares p and q:
//
//	PSI = Σ (q-p) ln(q/p)
//
// PSI also returns the limit that the index exceeds with probability alpha if
// nothing has changed. The usual limits of 0.1 and 0.25 are not a test. Without a
// change, PSI is distributed as (1/n + 1/m) χ² with one degree of freedom less than
// the number of bins, where n and m are the sums of the counts. The limit is a
// quantile of this distribution. It holds for one look, and for about five counts
// or more in each bin. It is not valid at all times.
//
// Bins that are empty on both sides are ignored. If a bin is empty on one side, half
// a count is added to every bin, because the index would be infinite. The index is 0
// and the limit +Inf if the histograms cannot be compared: different lengths,
// negative counts, an empty side, or an alpha outside (0, 1).
func PSI(base, cand []int, alpha float64) (index, limit float64) {
	var n, m, bins, extra float64
	for i, b := range base {
		if len(cand) != len(base) || b < 0 || cand[i] < 0 {
			return 0, math.Inf(1)
		}
		n, m = n+float64(b), m+float64(cand[i])
		if b > 0 || cand[i] > 0 {
			bins++
		}
		if (b == 0) != (cand[i] == 0) {
			extra = 0.5
		}
	}
	if n == 0 || m == 0 || bins < 2 || !(alpha > 0 && alpha < 1) {
		return 0, math.Inf(1)
	}
	for i := range base {
		if base[i] == 0 && cand[i] == 0 {
			continue
		}
		p := (float64(base[i]) + extra) / (n + extra*bins)
		q := (float64(cand[i]) + extra) / (m + extra*bins)
		index += (q - p) * math.Log(q/p)
	}
	return index, (1/n + 1/m) * chiSquaredQuantile(1-alpha, bins-1)
}

// chiSquaredQuantile returns the x which a chi-squared variable with df degrees
// of freedom exceeds with probability 1-p, for p in (0, 1).
func chiSquaredQuantile(p, df float64) float64 {
	lo, hi := 0.0, df+10
	for ChiSquaredTail(hi, df) > 1-p {
		hi *= 2
	}
	for hi-lo > 1e-12*hi {
		x := (lo + hi) / 2
		if ChiSquaredTail(x, df) > 1-p {
			lo = x
		} else {
			hi = x
		}
		if x == lo && x == hi {
			break
		}
	}
	return (lo + hi) / 2
}

// ChiSquaredTail returns the probability that a chi-squared variable with df
// degrees of freedom exceeds x: the regularised incomplete gamma function
// Q(df/2, x/2), by its series or its continued fraction, whichever converges
// (Abramowitz and Stegun 6.5.29 and 6.5.31, the latter by Lentz's method).
func ChiSquaredTail(x, df float64) float64 {
	if x <= 0 {
		return 1
	}
	a, z := df/2, x/2
	front := math.Exp(a*math.Log(z) - z - logGamma(a))
	if z < a+1 {
		term := 1 / a
		sum := term
		for k := a + 1; term > sum*1e-17; k++ {
			term *= z / k
			sum += term
		}
		return 1 - front*sum
	}
	const tiny = 1e-300
	b := z + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for i := 1.0; i < 1000; i++ {
		an := -i * (i - a)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return front * h
}
