package hist

import (
	"iter"
	"math"
)

// The layout: 63 octaves from 2^-33 (0.12 ns in seconds) to 2^30 (34 years),
// 64 buckets each. With 32-bit counters that is 15.75 KB, which leaves room for
// the rest of a Histogram within 16 KB.
const (
	logBuckets = 6
	perOctave  = 1 << logBuckets
	minExp     = -33
	octaves    = 63
	numBuckets = octaves * perOctave

	mantissaBits = 52
	exponentBias = 1023
	firstIndex   = (exponentBias + minExp) << logBuckets
)

// Width is the largest width of a bucket relative to its values. No quantile
// is off by more.
const Width = 1.0 / perOctave

// Histogram counts positive values in buckets of at most 1.6 % relative width.
// The zero value is empty and ready to use. It is not safe for concurrent use:
// whoever owns it guards it. It must not be copied carelessly, being 16 KB
// large.
//
// Values from 2^-33 to 2^30 find their own bucket. Zero and smaller values count
// in the first bucket and larger ones in the last; [Histogram.Clamped] tells how
// many. Minimum, maximum and sum are exact for those too.
type Histogram struct {
	counts  [numBuckets]uint32
	count   uint64
	clamped uint64
	invalid uint64
	sum     float64
	// The largest value, and the complement of the smallest, as bits: those of
	// positive numbers are in the order of the numbers, and zeros stand for none.
	maxBits, notMinBits uint64
}

// Add counts v. A negative, infinite or NaN value is not counted but for
// [Histogram.Invalid]. A bucket that has reached 2^32-1 stays there.
func (h *Histogram) Add(v float64) {
	b := math.Float64bits(v)
	i := b>>(mantissaBits-logBuckets) - firstIndex
	if i >= numBuckets {
		h.addOutside(v)
		return
	}
	h.count++
	h.sum += v
	if n := h.counts[i] + 1; n != 0 {
		h.counts[i] = n
	}
	if b > h.maxBits {
		h.maxBits = b
	}
	if ^b > h.notMinBits {
		h.notMinBits = ^b
	}
}

// addOutside counts a value outside the layout, if it is one at all.
func (h *Histogram) addOutside(v float64) {
	if !(v >= 0 && v <= math.MaxFloat64) {
		h.invalid++
		return
	}
	v += 0 // of the two zeros, the positive one
	h.clamped++
	h.count++
	h.sum += v
	i := bucket(v)
	if n := h.counts[i] + 1; n != 0 {
		h.counts[i] = n
	}
	h.maxBits = max(h.maxBits, math.Float64bits(v))
	h.notMinBits = max(h.notMinBits, ^math.Float64bits(v))
}

// index returns the bucket of v, which may lie outside the layout. It reads
// exponent and leading mantissa bits as one number: they grow by one from each
// bucket to the next.
func index(v float64) int {
	return int(math.Float64bits(v)>>(mantissaBits-logBuckets)) - firstIndex
}

// bucket returns the bucket in which v counts.
func bucket(v float64) int { return clamp(index(v), 0, numBuckets-1) }

// lo and hi bound the buckets in use, which are few: scans visit only them. h is
// not empty.
func (h *Histogram) lo() int { return bucket(h.Min()) }
func (h *Histogram) hi() int { return bucket(h.Max()) }

// bound returns the lower bound of bucket i, which is the upper bound of the
// bucket before it.
func bound(i int) float64 {
	return math.Float64frombits(uint64(i+firstIndex) << (mantissaBits - logBuckets))
}

// Count returns how many values were counted.
func (h *Histogram) Count() uint64 { return h.count }

// Clamped returns how many of the counted values were outside the layout.
func (h *Histogram) Clamped() uint64 { return h.clamped }

// Invalid returns how many values were negative, infinite or NaN, and so were
// not counted.
func (h *Histogram) Invalid() uint64 { return h.invalid }

// Sum returns the sum of the counted values.
func (h *Histogram) Sum() float64 { return h.sum }

// Mean returns the mean of the counted values, 0 if there are none.
func (h *Histogram) Mean() float64 {
	if h.count == 0 {
		return 0
	}
	return min(h.sum, math.MaxFloat64) / float64(h.count)
}

