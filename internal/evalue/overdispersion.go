package evalue

import "math"

// Overdispersion measures how much more the sums of blocks of time vary than random
// assignment explains. An example is an arm whose machines are slow for some
// seconds. A block is weighted by its volume, so that traffic may vary. It is plain
// data that adds up over replicas. The zero value is empty.
type Overdispersion struct {
	// Blocks is the number of complete blocks with data. Sum is the sum of their
	// sums, Squares the sum of the squares of these over the volume, and Volume the
	// sum of the volumes. Variance is the total variance after the last block.
	Blocks                         float64
	Sum, Squares, Volume, Variance float64
	// Open and OpenVolume belong to the incomplete block, which has Age looks.
	Open, OpenVolume float64
	Age              float64
}

// Close ends a look with the sum d, the volume w and the total variance v. A block
// has the given number of looks.
func (o *Overdispersion) Close(d, w, v float64, looks int) {
	o.Open += d
	o.OpenVolume += w
	if o.Age++; int(o.Age) < looks {
		return
	}
	if o.OpenVolume > 0 {
		o.Blocks++
		o.Sum += o.Open
		o.Squares += o.Open * o.Open / o.OpenVolume
		o.Volume += o.OpenVolume
		o.Variance = v
	}
	o.Open, o.OpenVolume, o.Age = 0, 0, 0
}

// minBlocks is the number of blocks from which on Factor can exceed 1.
const minBlocks = 3

// Factor returns the variance divided by its quantile under random assignment, and
// at least 1. z is the standard normal quantile (Wilson and Hilferty 1931).
func (o *Overdispersion) Factor(z float64) float64 {
	k := o.Blocks
	if k < minBlocks || !(o.Variance > 0) {
		return 1
	}
	excess := (o.Squares - o.Sum*o.Sum/o.Volume) * o.Volume / o.Variance / (k - 1)
	b := 2 / (9 * (k - 1))
	q := 1 - b + z*math.Sqrt(b)
	return max(1, excess/(q*q*q))
}

// Add adds the state of another replica.
func (o *Overdispersion) Add(p Overdispersion) {
	o.Blocks += p.Blocks
	o.Sum += p.Sum
	o.Squares += p.Squares
	o.Volume += p.Volume
	o.Variance += p.Variance
	o.Open += p.Open
	o.OpenVolume += p.OpenVolume
	o.Age = max(o.Age, p.Age)
}
