package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// Effect is how much the candidate differs from the baseline in a metric, with a
// confidence sequence: an interval that holds the truth at all looks together
// with probability Level. It estimates the size of a difference; the verdict rests on
// the e-values, which need no large numbers.
//
// Like is compared with like: of a rate, block by block (the difference of
// Cochran, Mantel and Haenszel); of amounts and scores, pairs of the same time.
// So neither a changing split nor a changing base rate shifts it. The interval
// is the asymptotic one of Waudby-Smith et al., which is tightest at 5,000
// requests.
type Effect struct {
	// Known is false while too little was seen for the interval to mean
	// anything: fewer than 20 events of a rate, or 100 requests of an arm, or 30
	// pairs of an amount or score. All else is 0 then.
	Known bool `json:"known"`
	// Ratio reports whether the effect is the candidate's geometric mean over the
	// baseline's, as for amounts; 1 means no difference. Otherwise it is a difference of
	// rates or means; 0 means no difference.
	Ratio bool    `json:"ratio,omitempty"`
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Level float64 `json:"level"`
}

// String formats e as "x1.08 (1.02 to 1.15)" or "+0.8 points (-0.2 to +1.9)",
// where a point is a hundredth.
func (e Effect) String() string {
	switch {
	case !e.Known:
		return "unknown"
	case e.Ratio:
		return fmt.Sprintf("x%s (%s to %s)", digits(e.Value), digits(e.Low), digits(e.High))
	}
	point := func(v float64) string {
		if v > 0 {
			return "+" + digits(100*v)
		}
		return digits(100 * v)
	}
	return fmt.Sprintf("%s points (%s to %s)", point(e.Value), point(e.Low), point(e.High))
}

// contrastSums is what the differences between two arms add up to. It is plain data;
// contrasts of disjoint data add up.
type contrastSums struct {
	// N counts requests in blocks of a rate, or pairs.
	N int `json:"n,omitempty"`
	// Of a rate: the weights of the blocks, their weighted differences, and the
	// variance of these.
	Weight   float64 `json:"weight,omitempty"`
	Excess   float64 `json:"excess,omitempty"`
	Variance float64 `json:"variance,omitempty"`
	// Of pairs: X and Y are the mean differences of the covariate and of the
	// metric (of its logarithm, of an amount), and XX, XY and YY the sums of the
	// products of deviations from them.
	X  float64 `json:"x,omitempty"`
	Y  float64 `json:"y,omitempty"`
	XX float64 `json:"xx,omitempty"`
	XY float64 `json:"xy,omitempty"`
	YY float64 `json:"yy,omitempty"`
}

func (c *contrastSums) regression() evalue.Regression {
	return evalue.Regression{N: c.N, X: c.X, Y: c.Y, XX: c.XX, XY: c.XY, YY: c.YY}
}

func (c *contrastSums) setRegression(r evalue.Regression) {
	c.N, c.X, c.Y, c.XX, c.XY, c.YY = r.N, r.X, r.Y, r.XX, r.XY, r.YY
}

// take takes in a block.
func (c *contrastSums) take(k Kind, b *block) {
	if k == Rate {
		c.rates(b.rates[0], b.rates[1])
		return
	}
	// Sums of deviations from the means so far; the block is merged as a whole,
	// which spares a division for each pair.
	var n, x, y, xx, xy, yy float64
	b.pairs(func(base, cand int) {
		vb, vc := b.values[0][base], b.values[1][cand]
		diff := vc - vb
		if k == Amount {
			if !(vb > 0 && vc > 0) {
				return // it has no logarithm
			}
			diff = math.Log(vc) - math.Log(vb)
		}
		dx, dy := -c.X, diff-c.Y
		n++
		x, y = x+dx, y+dy
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	})
	if n == 0 {
		return
	}
	r := c.regression()
	r.Merge(evalue.Regression{
		N: int(n), X: c.X + x/n, Y: c.Y + y/n,
		XX: max(xx-x*x/n, 0), XY: xy - x*y/n, YY: max(yy-y*y/n, 0),
	})
	c.setRegression(r)
}

// rates takes in the counts of a block. Given their sum, the candidate's events
// have a hypergeometric distribution if there is no difference.
func (c *contrastSums) rates(base, cand rate) {
	nb, nc := float64(base.n), float64(cand.n)
	n, x := nb+nc, float64(base.events+cand.events)
	if nb == 0 || nc == 0 {
		return
	}
	c.N += int(n)
	c.Weight += nb * nc / n
	c.Excess += float64(cand.events) - nc*x/n
	c.Variance += nb * nc * x * (n - x) / (n * n * (n - 1))
}

// add adds what was seen elsewhere.
func (c *contrastSums) add(o contrastSums) {
	r := c.regression()
	if o.Weight == 0 {
		r.Merge(o.regression())
		c.setRegression(r)
		return
	}
	c.N += o.N
	c.Weight += o.Weight
	c.Excess += o.Excess
	c.Variance += o.Variance
}

// check reports whether c can be a state.
func (c *contrastSums) check() error {
	if c.N < 0 || !sane(c.Weight, c.Excess, c.Variance, c.X, c.Y, c.XX, c.XY, c.YY) || min(c.Weight, c.Variance, c.XX, c.YY) < 0 {
		return errors.New("a contrast that cannot be")
	}
	return nil
}

// How much must have been seen before an asymptotic interval means anything.
const (
	effectEvents   = 20
	effectRequests = 100
	effectPairs    = 30
	effectStar     = 2500 // pairs at which the interval is tightest: 5,000 requests
)

// effect returns the effect that e shows, with confidence 1-alpha.
func (e *metricEvidence) effect(k Kind, alpha float64) Effect {
	c, n := &e.Contrast, float64(e.Contrast.N)
	var value, half float64
	switch events := e.Baseline.Events + e.Candidate.Events; {
	case k == Rate:
		if events < effectEvents || min(e.Baseline.N, e.Candidate.N) < effectRequests || !(c.Weight > 0 && c.Variance > 0) {
			return Effect{}
		}
		value = c.Excess / c.Weight
		half = evalue.AsymptoticHalfWidth(n, n*c.Variance/(c.Weight*c.Weight), alpha, 0, false)
	case c.N < effectPairs:
		return Effect{}
	default:
		r := c.regression()
		theta := r.Slope()
		value = r.Y - theta*r.X // the covariate has the same mean on both arms
		half = evalue.AsymptoticHalfWidth(n, max(r.YY-theta*r.XY, 0)/(n-1), alpha, effectStar, false)
	}
	x := Effect{Known: true, Value: value, Low: value - half, High: value + half, Level: 1 - alpha}
	if k == Amount {
		x.Ratio = true
		x.Value, x.Low, x.High = exp(x.Value), exp(x.Low), exp(x.High)
	} else { // no difference of shares or scores is larger
		x.Low, x.High = max(x.Low, -1), min(x.High, 1)
	}
	return x
}
