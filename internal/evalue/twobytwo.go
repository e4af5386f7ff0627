package evalue

import "math"

// TwoByTwo is the 2x2 block e-process for "the candidate's rate is higher than the
// baseline's" (after Turner, Ly and Grünwald, "Generic E-variables for exact
// sequential k-sample tests that allow for optional stopping"). Data come in
// blocks whose sizes do not depend on their outcomes. In each block, every
// alternative multiplies its evidence by a likelihood ratio. The denominator is the
// point of the null hypothesis with the smallest Kullback-Leibler divergence from
// the alternative, weighted by the sizes of the arms: the weighted mean of its two
// rates.
//
// The expectation of the ratio is at most 1 under the null. For a block of nb and
// nc requests it is A^nb * B^nc, where A and B are linear in the true rates. It is
// at most the n-th power of their weighted mean (AM-GM), and that mean is at most 1
// because the null is convex. True rates may differ from block to block, and the
// shares may follow any rule that does not depend on later outcomes. So ramps and
// drifts do not bias the test.
//
// TwoByTwo is not safe for concurrent use.
type TwoByTwo struct {
	prior     float64
	events, n int                 // of the baseline
	l         [len(worse)]float64 // log-likelihood ratio of each alternative
}

// worse lists the alternatives: the candidate's rate, in multiples of the
// baseline's.
var worse = [...]float64{1.25, 1.5, 2, 3, 5, 10}

// priorWeight is the number of requests that the prior rate counts as.
const priorWeight = 100

// NewTwoByTwo returns a test without data. prior is the expected rate of the
// baseline, which matters only in the first blocks. Outside (0, 1) it is 0.01.
func NewTwoByTwo(prior float64) *TwoByTwo {
	if !(prior > 0 && prior < 1) {
		prior = 0.01
	}
	return &TwoByTwo{prior: prior}
}

// Block adds a block: the number of events and of requests of each arm. The sizes,
// which may be 0, must not depend on the outcomes. Block ignores impossible counts:
// a negative number, or more events than requests.
func (t *TwoByTwo) Block(baseEvents, baseN, candEvents, candN int) {
	if baseEvents < 0 || candEvents < 0 || baseEvents > baseN || candEvents > candN {
		return
	}
	// The baseline's rate is estimated from the blocks before this one.
	b := (float64(t.events) + t.prior*priorWeight) / (float64(t.n) + priorWeight)
	t.events += baseEvents
	t.n += baseN
	if baseN == 0 || candN == 0 {
		return // the nearest point of the null is the alternative itself
	}
	for j, r := range worse {
		c := min(0.95, r*b)
		if c <= b {
			continue // not above the baseline
		}
		null := (float64(baseN)*b + float64(candN)*c) / float64(baseN+candN)
		t.l[j] += logRatio(baseEvents, baseN, b, null) + logRatio(candEvents, candN, c, null)
	}
}

// logRatio returns ln of the likelihood of x events in n requests at rate p,
// divided by the likelihood at rate p0.
func logRatio(x, n int, p, p0 float64) float64 {
	return float64(x)*math.Log(p/p0) + float64(n-x)*math.Log((1-p)/(1-p0))
}

// LogE returns ln E for "the candidate's rate is higher".
func (t *TwoByTwo) LogE() float64 { return logMeanExp(t.l[:]) }
