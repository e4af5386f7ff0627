package analysis

import (
	"fmt"

	"github.com/serin-go/serin/internal/evalue"
)

// rateContest compares rates by 2x2 blocks. Its sums are the baseline's events
// and requests, then the log-likelihood ratio of each alternative.
type rateContest struct {
	higher     bool // events are good
	harm, safe *evalue.TwoByTwo
}

func newRateContest(m Metric) *rateContest {
	return &rateContest{
		higher: m.Better == Higher,
		harm:   evalue.NewBeyond(0, factor(m.Tolerance), m.Tolerance.Points),
		safe:   evalue.NewWithin(0, factor(m.Margin), m.Margin.Points),
	}
}

// factor returns m's factor, 1 if it is a difference.
func factor(m Margin) float64 {
	if m.Factor == 0 {
		return 1
	}
	return m.Factor
}

func (c *rateContest) take(b block) {
	base, cand := b.rates[0], b.rates[1]
	if c.higher {
		base.events, cand.events = base.n-base.events, cand.n-cand.events
	}
	c.harm.Block(int(base.events), int(base.n), int(cand.events), int(cand.n))
	c.safe.Block(int(base.events), int(base.n), int(cand.events), int(cand.n))
}

func (c *rateContest) logE() (harm, safe float64) { return c.harm.LogE(), c.safe.LogE() }

func (c *rateContest) save(e *MetricEvidence) {
	e.Harm.Sums, e.Safe.Sums = flat(c.harm), flat(c.safe)
}

func (c *rateContest) load(e MetricEvidence) error {
	if err := unflatten(c.harm, e.Harm.Sums); err != nil {
		return err
	}
	return unflatten(c.safe, e.Safe.Sums)
}

// flat returns the state of t as a list of numbers, and unflatten adds such.
func flat(t *evalue.TwoByTwo) []float64 {
	s := t.State()
	return append([]float64{float64(s.Events), float64(s.N)}, s.L...)
}

func unflatten(t *evalue.TwoByTwo, sums []float64) error {
	if len(sums) < 2 {
		return fmt.Errorf("%d sums, want at least 2", len(sums))
	}
	if !(sums[0] >= 0 && sums[1] < 1<<53) || !sane(sums...) {
		return fmt.Errorf("sums %v, want two counts and numbers", sums)
	}
	return t.Add(evalue.Blocks{Events: int(sums[0]), N: int(sums[1]), L: sums[2:]})
}
