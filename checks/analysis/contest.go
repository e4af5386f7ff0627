package analysis

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// contest is the comparison of two arms in one metric: one test for harm and
// one for safety, fed with the same data.
type contest interface {
	// block takes the counts of a block of requests; pair takes the values of
	// two requests of the same time. A contest uses one of them.
	block(base, cand rate)
	pair(base, cand float64)
	// logE returns ln E for harm and for safety.
	logE() (harm, safe float64)
	// sums returns the sufficient statistics of both tests, add adds to them.
	// Those of disjoint data add up.
	sums() (harm, safe []float64)
	add(harm, safe []float64) error
}

func newContest(m meter) contest {
	switch m.Kind {
	case Rate:
		return &rateContest{
			higher: m.Better == Higher,
			harm:   evalue.NewBeyond(0, factor(m.Tolerance), m.Tolerance.Points),
			safe:   evalue.NewWithin(0, factor(m.Margin), m.Margin.Points),
		}
	case Amount:
		return &amountContest{
			higher:    m.Better == Higher,
			tolerance: m.Tolerance.Factor,
			margin:    m.Margin.Factor,
		}
	default:
		return &scoreContest{
			higher:    m.Better == Higher,
			tolerance: m.Tolerance.Points,
			margin:    m.Margin.Points,
		}
	}
}

// factor returns m's factor, 1 if it is a difference.
func factor(m Margin) float64 {
	if m.Factor == 0 {
		return 1
	}
	return m.Factor
}

// rateContest compares rates by 2x2 blocks. Its sums are the baseline's events
// and requests, then the log-likelihood ratio of each alternative.
type rateContest struct {
	higher     bool // events are good
	harm, safe *evalue.TwoByTwo
}

func (c *rateContest) block(base, cand rate) {
	if c.higher {
		base.events, cand.events = base.n-base.events, cand.n-cand.events
	}
	c.harm.Block(int(base.events), int(base.n), int(cand.events), int(cand.n))
	c.safe.Block(int(base.events), int(base.n), int(cand.events), int(cand.n))
}

func (c *rateContest) pair(_, _ float64) {}

func (c *rateContest) logE() (harm, safe float64) { return c.harm.LogE(), c.safe.LogE() }

func (c *rateContest) sums() (harm, safe []float64) { return flat(c.harm), flat(c.safe) }

func flat(t *evalue.TwoByTwo) []float64 {
	s := t.State()
	return append([]float64{float64(s.Events), float64(s.N)}, s.L...)
}

func (c *rateContest) add(harm, safe []float64) error {
	for _, t := range []struct {
		test *evalue.TwoByTwo
		sums []float64
	}{{c.harm, harm}, {c.safe, safe}} {
		if len(t.sums) < 2 {
			return fmt.Errorf("%d sums, want at least 2", len(t.sums))
		}
		if err := t.test.Add(evalue.Blocks{Events: int(t.sums[0]), N: int(t.sums[1]), L: t.sums[2:]}); err != nil {
			return err
		}
	}
	return nil
}

// amountContest compares amounts by the signs of pairs. Its sums are wins and
// losses: for harm, a win is a pair in which the candidate is worse than the
// tolerance allows; for safety, one in which it is better than the margin
// demands. Ties are neither.
type amountContest struct {
	higher            bool
	tolerance, margin float64
	harm, safe        [2]int
}

func (c *amountContest) block(_, _ rate) {}

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
	return evalue.PairsLogE(c.harm[0], c.harm[1]), evalue.PairsLogE(c.safe[0], c.safe[1])
}

func (c *amountContest) sums() (harm, safe []float64) {
	return []float64{float64(c.harm[0]), float64(c.harm[1])}, []float64{float64(c.safe[0]), float64(c.safe[1])}
}

func (c *amountContest) add(harm, safe []float64) error {
	if len(harm) != 2 || len(safe) != 2 || !(min(harm[0], harm[1], safe[0], safe[1]) >= 0) {
		return fmt.Errorf("sums %v and %v, want two counts each", harm, safe)
	}
	for i := range 2 {
		c.harm[i] += int(harm[i])
		c.safe[i] += int(safe[i])
	}
	return nil
}

// scoreContest compares scores by betting on the differences of pairs. Its sums
// are the number of pairs, the sum of their differences and of the squares of
// those, and the log of the wealth.
type scoreContest struct {
	higher            bool
	tolerance, margin float64
	harm, safe        evalue.Bet
}

func (c *scoreContest) block(_, _ rate) {}

func (c *scoreContest) pair(base, cand float64) {
	worse := cand - base
	if c.higher {
		worse = base - cand
	}
	c.harm.Add(worse, c.tolerance)
	c.safe.Add(-worse, -c.margin)
}

func (c *scoreContest) logE() (harm, safe float64) { return c.harm.LogE(), c.safe.LogE() }

func (c *scoreContest) sums() (harm, safe []float64) {
	list := func(b evalue.Bet) []float64 { return []float64{float64(b.N), b.Sum, b.Squares, b.L} }
	return list(c.harm), list(c.safe)
}

func (c *scoreContest) add(harm, safe []float64) error {
	for _, t := range []struct {
		bet  *evalue.Bet
		sums []float64
	}{{&c.harm, harm}, {&c.safe, safe}} {
		if len(t.sums) != 4 || !(t.sums[0] >= 0) || math.IsNaN(t.sums[1]+t.sums[2]+t.sums[3]) {
			return fmt.Errorf("sums %v, want 4 numbers, the first a count", t.sums)
		}
		t.bet.Merge(evalue.Bet{N: int(t.sums[0]), Sum: t.sums[1], Squares: t.sums[2], L: t.sums[3]})
	}
	return nil
}

// pairs calls f with pairs of values of the same time, one from each arm. Each
// value is used once at most; which is used depends on the order in which they
// came, never on what they are. base and cand hold the newest of baseNew and
// candNew values, oldest first.
func pairs(base, cand []float64, baseNew, candNew uint64, f func(base, cand float64)) {
	// Where old values were overwritten, both arms are cut to the same stretch
	// of time, as far as that can be told from the numbers.
	if baseNew > uint64(len(base)) || candNew > uint64(len(cand)) {
		kept := min(float64(len(base))/float64(baseNew), float64(len(cand))/float64(candNew))
		base = newest(base, kept*float64(baseNew))
		cand = newest(cand, kept*float64(candNew))
	}
	k := min(len(base), len(cand))
	for i := range k {
		f(base[i*len(base)/k], cand[i*len(cand)/k])
	}
}

// newest returns the last n values, rounded up.
func newest(values []float64, n float64) []float64 {
	return values[len(values)-min(int(math.Ceil(n)), len(values)):]
}
