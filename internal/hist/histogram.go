package hist

import (
	"iter"
	"math"
)

// The layout: 63 octaves from 2^-33 (0.12 ns in seconds) to 2^30 (34 years) with 64
// buckets each. With 32-bit counters that is 15.75 KB, so that a Histogram fits into
// 16 KB.
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

// Width is the largest width of a bucket relative to its values, and so the largest
// relative error of a quantile.
const Width = 1.0 / perOctave

// Histogram counts positive values in buckets of at most 1.6 % relative width.
// The zero value is empty and ready to use. It is not safe for concurrent use. It has
// 16 KB, so copies are expensive.
//
// Values from 2^-33 to 2^30 have a bucket. Smaller values, zero included, count in the
// first bucket and larger ones in the last; [Histogram.Clamped] is the number of both.
// Minimum, maximum and sum are exact for all values.
type Histogram struct {
	counts  [numBuckets]uint32
	count   uint64
	clamped uint64
	invalid uint64
	sum     float64
	// The bits of the largest value and the complement of the bits of the smallest
	// one. The bits of positive numbers have the order of the numbers. Zero means
	// that there are no values.
	maxBits, notMinBits uint64
}

// Add counts v. A negative, infinite or NaN value counts only for [Histogram.Invalid]. A
// bucket does not grow beyond 2^32-1.
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

// addOutside counts a value outside the layout or an invalid one.
func (h *Histogram) addOutside(v float64) {
	if !(v >= 0 && v <= math.MaxFloat64) {
		h.invalid++
		return
	}
	v += 0 // makes -0 a positive zero
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

// index returns the bucket of v, which may lie outside the layout. The exponent and the
// leading bits of the mantissa are one number, which grows by one from bucket to bucket.
func index(v float64) int {
	return int(math.Float64bits(v)>>(mantissaBits-logBuckets)) - firstIndex
}

// bucket returns the bucket in which v counts.
func bucket(v float64) int { return clamp(index(v), 0, numBuckets-1) }

// lo and hi return the first and the last bucket in use. h must not be empty.
func (h *Histogram) lo() int { return bucket(h.Min()) }
func (h *Histogram) hi() int { return bucket(h.Max()) }

// bound returns the lower bound of bucket i, which is the upper bound of the previous
// bucket.
func bound(i int) float64 {
	return math.Float64frombits(uint64(i+firstIndex) << (mantissaBits - logBuckets))
}

// Count returns the number of counted values.
func (h *Histogram) Count() uint64 { return h.count }

// Clamped returns the number of counted values outside the layout.
func (h *Histogram) Clamped() uint64 { return h.clamped }

// Invalid returns the number of negative, infinite and NaN values, which are not
// counted.
func (h *Histogram) Invalid() uint64 { return h.invalid }

// Sum returns the sum of the counted values.
func (h *Histogram) Sum() float64 { return h.sum }

// Mean returns the mean of the counted values, or 0 if h is empty.
func (h *Histogram) Mean() float64 {
	if h.count == 0 {
		return 0
	}
	return min(h.sum, math.MaxFloat64) / float64(h.count)
}

// Min returns the smallest counted value, or 0 if h is empty.
func (h *Histogram) Min() float64 {
	if h.count == 0 {
		return 0
	}
	return math.Float64frombits(^h.notMinBits)
}

// Max returns the largest counted value, or 0 if h is empty.
func (h *Histogram) Max() float64 { return math.Float64frombits(h.maxBits) }

// Quantile returns the value of rank ceil(q*count), with a relative error of at most
// [Width]. Quantile(0) is the minimum and Quantile(1) the maximum, exactly. It returns 0
// if h is empty. A q below 0 and NaN count as 0, a q above 1 counts as 1.
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
		// Assume that values are spread evenly over the bucket.
		from, to := bound(i), bound(i+1)
		return clamp(from+(to-from)*(rank-below-0.5)/n, h.Min(), h.Max())
	}
	return h.Max() // only if a bucket has reached 2^32-1
}

// Quantiles sets dst to the quantiles qs, which must be in ascending order, in one pass.
// The results are equal to [Histogram.Quantile].
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

// CountAbove returns the number of counted values larger than v. It assumes that the
// values in the bucket of v are spread evenly. No value is larger than NaN.
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

// Buckets yields the buckets in use in ascending order: the exclusive upper bound of each
// and its count.
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

// Merge adds the values of o to h. Except for the rounding of the sum, the result equals
// adding them one by one. It does not change o.
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
