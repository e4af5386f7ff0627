package analysis

import (
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// needed forecasts how many more requests of the candidate it takes until the
// evidence for safety in m suffices, if it goes on growing as it has on average.
// A rate that has not grown at all is taken to grow as that of an equal
// candidate would; of anything else there is no telling then, which is 0.
func (e *MetricEvidence) needed(m Metric, alpha float64) int {
	target, done := -math.Log(alpha), float64(e.Candidate.N)
	var logs []float64
	switch sums := e.Safe.Sums; {
	case m.Kind == Rate && len(sums) > 2:
		logs = sums[2:]
	case m.Kind == Amount && len(sums) == 2:
		logs = evalue.PairLogs(int(sums[0]), int(sums[1]))
	case m.Kind == Score && len(sums) == 4:
		logs = sums[3:]
	}
	more := (evalue.Factor(logs, target) - 1) * done
	if m.Kind == Rate && math.IsInf(more, 1) && e.Baseline.N > 0 && e.Candidate.N > 0 {
		behind := math.Inf(1)
		for _, l := range logs {
			behind = min(behind, -l)
		}
		more = m.equalGrowth(e, target).mean * (target + max(behind, 0)) / target
	}
	if !(more > 0 && more < 1e9) {
		return 0
	}
	return int(math.Ceil(more))
}

// equalGrowth returns what it would take to prove a candidate safe whose rate is
// the one that both arms have together, at the shares that they have.
func (m Metric) equalGrowth(e *MetricEvidence, target float64) passage {
	events, n := float64(e.Baseline.Events+e.Candidate.Events), float64(e.Baseline.N+e.Candidate.N)
	if m.Better == Higher {
		events = n - events
	}
	rate := (events + 1) / (n + 100) // as if a hundred requests with one event had gone before
	return newPassage(newRateContest(m).safe.Growth(rate, rate, float64(e.Baseline.N)/float64(e.Candidate.N), 1), target)
}
