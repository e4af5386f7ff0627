package loadtest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/hdr"
	"github.com/serin-go/serin/internal/units"
)

// Distribution is the distribution of one kind of duration. Up to 4,096 durations
// its figures are exact. For more of them, the error of a quantile is at most 0.1 %
// or one microsecond, and the memory is bounded. The zero value is empty. It is safe
// for concurrent reading.
type Distribution struct {
	exact []float64 // in seconds; sorted by seal
	more  *hdr.Histogram
	sum   float64
	least time.Duration
	most  time.Duration
	count uint64
}

// exactly is the largest number of durations that are stored individually.
const exactly = 4096

func (d *Distribution) add(v time.Duration) { d.addN(v, 1) }

// addN adds v n times.
func (d *Distribution) addN(v time.Duration, n uint64) {
	if d.count == 0 || v < d.least {
		d.least = v
	}
	d.count += n
	d.sum += float64(v) / 1e9 * float64(n)
	d.most = max(d.most, v)
	if d.more == nil && d.count <= exactly {
		for range n {
			d.exact = append(d.exact, v.Seconds())
		}
		return
	}
	d.coarsen()
	d.more.Add(uint64(max(0, v)+time.Microsecond/2)/uint64(time.Microsecond), n)
}

// coarsen moves the exact durations to the histogram.
func (d *Distribution) coarsen() {
	if d.more != nil {
		return
	}
	d.more = new(hdr.Histogram)
	for _, e := range d.exact {
		d.more.Add(units.Micros(e), 1)
	}
	d.exact = nil
}

// merge adds the durations of o, which is not changed.
func (d *Distribution) merge(o *Distribution) {
	if o.count == 0 {
		return
	}
	if d.count == 0 || o.least < d.least {
		d.least = o.least
	}
	d.most, d.sum, d.count = max(d.most, o.most), d.sum+o.sum, d.count+o.count
	if d.more == nil && o.more == nil && len(d.exact)+len(o.exact) <= exactly {
		d.exact = append(d.exact, o.exact...)
		d.seal()
		return
	}
	d.coarsen()
	if o.more != nil {
		d.more.Merge(o.more)
	}
	for _, e := range o.exact {
		d.more.Add(units.Micros(e), 1)
	}
}

// seal sorts d for reading.
func (d *Distribution) seal() { slices.Sort(d.exact) }

// Count returns the number of durations.
func (d *Distribution) Count() uint64 { return d.count }

// Quantile returns the quantile q, from 0 to 1, with linear interpolation between
// two durations. Quantile(0) is the shortest duration and Quantile(1) the longest,
// exactly. It returns 0 if d is empty.
func (d *Distribution) Quantile(q float64) time.Duration {
	if d.more != nil {
		switch {
		case !(q > 0):
			return d.least
		case q >= 1:
			return d.most
		}
		return max(d.least, min(d.most, units.Seconds(d.more.Quantile(q)/1e6)))
	}
	if len(d.exact) == 0 {
		return 0
	}
	if !(q > 0) {
		q = 0
	}
	rank := min(q, 1) * float64(len(d.exact)-1)
	below := int(rank)
	above := min(below+1, len(d.exact)-1)
	return units.Seconds(d.exact[below] + (rank-float64(below))*(d.exact[above]-d.exact[below]))
}

// leastBeyond is the number of values beyond a quantile below which it is marked. The
// number of values beyond the true quantile is about Poisson distributed. Of ten that are
// expected, chance leaves 4 to 17 in 95 % of all runs: what is shown as p99 may be the
// true p98.3 or p99.6. With fewer it can be almost anything, and with fewer than one it is
// the longest duration.
const leastBeyond = 10

// beyond returns the number of durations that lie beyond the quantile q.
func (d *Distribution) beyond(q float64) uint64 { return uint64(float64(d.count)*(1-q) + 1e-6) }

// few reports whether too few durations lie beyond the quantile q. It is false for the
// extremes, which are what they are.
func (d *Distribution) few(q float64) bool {
	return d.count > 0 && q > 0 && q < 1 && d.beyond(q) < leastBeyond
}

// AtMost returns the number of durations up to v. Above 4,096 durations, it counts
// all durations in the bucket of v.
func (d *Distribution) AtMost(v time.Duration) (n uint64) {
	if d.more == nil {
		for _, e := range d.exact {
			if units.Seconds(e) <= v {
				n++
			}
		}
		return n
	}
	if v < 0 {
		return 0
	}
	return d.more.AtMost(units.Micros(v.Seconds()))
}

// Sum returns the sum of all durations in seconds.
func (d *Distribution) Sum() float64 { return d.sum }

// Mean returns the mean, or 0 if d is empty.
func (d *Distribution) Mean() time.Duration { return units.Seconds(d.sum / max(1, float64(d.count))) }

// distributionJSON is the JSON of a Distribution: its main figures in seconds, and
// the histogram.
type distributionJSON struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_s"`
	Min   float64 `json:"min_s"`
	P50   float64 `json:"p50_s"`
	P90   float64 `json:"p90_s"`
	P95   float64 `json:"p95_s"`
	P99   float64 `json:"p99_s"`
	P999  float64 `json:"p999_s"`
	Max   float64 `json:"max_s"`
	// Few has the quantiles beyond which fewer than ten values lie, and how many do.
	Few map[string]uint64 `json:"few_beyond,omitempty"`
	HDR string            `json:"hdr,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. The member few_beyond has the quantiles
// beyond which fewer than ten durations lie, with their number. The member hdr is an
// HdrHistogram V2 of all durations in microseconds. With it, distributions that were read
// back can be merged, and have all quantiles.
func (d Distribution) MarshalJSON() ([]byte, error) {
	j := distributionJSON{d.count, d.Mean().Seconds(), d.least.Seconds(), d.Quantile(0.5).Seconds(), d.Quantile(0.9).Seconds(),
		d.Quantile(0.95).Seconds(), d.Quantile(0.99).Seconds(), d.Quantile(0.999).Seconds(), d.most.Seconds(), nil, ""}
	for i, q := range shownQuantiles {
		if d.few(q) {
			if j.Few == nil {
				j.Few = make(map[string]uint64)
			}
			j.Few[strings.Replace(shownNames[i], ".", "", 1)] = d.beyond(q)
		}
	}
	if d.count > 0 {
		j.HDR = d.histogram().Encode()
	}
	return json.Marshal(j)
}

// histogram returns a histogram of all durations. The caller must not modify it.
func (d *Distribution) histogram() *hdr.Histogram {
	if d.more != nil {
		return d.more
	}
	all := Distribution{exact: d.exact}
	all.coarsen()
	return all.more
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Distribution) UnmarshalJSON(data []byte) error {
	var j distributionJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*d = Distribution{count: j.Count, sum: j.Mean * float64(j.Count), least: units.Seconds(j.Min), most: units.Seconds(j.Max)}
	if j.Count == 0 {
		return nil
	}
	h, err := hdr.Decode(j.HDR)
	if err != nil {
		return err
	}
	d.more, d.count = h, h.Count()
	return nil
}
