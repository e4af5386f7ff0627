package evalue

import "math"

// Bet is a test by betting for the mean of values in [-1, 1], such as
// differences of scores between 0 and 1 (Waudby-Smith and Ramdas, "Estimating
// means of bounded random variables by betting"): wealth starts at 1 and is
// multiplied by 1 + λ(d - bound) for each value d, where λ >= 0 is chosen from
// the values before. Under the null, that the mean given the past is at most
// bound, no such bet is favourable.
//
// Bet is plain data. The zero Bet has seen no values.
type Bet struct {
	N       int     `json:"n"`
	Sum     float64 `json:"sum"`
	Squares float64 `json:"squares"`
	// L is the log of the wealth, which is an e-process.
	L float64 `json:"l"`
}

// Add bets on d being above bound, which lies in (-1, 1) and is the same for
// every value. To bet on values below a bound, negate both. Values outside
// [-1, 1] and NaN are ignored.
func (b *Bet) Add(d, bound float64) {
	if !(d >= -1 && d <= 1) || !(bound > -1 && bound < 1) {
		return
	}
	b.L += math.Log1p(b.stake(bound) * (d - bound))
	b.N++
	b.Sum += d
	b.Squares += d * d
}

// stake returns λ: the approximate growth-optimal (Kelly) stake for the mean
// and the variance so far, which start from one imagined value at the bound
// with variance 1/4. It is so small that no value can lose more than half.
func (b *Bet) stake(bound float64) float64 {
	n := float64(b.N + 1)
	mean := (b.Sum + bound) / n
	variance := max((b.Squares+bound*bound+0.25)/n-mean*mean, 0)
	edge := mean - bound
	if edge <= 0 {
		return 0
	}
	return min(edge/(variance+edge*edge), 1/(2*(1+bound)))
}

// LogE returns ln E for "the mean is above the bound".
func (b *Bet) LogE() float64 { return b.L }

// Merge adds what was seen elsewhere with the same bound.
func (b *Bet) Merge(o Bet) {
	b.N += o.N
	b.Sum += o.Sum
	b.Squares += o.Squares
	b.L += o.L
}
