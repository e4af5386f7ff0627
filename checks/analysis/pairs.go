package analysis

import "math"

// block is what two arms have recorded of a metric between two looks: effects are
// measured by it.
type block struct {
	rates  [2]rate      // of the baseline and the candidate
	values [2][]float64 // of the same stretch of time, oldest first; none of a rate
}

// overlap cuts the newest values of two arms to the same stretch of time, as far
// as the numbers of values before old ones were overwritten allow.
func overlap(base, cand []float64, baseNew, candNew uint64) (b, c []float64) {
	if baseNew > uint64(len(base)) || candNew > uint64(len(cand)) {
		kept := min(float64(len(base))/float64(baseNew), float64(len(cand))/float64(candNew))
		base = newest(base, kept*float64(baseNew))
		cand = newest(cand, kept*float64(candNew))
	}
	return base, cand
}

// newest returns the last n values, rounded up.
func newest(values []float64, n float64) []float64 {
	return values[len(values)-min(int(math.Ceil(n)), len(values)):]
}

// pairs calls f with pairs of requests of the same time, one from each arm, by
// their places in b. Each is used once at most; which is used depends on the
// order in which they came, never on what they are.
func (b *block) pairs(f func(base, cand int)) {
	nb, nc := len(b.values[0]), len(b.values[1])
	k := min(nb, nc)
	for i := range k {
		f(i*nb/k, i*nc/k)
	}
}
