package analysis

import "math"

// contest is the comparison of two arms in one metric: one test for harm and
// one for safety, fed with the same data.
type contest interface {
	// take takes in what two arms have recorded at the same time.
	take(b block)
	// logE returns ln E for harm and for safety.
	logE() (harm, safe float64)
	// save puts the sufficient statistics of both tests into e; load adds those
	// in e. Those of disjoint data add up.
	save(e *MetricEvidence)
	load(e MetricEvidence) error
}

// block is what two arms have recorded of a metric between two looks.
type block struct {
	rates  [2]rate      // of the baseline and the candidate
	values [2][]float64 // of the same stretch of time, oldest first; none of a rate
	covs   [2][]float32 // the covariates of the values, if they are wanted
}

// covariate returns the difference of the covariates of a pair.
func (b *block) covariate(base, cand int) float64 {
	if len(b.covs[0]) == 0 || len(b.covs[1]) == 0 {
		return 0
	}
	return float64(b.covs[1][cand]) - float64(b.covs[0][base])
}

func newContest(m Metric) contest {
	switch m.Kind {
	case Rate:
		return newRateContest(m)
	case Amount:
		return newAmountContest(m)
	default:
		return newScoreContest(m)
	}
}

// overlap cuts the newest values of two arms to the same stretch of time, as far
// as that can be told from how many there were before old ones were overwritten.
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
