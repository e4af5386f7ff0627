package evalue

import (
	"fmt"
	"math"
)

// Odds tests whether traffic is split between two arms as intended, while the
// intended shares change as often as they like. Under the null each event falls
// to the candidate with the share that was in force at that moment; each
// alternative multiplies the odds of that by a factor of its own, the same at
// all times. So every event is evidence about the same few factors, however
// short the time that its share was in force; [Split], which begins anew with
// each stage, forgets what it has learnt. With one share throughout both need
// about as many events: at a level of 0.01, 55/45 in place of 50/50 is found
// after some 1,500, and 52/48 after some 8,500.
//
// Odds is plain data whose sums add up over disjoint events. The zero Odds has
// seen none. It is not safe for concurrent use.
type Odds struct {
	// L holds the log-likelihood ratio of each alternative.
	L []float64 `json:"l,omitempty"`
}

// oddsLogs are the logs of the factors.
var oddsLogs = [...]float64{-1, -0.25, -0.07, 0.07, 0.25, 1}

// impossible is what an event of probability 0 adds to the evidence: beyond
// every limit, and yet a number that can be stored and added up.
const impossible = 1e9

// Count takes in cand events of the candidate and base of the baseline, each of
// which was meant to be the candidate's with probability share. An event on an
// arm whose share was 0 is evidence beyond every limit. Impossible arguments are
// ignored.
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

// Merge adds what was counted elsewhere. If that cannot be the state of an Odds
// there is an error and o is unchanged.
func (o *Odds) Merge(other Odds) error {
	if len(other.L) == 0 {
		return nil
	}
	if len(other.L) != len(oddsLogs) {
		return fmt.Errorf("evalue: state has %d alternatives, want %d", len(other.L), len(oddsLogs))
	}
	for _, l := range other.L {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return fmt.Errorf("evalue: state has a log-likelihood of %v", l)
		}
	}
	if o.L == nil {
		o.L = make([]float64, len(oddsLogs))
	}
	for j, l := range other.L {
		o.L[j] += l
	}
	return nil
}
