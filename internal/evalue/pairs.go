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
