package evalue

import "math"

// momentOdds lists the alternatives of [Moments]: how many times more often the
// candidate is hit.
var momentOdds = [...]float64{1.25, 1.5, 2, 3, 5, 10}

// momentLogs lists the logs of their weights: harm worth a rollback is rarely small.
var momentLogs = [...]float64{math.Log(.08), math.Log(.12), math.Log(.22), math.Log(.2), math.Log(.28), math.Log(.1)}

// NumMoments is the number of alternatives of [Moments].
const NumMoments = len(momentOdds)

// Moments holds the log-likelihood ratio of each alternative, given the arm that
// each event has hit. The null hypothesis is that the candidate is hit at most
// "times" as often as the baseline. Under it, the first event of a slot hits the
// candidate at most with its share of the traffic, because which slots are hit, and
// when, does not depend on their arm. Drawing slots without replacement makes
// labels negatively associated (Joag-Dev and Proschan 1983), so products of factors
// have means of at most 1. The zero Moments is empty.
type Moments [NumMoments]float64

// Add adds the numbers of events that have hit the candidate and the baseline while
// the candidate had a share in (0, 1).
func (m *Moments) Add(share, times float64, candidate, baseline float64) {
	null := share * times / (share*times + 1 - share)
	for i, r := range momentOdds {
		// ln of q/null and (1-q)/(1-null), where q = r null/(r null + 1 - null).
		rest := math.Log1p(null * (r - 1))
		m[i] += candidate*(math.Log(r)-rest) - baseline*rest
	}
}

// LogE returns ln of the weighted mean of the likelihood ratios.
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

// MomentFactors returns the change of [Moments] by one event under share: if it
// hits the candidate, and if it hits the baseline.
func MomentFactors(share, times float64) (candidate, baseline Moments) {
	candidate.Add(share, times, 1, 0)
	baseline.Add(share, times, 0, 1)
	return candidate, baseline
}