// Min returns the smallest counted value, 0 if there is none.
func (h *Histogram) Min() float64 {
	if h.count == 0 {
		return 0
	}
	return math.Float64frombits(^h.notMinBits)
}

// Max returns the largest counted value, 0 if there is none.
func (h *Histogram) Max() float64 { return math.Float64frombits(h.maxBits) }

// Quantile returns the value that a share q of the counted values does not
// exceed: the one of rank ceil(q*count), to within [Width] relative error.
// Quantile(0) is the minimum and Quantile(1) the maximum, exactly. It returns 0
// if there are no values; q outside 0 to 1 means the nearer end, NaN means 0.
func (h *Histogram) Quantile(q float64) float64 {
	switch {
	case h.count == 0:
		return 0
	case !(q > 0):
		return h.Min()
	case q >= 1:
		return h.Max()
	}
	rank := math.Ceil(q * float64(h.count))
	var below float64
	for i, hi := h.lo(), h.hi(); i <= hi; i++ {
		n := float64(h.counts[i])
		if below+n < rank {
			below += n
			continue
		}
		// The values of a bucket are taken to be spread evenly over it.
		from, to := bound(i), bound(i+1)
		return clamp(from+(to-from)*(rank-below-0.5)/n, h.Min(), h.Max())
	}
	return h.Max() // only when a bucket is full
}

// Quantiles puts the quantiles qs, which rise, into dst, as [Histogram.Quantile]
// gives them, in one pass.
func (h *Histogram) Quantiles(dst, qs []float64) {
	if h.count == 0 {
		clear(dst)
		return
	}
	k, below := 0, 0.0
	for i, hi := h.lo(), h.hi(); i <= hi && k < len(qs); i++ {
		n := float64(h.counts[i])
		for k < len(qs) {
			rank := max(1, math.Ceil(qs[k]*float64(h.count)))
			if below+n < rank {
				break
			}
			from, to := bound(i), bound(i+1)
			dst[k] = clamp(from+(to-from)*(rank-below-0.5)/n, h.Min(), h.Max())
			k++
		}
		below += n
	}
	for ; k < len(qs); k++ {
		dst[k] = h.Max()
	}
}

// CountAbove returns how many of the counted values are larger than v. Of those
// in v's own bucket it takes the share that lies above v if they are spread
// evenly. NaN is above everything.
func (h *Histogram) CountAbove(v float64) float64 {
	switch {
	case h.count == 0 || !(v < h.Max()):
		return 0
	case v < h.Min():
		return float64(h.count)
	}
	at := bucket(v)
	from, to := bound(at), bound(at+1)
	above := clamp((to-v)/(to-from), 0, 1) * float64(h.counts[at])
	for i, hi := at+1, h.hi(); i <= hi; i++ {
		above += float64(h.counts[i])
	}
	return above
}

// Buckets yields the upper bound of each bucket that holds values, in ascending
// order, with how many it holds. Values in it are below the bound.
func (h *Histogram) Buckets() iter.Seq2[float64, int] {
	return func(yield func(float64, int) bool) {
		if h.count == 0 {
			return
		}
		for i, hi := h.lo(), h.hi(); i <= hi; i++ {
			if n := h.counts[i]; n > 0 && !yield(bound(i+1), int(n)) {
				return
			}
		}
	}
}

// Merge adds the values of o to h. It equals adding them one by one, but for
// the rounding of the sum. o is not changed.
func (h *Histogram) Merge(o *Histogram) {
	h.invalid += o.invalid
	if o.count == 0 {
		return
	}
	h.maxBits, h.notMinBits = max(h.maxBits, o.maxBits), max(h.notMinBits, o.notMinBits)
	for i, hi := o.lo(), o.hi(); i <= hi; i++ {
		sum := uint64(h.counts[i]) + uint64(o.counts[i])
		h.counts[i] = uint32(min(sum, math.MaxUint32))
	}
	h.count += o.count
	h.clamped += o.clamped
	h.sum += o.sum
}

func clamp[T int | float64](v, lo, hi T) T { return max(lo, min(v, hi)) }
