package evalue

import "math"

// Overdispersion measures how much more the sums over stretches of time vary than
// the assignment alone explains: machines of one arm that are slow for some seconds
// are no matter of chance. A stretch counts by its volume, so that traffic may come
// and go. It is plain data that adds up over replicas. The zero value has seen nothing.
type Overdispersion struct {
	// Blocks counts whole blocks in which there was something. Sum adds up their sums,
	// Squares the squares of these over the volume, Volume the volumes. Variance is
	// the variance of the whole at the end of the last one.
	Blocks                         float64
	Sum, Squares, Volume, Variance float64
	// Open and OpenVolume are of the block that is not whole yet, which has Age looks.
	Open, OpenVolume float64
	Age              float64
}

// Close ends a look in which the scores have added up to d in a volume w, while the
// variance of all is v, for blocks of so many looks.
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

// minBlocks is from how many blocks on an excess of variance is taken for one.
const minBlocks = 3

// Factor returns by how much the variance exceeds the quantile of what chance makes
// of it, at the standard normal quantile z (Wilson and Hilferty 1931).
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

// Add adds what another replica has seen.
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
