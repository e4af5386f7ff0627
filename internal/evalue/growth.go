package evalue

import "math"

// Growth is the growth rate of the log-likelihood ratio of one alternative: its
// mean and its variance per step. The caller defines a step.
type Growth struct{ Mean, Variance float64 }

// Factor returns the multiple of the log-likelihood ratios l at which the log of
// the mean likelihood ratio reaches target, which is above 0. This is how many
// times the present amount of data is needed if the evidence grows as before. It
// is +Inf if no alternative has grown.
func Factor(l []float64, target float64) float64 {
	top := math.Inf(-1)
	for _, x := range l {
		top = max(top, x)
	}
	if !(top > 0) || math.IsInf(top, 1) {
		return math.Inf(1)
	}
	// The log of the mean is convex in the factor, and at least the target here:
	// Newton's method converges from above.
	f := (target + math.Log(float64(len(l)))) / top
	for range 8 {
		var sum, slope float64
		for _, x := range l {
			w := math.Exp(f * (x - top))
			sum += w
			slope += w * x
		}
		excess := f*top + math.Log(sum/float64(len(l))) - target
		step := excess * sum / slope
		if !(step > 1e-3*f) {
			break
		}
		f -= step
	}
	return f
}
