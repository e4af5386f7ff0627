package analysis

import (
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// needed forecasts how many more requests of the candidate it takes until the
// evidence for safety suffices, if it goes on growing as it has on average, 0 if
// it has not grown.
func (e *MetricEvidence) needed(k Kind, alpha float64) int {
	var logs []float64
	switch sums := e.Safe.Sums; {
	case k == Rate && len(sums) > 2:
		logs = sums[2:]
	case k == Amount && len(sums) == 2:
		logs = evalue.PairLogs(int(sums[0]), int(sums[1]))
	case k == Score && len(sums) == 4:
		logs = sums[3:]
	}
	more := (evalue.Factor(logs, -math.Log(alpha)) - 1) * float64(e.Candidate.N)
	if !(more > 0 && more < 1e9) {
		return 0
	}
	return int(math.Ceil(more))
}
