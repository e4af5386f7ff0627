package evalue

import "math"

// Detector is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors: a
// nonparametric framework for sequential change detection"): it looks for a
// change at an unknown time, such as harm that begins after a promotion, in
// e-values that come one after another. Their logs may be those of any test of
// this package for one block: evidence under a null hypothesis that holds until
// the change.
//
//	Shiryaev-Roberts  S_t = (S_{t-1} + 1) * e_t
//	CUSUM             C_t = max(C_{t-1}, 1) * e_t
//
// S is the sum of the evidence for a change at each time so far, and C at most
// that sum. Before any change, E[S_t] <= t at every stopping time. So an alarm
// at S or C >= 1/alpha has an average run length, the mean number of steps
// until a false alarm, of at least 1/alpha, under any dependence of the steps
// on the past. It is a rate of false alarms, not a probability over all time:
// choose alpha by how many steps there are in a month, say.
//
// Each alternative has its own S and C; their averages are e-detectors too.
//
// Detector is plain data; the zero Detector has seen no step. It is not safe
// for concurrent use.
type Detector struct {
	// SR and CUSUM are ln S and ln C of each alternative.
	SR    []float64 `json:"sr,omitempty"`
	CUSUM []float64 `json:"cusum,omitempty"`
	// Steps counts steps.
	Steps int `json:"steps"`
}

// Step takes in the log of the e-value of each alternative for what has
// happened since the last step. Their number is that of the first step; a step
// with another number, NaN or +Inf is ignored. Independent data of one step,
// such as those of several replicas, are one step with the sums of their logs. A
// time in which nothing happened should be no step: Shiryaev-Roberts counts it
// as one in which the change may have come, and rises by one.
func (d *Detector) Step(logE ...float64) {
	if len(logE) == 0 || d.Steps > 0 && len(logE) != len(d.SR) {
		return
	}
	for _, l := range logE {
		if math.IsNaN(l) || math.IsInf(l, 1) {
			return
		}
	}
	if d.Steps == 0 {
		d.SR, d.CUSUM = make([]float64, len(logE)), make([]float64, len(logE))
		for j := range logE {
			d.SR[j], d.CUSUM[j] = math.Inf(-1), math.Inf(-1)
		}
	}
	for j, l := range logE {
		// ln(S+1), by the larger of the two so that nothing overflows.
		d.SR[j] = max(d.SR[j], 0) + math.Log1p(math.Exp(-math.Abs(d.SR[j]))) + l
		d.CUSUM[j] = max(d.CUSUM[j], 0) + l
		// JSON has no infinity, and an e-value of 0 leaves the next step free.
		d.SR[j], d.CUSUM[j] = max(d.SR[j], -1e300), max(d.CUSUM[j], -1e300)
	}
	d.Steps++
}

// LogSR returns ln of the Shiryaev-Roberts statistic. It finds small changes
// that last a little sooner than CUSUM. It is -Inf before the first step.
func (d *Detector) LogSR() float64 { return mean(d.SR) }

// LogCUSUM returns ln of the CUSUM statistic, which never exceeds the other.
func (d *Detector) LogCUSUM() float64 { return mean(d.CUSUM) }

func mean(l []float64) float64 {
	if len(l) == 0 {
		return math.Inf(-1)
	}
	return logMeanExp(l)
}

// RateLogE appends to dst the log-likelihood ratios of events among n requests,
// one for each of the alternatives 1.25, 1.5, 2, 3, 5 and 10 times rate, to
// rate itself: e-values for "the true rate exceeds rate", which is known, such
// as that of the profile of a version after its promotion. Where it was
// estimated, give an upper bound (see [RateInterval]); a rate that is too low
// is found to be exceeded. An impossible argument is no evidence, zeros.
func RateLogE(dst []float64, events, n int, rate float64) []float64 {
	for _, r := range worse {
		p := min(0.95, r*rate)
		if !(rate > 0 && p > rate) || events < 0 || events > n {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, logRatio(events, n, p, rate))
	}
	return dst
}
