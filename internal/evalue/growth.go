package evalue

import "math"

// Growth is how fast the log-likelihood ratio of one alternative grows: its
// mean and its variance for each step, whatever a step is.
type Growth struct{ Mean, Variance float64 }

// Growth returns how fast the evidence of each alternative of t grows with a
// block of nb and nc requests, which need not be whole, of arms with true rates b
// and c in (0, 1), once the baseline's rate is known. The least growth is that
// of an alternative that is none, zero.
func (t *TwoByTwo) Growth(b, c, nb, nc float64) []Growth {
	list := make([]Growth, len(t.grid))
	boundary := min(t.factor*b+t.points, 1)
	for j, r := range t.grid {
		alt := min(0.95, r*boundary)
		if !t.within && alt <= boundary || nb <= 0 || nc <= 0 || !(b > 0 && b < 1) {
			continue
		}
		b0, c0 := t.nearest(b, alt, nb, nc)
		for _, arm := range [2]struct{ n, true, alt, null float64 }{{nb, b, b, b0}, {nc, c, alt, c0}} {
			event, none := math.Log(arm.alt/arm.null), math.Log((1-arm.alt)/(1-arm.null))
			list[j].Mean += arm.n * (arm.true*event + (1-arm.true)*none)
			list[j].Variance += arm.n * arm.true * (1 - arm.true) * (event - none) * (event - none)
		}
	}
	return list
}

// PairsGrowth returns how fast the evidence of each alternative of [PairsLogE]
// grows with a pair that is a win with probability p.
func PairsGrowth(p float64) []Growth {
	list := make([]Growth, len(pairOdds))
	for j, odds := range pairOdds {
		win, loss := math.Log(2*odds/(1+odds)), math.Log(2/(1+odds))
		list[j] = Growth{Mean: p*win + (1-p)*loss, Variance: p * (1 - p) * (win - loss) * (win - loss)}
	}
	return list
}

// PairLogs returns the log-likelihood ratio of each alternative of [PairsLogE].
func PairLogs(wins, losses int) []float64 {
	l := make([]float64, len(pairOdds))
	for j, odds := range pairOdds {
		l[j] = float64(wins)*math.Log(2*odds/(1+odds)) + float64(losses)*math.Log(2/(1+odds))
	}
	return l
}

// Factor returns by how much the log-likelihood ratios l must be multiplied for
// the log of the mean of the likelihood ratios to reach target, which is above
// 0: how many times what there is already is needed, if the evidence goes on as
// it has. It is +Inf if no alternative has grown.
func Factor(l []float64, target float64) float64 {
	top := math.Inf(-1)
	for _, x := range l {
		top = max(top, x)
	}
	if !(top > 0) || math.IsInf(top, 1) {
		return math.Inf(1)
	}
	// The log of the mean is convex in the factor, and at this one it is at
	// least the target: Newton's method comes down from there.
	f := (target + math.Log(float64(len(l)))) / top
	for range 8 {
		var sum, slope float64
		for _, x := range l {
			w := math.Exp(f * (x - top))
			sum += w
			slope += w * x
		}
		excess := f*top + math.Log(sum/float64(len(l))) - target
		step := excess * sum / slope
		if !(step > 1e-3*f) {
			break
		}
		f -= step
	}
	return f
}
