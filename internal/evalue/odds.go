package evalue

import (
	"math"
)

// Odds tests whether traffic is split between two arms as intended (sample ratio
// mismatch). The intended share may change at any time. Under the null, each event
// goes to the candidate with the share of that moment. Each alternative multiplies
// the odds by a constant factor, so all events are evidence about the same factors.
// At a level of 0.01, it detects 55/45 instead of 50/50 after about 1,500 events,
// and 52/48 after about 8,500.
//
// Odds is plain data. Its sums add up over disjoint events. The zero Odds is
// empty. It is not safe for concurrent use.
type Odds struct {
	// L holds the log-likelihood ratio of each alternative.
	L []float64 `json:"l,omitempty"`
}

// oddsLogs lists the logs of the factors.
var oddsLogs = [...]float64{-1, -0.25, -0.07, 0.07, 0.25, 1}

// impossible is the evidence of an event of probability 0. It exceeds every limit,
// and is finite so that it can be stored and added up.
const impossible = 1e9

// Count adds cand events of the candidate and base events of the baseline. Each of
// them should be the candidate's with probability share. An event of an arm with a
// share of 0 exceeds every limit. Impossible arguments are ignored.
func (o *Odds) Count(cand, base int, share float64) {
	if cand < 0 || base < 0 || cand+base == 0 || !(share >= 0 && share <= 1) {
		return
	}
	if o.L == nil {
		o.L = make([]float64, len(oddsLogs))
	}
	for j, l := range oddsLogs {
		switch {
		case share > 0 && share < 1:
			factor := math.Exp(l)
			// ln of q/share and of (1-q)/(1-share), where q is the alternative's
			// share.
			rest := math.Log1p(share * (factor - 1))
			o.L[j] += float64(cand)*(l-rest) - float64(base)*rest
		case share == 0 && cand > 0 || share == 1 && base > 0:
			o.L[j] += impossible
		}
	}
}

// LogE returns ln E for "traffic is not split as intended".
func (o *Odds) LogE() float64 { return logMeanExp(o.L) }
