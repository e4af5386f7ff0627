package compat

import (
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/hdr"
)

// values are durations in seconds, or counts, with the statistics that tools report. The
// quantiles of up to exactly values are exact. For more of them, their error is at most
// 0.1 %, and the memory is bounded. The zero value is empty.
type values struct {
	list        []float64
	more        *hdr.Histogram // in units of 1/scale
	counts      bool           // not durations
	n           int
	mean, m2    float64
	least, most float64
}

const exactly = 1 << 14

// scale returns the factor for the histogram, which has numbers from 1 to 3.6e9: durations
// up to an hour, counts up to 3.6 million.
func (v *values) scale() float64 {
	if v.counts {
		return 1e3
	}
	return 1e6
}

func (v *values) count(x float64) { v.more.Add(uint64(max(0, x)*v.scale()+0.5), 1) }

func (v *values) add(x float64) {
	if v.n == 0 {
		v.least, v.most = x, x
	}
	v.n++
	d := x - v.mean
	v.mean += d / float64(v.n)
	v.m2 += d * (x - v.mean)
	v.least, v.most = min(v.least, x), max(v.most, x)
	if v.more == nil && v.n <= exactly {
		v.list = append(v.list, x)
		return
	}
	if v.more == nil {
		v.more = new(hdr.Histogram)
		for _, x := range v.list {
			v.count(x)
		}
		v.list = nil
	}
	v.count(x)
}

// time adds a duration unless it is nil.
func (v *values) time(d *time.Duration) {
	if d != nil {
		v.add(d.Seconds())
	}
}

// deviation returns the standard deviation of the values themselves.
func (v *values) deviation() float64 { return math.Sqrt(v.m2 / float64(max(1, v.n))) }

// quantile returns the quantile q as d computes it, or 0 if there are no values.
func (v *values) quantile(d Definition, q float64) float64 {
	if v.more != nil {
		return max(v.least, min(v.most, v.more.Quantile(q)/v.scale()))
	}
	if v.n == 0 {
		return 0
	}
	slices.Sort(v.list)
	below, share := d.rank(v.n, q)
	return v.list[below] + share*(v.list[min(below+1, v.n-1)]-v.list[below])
}
