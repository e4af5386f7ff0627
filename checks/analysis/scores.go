package analysis

import (
	"fmt"

	"github.com/serin-go/serin/internal/evalue"
)

// scoreContest compares scores by betting on the differences of pairs. Its sums
// are the number of pairs, the sum of their differences and of the squares of
// those, and the log of the wealth.
type scoreContest struct {
	higher            bool
	tolerance, margin float64
	harm, safe        evalue.Bet
}

func newScoreContest(m Metric) *scoreContest {
	return &scoreContest{higher: m.Better == Higher, tolerance: m.Tolerance.Points, margin: m.Margin.Points}
}

func (c *scoreContest) take(b block) {
	b.pairs(func(base, cand int) { c.pair(b.values[0][base], b.values[1][cand]) })
}

func (c *scoreContest) pair(base, cand float64) {
	worse := cand - base
	if c.higher {
		worse = base - cand
	}
	c.harm.Add(worse, c.tolerance)
	c.safe.Add(-worse, -c.margin)
}

func (c *scoreContest) logE() (harm, safe float64) { return c.harm.LogE(), c.safe.LogE() }

func (c *scoreContest) save(e *MetricEvidence) {
	list := func(b evalue.Bet) []float64 { return []float64{float64(b.N), b.Sum, b.Squares, b.L} }
	e.Harm.Sums, e.Safe.Sums = list(c.harm), list(c.safe)
}

func (c *scoreContest) load(e MetricEvidence) error {
	for _, t := range []struct {
		bet  *evalue.Bet
		sums []float64
	}{{&c.harm, e.Harm.Sums}, {&c.safe, e.Safe.Sums}} {
		if len(t.sums) != 4 || !(t.sums[0] >= 0) || !sane(t.sums...) {
			return fmt.Errorf("sums %v, want 4 numbers, the first a count", t.sums)
		}
		t.bet.Merge(evalue.Bet{N: int(t.sums[0]), Sum: t.sums[1], Squares: t.sums[2], L: t.sums[3]})
	}
	return nil
}
