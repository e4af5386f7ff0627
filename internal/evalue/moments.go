package evalue

import "math"

// momentOdds are how many times more often the candidate may be hit under the
// alternatives of [Moments].
var momentOdds = [...]float64{1.25, 1.5, 2, 3, 5, 10}

// momentLogs are the logs of their weights: harm worth a rollback is rarely small.
var momentLogs = [...]float64{math.Log(.08), math.Log(.12), math.Log(.22), math.Log(.2), math.Log(.28), math.Log(.1)}

// NumMoments is the number of alternatives of [Moments].
const NumMoments = len(momentOdds)

// Moments holds the log-likelihood ratio of each alternative, given which arm each
// event has hit. Under the null hypothesis that the candidate is hit at most times
// as often as the baseline, each event hits it with its share of the traffic at
// most, if it is the first event of its slot: which slots suffer, and when, does
// not depend on the arm that chance has given them. Drawing slots without putting
// them back makes labels negatively associated (Joag-Dev and Proschan 1983), so
// products of factors have means of at most 1. The zero Moments has seen nothing.
type Moments [NumMoments]float64

// Add takes in events under one share of the candidate, above 0 and below 1, that
// have hit the candidate and the baseline.
func (m *Moments) Add(share, times float64, candidate, baseline float64) {
	null := share * times / (share*times + 1 - share)
	for i, r := range momentOdds {
		// ln of q/null and (1-q)/(1-null), where q = r null/(r null + 1 - null).
		rest := math.Log1p(null * (r - 1))
		m[i] += candidate*(math.Log(r)-rest) - baseline*rest
	}
}

// LogE returns ln of the weighted mean of the alternatives' ratios.
func (m *Moments) LogE() float64 {
	top := math.Inf(-1)
	for i, l := range m {
		top = max(top, l+momentLogs[i])
	}
	var sum float64
	for i, l := range m {
		sum += math.Exp(l + momentLogs[i] - top)
	}
	return top + math.Log(sum)
}

// MomentFactors returns what one event under share adds to [Moments] when it hits
// the candidate and when it hits the baseline.
func MomentFactors(share, times float64) (candidate, baseline Moments) {
	candidate.Add(share, times, 1, 0)
	baseline.Add(share, times, 0, 1)
	return candidate, baseline
}
