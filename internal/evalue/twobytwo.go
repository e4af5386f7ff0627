package evalue

import (
	"fmt"
	"math"
	"slices"
)

// TwoByTwo is the 2x2 block e-process for the rates of two arms (after Turner,
// Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests
// that allow for optional stopping"). Data come in blocks whose sizes do not
// depend on their outcomes. In each block every alternative (θb, θc) multiplies
// its evidence by its likelihood ratio to that point of the null hypothesis
// which is nearest to it in Kullback-Leibler divergence, weighted by the sizes
// of the arms in the block.
//
// The null is a half-plane: the candidate's rate is at most (or at least)
// factor*baseline + points. Since it is convex, the ratio has expectation at
// most 1 under each of its points: for a block of nb and nc, the expectation is
// A^nb * B^nc with A and B linear in the true rates; it is at most the n-th
// power of their weighted mean (AM-GM); and that mean is 1 at the nearest point
// and, because that point minimises the divergence, no more than 1 anywhere in
// the null. True rates may differ from block to block and the shares may follow
// any rule that does not look ahead, so ramps and drifts do no harm.
//
// TwoByTwo is not safe for concurrent use.
type TwoByTwo struct {
	prior          float64
	factor, points float64
	grid           []float64 // alternatives: the boundary times these
	within         bool
	state          Blocks
}

// Blocks is the state of a [TwoByTwo]: what blocks have added up to. It is
// plain data; states of disjoint blocks add up.
type Blocks struct {
	// Events and N are those of the baseline, from which the next block's
	// alternatives are made.
	Events int `json:"x"`
	N      int `json:"n"`
	// L holds the log-likelihood ratio of each alternative.
	L []float64 `json:"l"`
}

var (
	worse  = []float64{1.25, 1.5, 2, 3, 5, 10}
	better = []float64{1 / 1.25, 1 / 1.5, 1. / 2, 1. / 3, 1. / 5}
)

// priorWeight is how many requests the prior rate is worth.
const priorWeight = 100

// NewTwoByTwo tests whether the candidate's rate is higher than the baseline's.
// prior is the rate that the baseline is expected to have, which matters little
// and only in the first blocks; outside (0, 1) it is 0.01.
func NewTwoByTwo(prior float64) *TwoByTwo { return NewBeyond(prior, 1, 0) }

// NewBeyond tests whether the candidate's rate is higher than factor times the
// baseline's plus points: whether it is worse beyond a margin. factor must be
// at least 1 and points at least 0.
func NewBeyond(prior, factor, points float64) *TwoByTwo {
	return newTwoByTwo(prior, factor, points, worse, false)
}

// NewWithin tests whether the candidate's rate is lower than factor times the
// baseline's plus points: whether it is no worse than a margin allows.
func NewWithin(prior, factor, points float64) *TwoByTwo {
	return newTwoByTwo(prior, factor, points, better, true)
}

func newTwoByTwo(prior, factor, points float64, grid []float64, within bool) *TwoByTwo {
	if !(prior > 0 && prior < 1) {
		prior = 0.01
	}
	return &TwoByTwo{
		prior: prior, factor: factor, points: points, grid: grid, within: within,
		state: Blocks{L: make([]float64, len(grid))},
	}
}

// Block adds a block: how many of how many requests of each arm were events.
// Arms may have any sizes, 0 included, as long as those were not chosen by
// looking at the outcomes. A block that cannot be (a negative number, more
// events than requests) is ignored.
func (t *TwoByTwo) Block(baseEvents, baseN, candEvents, candN int) {
	if baseEvents < 0 || candEvents < 0 || baseEvents > baseN || candEvents > candN {
		return
	}
	// The baseline's rate is estimated before this block is looked at.
	s := &t.state
	b := (float64(s.Events) + t.prior*priorWeight) / (float64(s.N) + priorWeight)
	s.Events += baseEvents
	s.N += baseN
	if baseN == 0 || candN == 0 {
		return // the nearest point of the null is the alternative itself
	}
	boundary := min(t.factor*b+t.points, 1)
	for j, r := range t.grid {
		c := min(0.95, r*boundary)
		if !t.within && c <= boundary {
			continue // this alternative is no alternative
		}
		b0, c0 := t.nearest(b, c, float64(baseN), float64(candN))
		s.L[j] += logRatio(baseEvents, baseN, b, b0) + logRatio(candEvents, candN, c, c0)
	}
}

// logRatio returns ln of the likelihood of x events in n requests at rate p
// over that at rate p0.
func logRatio(x, n int, p, p0 float64) float64 {
	return float64(x)*math.Log(p/p0) + float64(n-x)*math.Log((1-p)/(1-p0))
}

// nearest returns the point (b0, c0) on the boundary c0 = factor*b0 + points
// that minimises nb*KL(b||b0) + nc*KL(c||c0).
func (t *TwoByTwo) nearest(b, c, nb, nc float64) (b0, c0 float64) {
	m, d := t.factor, t.points
	if m == 1 && d == 0 {
		mean := (nb*b + nc*c) / (nb + nc)
		return mean, mean
	}
	// The divergence is convex in b0; its minimum lies between b and the b0
	// at which c0 = c. Newton's method, kept within that bracket.
	lo, hi := (c-d)/m, b
	if lo > hi {
		lo, hi = hi, lo
	}
	lo, hi = max(lo, 0), min(hi, (1-d)/m)
	x := (lo + hi) / 2
	for range 100 {
		y := m*x + d
		slope := nb*(x-b)/(x*(1-x)) + nc*m*(y-c)/(y*(1-y))
		if slope > 0 {
			hi = x
		} else {
			lo = x
		}
		curvature := nb*(b/(x*x)+(1-b)/((1-x)*(1-x))) + nc*m*m*(c/(y*y)+(1-c)/((1-y)*(1-y)))
		next := x - slope/curvature
		if !(next > lo && next < hi) {
			next = (lo + hi) / 2
		}
		if math.Abs(next-x) <= 1e-15*x {
			break
		}
		x = next
	}
	return x, m*x + d
}

// LogE returns ln E for "the candidate is worse" (or, of [NewWithin], "it is no
// worse than the margin").
func (t *TwoByTwo) LogE() float64 { return logMeanExp(t.state.L) }

// State returns a copy of what the blocks have added up to.
func (t *TwoByTwo) State() Blocks {
	s := t.state
	s.L = slices.Clone(s.L)
	return s
}

// Add adds what other blocks have added up to, those of another replica or of
// before a restart. Both must have been counted with the same prior and margin.
// The zero Blocks adds nothing.
func (t *TwoByTwo) Add(b Blocks) error {
	if b.N < 0 || b.Events < 0 || b.Events > b.N {
		return fmt.Errorf("evalue: state has %d events of %d", b.Events, b.N)
	}
	if len(b.L) != 0 && len(b.L) != len(t.grid) {
		return fmt.Errorf("evalue: state has %d alternatives, want %d", len(b.L), len(t.grid))
	}
	for _, l := range b.L {
		if math.IsNaN(l) || math.IsInf(l, 1) {
			return fmt.Errorf("evalue: state has a log-likelihood of %v", l)
		}
	}
	t.state.Events += b.Events
	t.state.N += b.N
	for j, l := range b.L {
		t.state.L[j] += l
	}
	return nil
}
