package analysis

import (
	"fmt"

	"github.com/serin-go/serin/internal/evalue"
)

// amountContest compares amounts by the signs of pairs; harm is sought in the
// tail too. Its sums are wins and losses: for harm, a win is a pair in which the
// candidate is worse than the tolerance allows; for safety, one in which it is
// better than the margin demands. Ties are neither. The sums of the tail follow
// those for harm.
type amountContest struct {
	higher            bool
	tolerance, margin float64
	harm, safe        [2]int
	tail              tail
}

// How the evidence for harm of an amount is divided between the pairs and the
// tail: most of what slows requests slows the ordinary ones.
var amountShares = []float64{3, 1}

func newAmountContest(m Metric) *amountContest {
	c := &amountContest{higher: m.Better == Higher, tolerance: m.Tolerance.Factor, margin: m.Margin.Factor}
	c.tail = newTail(c.higher, c.tolerance)
	return c
}

func (c *amountContest) take(b block) {
	b.pairs(func(base, cand int) { c.pair(b.values[0][base], b.values[1][cand]) })
	c.tail.take(b.values[0], b.values[1])
}

func (c *amountContest) pair(base, cand float64) {
	worse, than := cand, base
	if c.higher {
		worse, than = base, cand
	}
	switch order(worse, c.tolerance*than) {
	case 1:
		c.harm[0]++
	case -1:
		c.harm[1]++
	}
	switch order(worse, c.margin*than) {
	case -1:
		c.safe[0]++
	case 1:
		c.safe[1]++
	}
}

// order compares a with b, taking what differs by no more than rounding for
// equal: so the result is the same in any unit.
func order(a, b float64) int {
	switch rounding := 1e-12 * max(a, b); {
	case a-b > rounding:
		return 1
	case b-a > rounding:
		return -1
	}
	return 0
}

func (c *amountContest) logE() (harm, safe float64) {
	harm = evalue.Average([]float64{evalue.PairsLogE(c.harm[0], c.harm[1]), c.tail.test.LogE()}, amountShares)
	return harm, evalue.PairsLogE(c.safe[0], c.safe[1])
}

func (c *amountContest) save(e *MetricEvidence) {
	e.Harm.Sums = append([]float64{float64(c.harm[0]), float64(c.harm[1])}, flat(c.tail.test)...)
	e.Safe.Sums = []float64{float64(c.safe[0]), float64(c.safe[1])}
	e.Tail = c.tail.level
}

func (c *amountContest) load(e MetricEvidence) error {
	harm, safe := e.Harm.Sums, e.Safe.Sums
	if len(harm) < 2 || len(safe) != 2 || !(min(harm[0], harm[1], safe[0], safe[1]) >= 0) || !sane(harm...) || !sane(safe...) {
		return fmt.Errorf("sums %v and %v, want two counts each", harm, safe)
	}
	if err := c.tail.load(harm[2:], e.Tail); err != nil {
		return err
	}
	for i := range 2 {
		c.harm[i] += int(harm[i])
		c.safe[i] += int(safe[i])
	}
	return nil
}
