package evalue

import "math"

// pairOdds are the alternatives of [PairsLogE]: odds of a win.
var pairOdds = []float64{1.1, 1.25, 1.5, 2, 3, 5}

// PairsLogE is the pair-sign e-process. Each request of the candidate is
// matched with one of the baseline from the same time, without looking at their
// values; a win is a pair in which the candidate's value is the larger, a loss
// one in which it is the smaller, and ties are dropped. It returns ln E against
// "a win is at most as likely as a loss", which holds if the candidate's values
// are not stochastically larger:
//
//	E = mean over j of (2 q_j)^wins * (2 (1-q_j))^losses,  q_j/(1-q_j) in {1.1, 1.25, 1.5, 2, 3, 5}
//
// Only the order of values matters: neither their unit nor their tails, nor
// what slows both arms down together. Counts of disjoint pairs add up, so the
// two counts are the whole state. Negative counts are no evidence, 0.
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

// Pairs is [PairsLogE] pair by pair: its two counts. It is plain data; counts of
// disjoint pairs add up. The zero Pairs has seen none.
type Pairs struct {
	Wins   int `json:"wins"`
	Losses int `json:"losses"`
}

// Add takes in a pair of values of the same time: a win if the candidate's
// exceeds factor times the baseline's, a loss if it is below. Values that differ
// by no more than rounding are a tie and count as neither; so the result is the
// same in any unit. NaN is ignored.
func (p *Pairs) Add(base, cand, factor float64) {
	bound := factor * base
	switch rounding := 1e-12 * max(math.Abs(bound), math.Abs(cand)); {
	case cand-bound > rounding:
		p.Wins++
	case bound-cand > rounding:
		p.Losses++
	}
}

// Merge adds pairs that were seen elsewhere.
func (p *Pairs) Merge(o Pairs) { p.Wins, p.Losses = p.Wins+o.Wins, p.Losses+o.Losses }

// LogE returns ln E for "the candidate's values are larger".
func (p Pairs) LogE() float64 { return PairsLogE(p.Wins, p.Losses) }
