package analysis

import "math"

// proofCost is about what the evidence of a proof lags behind the growth that it has in
// the long run: not all alternatives that it bets on can be right.
const proofCost = 1.5

// needed forecasts how many more requests of the candidate it takes until the
// evidence for safety in m suffices, if it goes on growing as it has on average; 0 if
// there is no telling.
func (e *metricEvidence) needed(alpha float64) int {
	target, grown, done := proofCost-math.Log(alpha), proofCost+e.Safe.LogE, float64(e.Candidate.N)
	if e.Safe.LogE == 0 || grown <= 0.1*target {
		return 0
	}
	more := (target/grown - 1) * done
	if !(more > 0 && more < 1e9) {
		return 0
	}
	return int(math.Ceil(more))
}
