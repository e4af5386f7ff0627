package kayenta

import (
	"math"
	"slices"
)

// Percentile returns the p-th percentile of values, for p from 0 to 100, by linear
// interpolation (type R-7). It is NaN if values is empty.
func Percentile(values []float64, p float64) float64 {
	return quantile(values, func(n float64) float64 { return 1 + (n-1)*p/100 })
}

// quantile interpolates at a position that counts from one.
func quantile(values []float64, position func(n float64) float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := min(max(position(float64(len(s))), 1), float64(len(s)))
	i := int(at)
	if i == len(s) {
		return s[i-1]
	}
	return s[i-1] + (at-float64(i))*(s[i]-s[i-1])
}

// Outliers reports which values lie more than factor interquartile ranges outside the
// quartiles. If wide is set, no value between the 1st and the 99th percentile is an
// outlier. Percentiles have type R-6, as in the original.
func Outliers(values []float64, factor float64, wide bool) []bool {
	at := func(p float64) float64 {
		return quantile(values, func(n float64) float64 { return (n + 1) * p / 100 })
	}
	q1, q3 := at(25), at(75)
	low, high := q1-factor*(q3-q1), q3+factor*(q3-q1)
	if wide {
		low, high = min(low, at(1)), max(high, at(99))
	}
	out := make([]bool, len(values))
	for i, v := range values {
		out[i] = v < low || v > high
	}
	return out
}

// clean returns values without outliers, and without NaN or with 0 in its place. It treats
// infinities like NaN.
func (m Metric) clean(values []float64) []float64 {
	var kept []float64
	for _, v := range values {
		switch {
		case !math.IsNaN(v) && !math.IsInf(v, 0):
			kept = append(kept, v)
		case m.NaN == Replace:
			kept = append(kept, 0)
		}
	}
	if !m.RemoveOutliers {
		return kept
	}
	factor := m.OutlierFactor
	if factor == 0 {
		factor = 3
	}
	outlier := Outliers(kept, factor, true)
	var inner []float64
	for i, v := range kept {
		if !outlier[i] {
			inner = append(inner, v)
		}
	}
	return inner
}

// moments returns the mean and the sample standard deviation.
func moments(values []float64) (mean, sd float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sd += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(sd / float64(len(values)-1))
}

// CohenD returns the difference of the means in units of their pooled standard
// deviation.
func CohenD(canary, baseline []float64) float64 {
	mc, sc := moments(canary)
	mb, sb := moments(baseline)
	nc, nb := float64(len(canary)-1), float64(len(baseline)-1)
	return (mc - mb) / math.Sqrt((nc*sc*sc+nb*sb*sb)/(nc+nb))
}
