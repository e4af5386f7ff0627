package evalue

import "math"

// pairOdds lists the alternatives of [PairsLogE]: odds of a win.
var pairOdds = []float64{1.1, 1.25, 1.5, 2, 3, 5}

// PairsLogE is the pair-sign e-process. Each request of the candidate is matched
// with a request of the baseline from the same time, regardless of their values. A
// win is a pair with a larger value of the candidate, a loss a pair with a smaller
// one, and ties are dropped. It returns ln E against "a win is at most as likely as
// a loss", which holds if the candidate's values are not stochastically larger:
//
//	E = mean over j of (2 q_j)^wins * (2 (1-q_j))^losses,  q_j/(1-q_j) in {1.1, 1.25, 1.5, 2, 3, 5}
//
// Only the order of values matters, not their unit or tails. A slowdown of both
// arms has no effect. Counts of disjoint pairs add up, so the two counts are the
// whole state. It returns 0, no evidence, for negative counts.
func PairsLogE(wins, losses int) float64 {
	if wins < 0 || losses < 0 {
		return 0
	}
	var l [6]float64
	for j, odds := range pairOdds {
		q := odds / (1 + odds)
		l[j] = float64(wins)*math.Log(2*q) + float64(losses)*math.Log(2*(1-q))
	}
	return logMeanExp(l[:])
}

// Pairs holds the two counts of [PairsLogE]. It is plain data. Counts of disjoint
// pairs add up. The zero Pairs is empty.
type Pairs struct {
	Wins   int `json:"wins"`
	Losses int `json:"losses"`
}

// Add adds a pair of values of the same time. It is a win if the candidate's value
// exceeds factor times the baseline's, and a loss if it is below. Values that differ
// only by rounding are a tie, so the result does not depend on the unit. NaN is
// ignored.
func (p *Pairs) Add(base, cand, factor float64) {
	bound := factor * base
	switch rounding := 1e-12 * max(math.Abs(bound), math.Abs(cand)); {
	case cand-bound > rounding:
		p.Wins++
	case bound-cand > rounding:
		p.Losses++
	}
}

// LogE returns ln E for "the candidate's values are larger".
func (p Pairs) LogE() float64 { return PairsLogE(p.Wins, p.Losses) }
