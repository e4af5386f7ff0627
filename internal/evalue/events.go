package evalue

import "math"

// EventsLogE is the conditional e-process for events alone: rare errors, or
// counters without a denominator. Of cand+base events, cand were the
// candidate's, while the probability of any request (or unit of exposure) to go
// to the candidate was share throughout. It returns ln E against "the
// candidate's rate is at most margin times the baseline's": under that, an
// event is the candidate's with probability at most
//
//	q0 = share*margin / (share*margin + 1 - share)
//
// It is exact for Bernoulli and Poisson events whose common intensity varies
// (Lindon and Malek, "Anytime-valid inference for multinomial count data").
// Where the share has changed, use it for each period and add up; pooled counts
// are wrong when the intensity has drifted. Impossible arguments are no
// evidence, 0.
func EventsLogE(cand, base int, share, margin float64) float64 {
	return eventsLogE(cand, base, nullShare(share, margin), worse)
}

// EventsWithinLogE is the mirror of [EventsLogE]: ln E against "the candidate's
// rate is at least margin times the baseline's", which proves it to be no worse
// than the margin allows.
func EventsWithinLogE(cand, base int, share, margin float64) float64 {
	return eventsLogE(base, cand, 1-nullShare(share, margin), worse[:5])
}

// nullShare returns q0, or NaN.
func nullShare(share, margin float64) float64 {
	if !(share > 0 && share < 1 && margin > 0) {
		return math.NaN()
	}
	return share * margin / (share*margin + 1 - share)
}

// eventsLogE mixes over odds ratios to q0.
func eventsLogE(hits, misses int, q0 float64, ratios []float64) float64 {
	if !(q0 > 0 && q0 < 1) || hits < 0 || misses < 0 {
		return 0
	}
	var l [6]float64
	for j, r := range ratios {
		odds := r * q0 / (1 - q0)
		q := odds / (1 + odds)
		l[j] = float64(hits)*math.Log(q/q0) + float64(misses)*math.Log((1-q)/(1-q0))
	}
	return logMeanExp(l[:len(ratios)])
}
