package evalue

import "math"

// Detector is an e-detector (Shin, Ramdas and Rinaldo, "E-detectors: a
// nonparametric framework for sequential change detection"). It detects a change at
// an unknown time, such as harm that begins after a promotion, in a sequence of
// e-values. Each e-value is evidence against a null hypothesis that holds until the
// change.
//
//	Shiryaev-Roberts  S_t = (S_{t-1} + 1) * e_t
//	CUSUM             C_t = max(C_{t-1}, 1) * e_t
//
// S is the sum of the evidence for a change at each time so far. C is at most S.
// Before the change, E[S_t] <= t at every stopping time. So an alarm at S or C >=
// 1/alpha has an average run length of at least 1/alpha steps, whatever the steps
// depend on. This is a rate of false alarms, not a probability over all time.
// Choose alpha by the number of steps in a month, for example.
//
// Each alternative has its own S and C. Their averages are e-detectors too.
//
// Detector is plain data. The zero Detector is empty. It is not safe for
// concurrent use.
type Detector struct {
	// SR and CUSUM are ln S and ln C of each alternative.
	SR    []float64 `json:"sr,omitempty"`
	CUSUM []float64 `json:"cusum,omitempty"`
	// Steps is the number of steps.
	Steps int `json:"steps"`
}

// Step adds the e-values since the last step, as logs, one for each alternative.
// All steps have the same number of alternatives. Step ignores a step with another
// number, NaN or +Inf. For several replicas, pass the sums of their logs as one
// step. Do not call Step for a period without data: Shiryaev-Roberts would count it
// as a possible time of the change, and rise by one.
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

// LogSR returns ln of the Shiryaev-Roberts statistic. It detects small lasting
// changes a little earlier than CUSUM. It is -Inf before the first step.
func (d *Detector) LogSR() float64 { return mean(d.SR) }

func mean(l []float64) float64 {
	if len(l) == 0 {
		return math.Inf(-1)
	}
	return logMeanExp(l)
}

// RateLogE appends e-values for "the true rate exceeds rate" to dst, as logs. They
// are the likelihood ratios of events among n requests, for the alternatives 1.25,
// 1.5, 2, 3, 5 and 10 times rate. The rate must be known. If it was estimated, pass
// an upper bound (see [RateInterval]), because a rate that is too low causes false
// alarms. It appends zeros, no evidence, for impossible arguments.
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
