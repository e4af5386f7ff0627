package evalue

import "math"

// PageHinkley is the Page-Hinkley test: it finds a lasting rise of the mean of a
// series, with the conventions of the Python library river. Its thresholds are
// in the unit of the values and it promises no rate of false alarms; for that,
// see [Detector]. It is here for those who know it and for comparison.
//
//	S_t = max(0, f*S_{t-1} + x_t - mean_t - delta), a change is found at S >= threshold
//
// It is plain data; the zero PageHinkley is ready for use. It is not safe for
// concurrent use.
type PageHinkley struct {
	// Delta is how much of a deviation is tolerated. Zero means 0.005.
	Delta float64 `json:"delta,omitempty"`
	// Threshold is the sum at which a change is found. Zero means 50.
	Threshold float64 `json:"threshold,omitempty"`
	// Forget is how much of the sum is forgotten at each value. Zero means
	// 0.0001.
	Forget float64 `json:"forget,omitempty"`
	// Min is how many values are needed at least, less one. Zero means 30.
	Min int `json:"min,omitempty"`

	// N, Mean and Sum are those since the last change.
	N    int     `json:"n"`
	Mean float64 `json:"mean"`
	Sum  float64 `json:"sum"`
}

// Add takes a value in and reports whether the mean has risen. After it has,
// the next value begins afresh. Values that are not finite are ignored.
func (p *PageHinkley) Add(x float64) bool {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return false
	}
	if p.found() {
		p.N, p.Mean, p.Sum = 0, 0, 0
	}
	p.N++
	p.Mean += (x - p.Mean) / float64(p.N)
	p.Sum = max(0, (1-def(p.Forget, 0.0001))*p.Sum+x-p.Mean-def(p.Delta, 0.005))
	return p.found()
}

// found reports whether the sum has reached the threshold. river counts from
// one, so its minimum of 30 is reached by the 29th value.
func (p *PageHinkley) found() bool {
	return p.N+1 >= int(def(float64(p.Min), 30)) && p.Sum >= def(p.Threshold, 50)
}

// def returns x, or d for zero.
func def(x, d float64) float64 {
	if x == 0 {
		return d
	}
	return x
}
