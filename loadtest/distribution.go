package loadtest

import (
	"slices"
	"time"

	"github.com/serin-go/serin/internal/hist"
)

// Distribution tells how the durations of a kind are distributed. Up to 4,096
// of them every figure is exact; beyond that, quantiles are off by at most
// 1.6 %, and the memory stays bounded. The zero value is empty. It is safe for
// concurrent reading.
type Distribution struct {
	exact []float64 // in seconds; sorted by the time anybody reads
	more  *hist.Histogram
}

// exactly is how many durations are kept as they are.
const exactly = 4096

func (d *Distribution) add(v time.Duration) {
	s := v.Seconds()
	if d.more == nil && len(d.exact) < exactly {
		d.exact = append(d.exact, s)
		return
	}
	if d.more == nil {
		d.more = new(hist.Histogram)
		for _, e := range d.exact {
			d.more.Add(e)
		}
		d.exact = nil
	}
	d.more.Add(s)
}

// seal prepares d for reading.
func (d *Distribution) seal() { slices.Sort(d.exact) }

// Count returns the number of durations.
func (d *Distribution) Count() uint64 {
	if d.more != nil {
		return d.more.Count()
	}
	return uint64(len(d.exact))
}

// Quantile returns the duration below which the share q, from 0 to 1, of all
// lies; between two durations it interpolates linearly. It is 0 when d is empty.
func (d *Distribution) Quantile(q float64) time.Duration {
	if d.more != nil {
		return seconds(d.more.Quantile(q))
	}
	if len(d.exact) == 0 {
		return 0
	}
	rank := max(0, min(q, 1)) * float64(len(d.exact)-1)
	below := int(rank)
	above := min(below+1, len(d.exact)-1)
	return seconds(d.exact[below] + (rank-float64(below))*(d.exact[above]-d.exact[below]))
}

// Mean returns the mean, or 0 when d is empty.
func (d *Distribution) Mean() time.Duration {
	if d.more != nil {
		return seconds(d.more.Mean())
	}
	var sum float64
	for _, s := range d.exact {
		sum += s
	}
	return seconds(sum / max(1, float64(len(d.exact))))
}

// Max returns the longest duration, or 0 when d is empty.
func (d *Distribution) Max() time.Duration {
	if d.more != nil {
		return seconds(d.more.Max())
	}
	return d.Quantile(1)
}
