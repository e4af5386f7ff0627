package exposition

import (
	"math"
	"slices"
)

// Bucket counts the observations up to a bound.
type Bucket struct {
	UpTo  float64 // the label le; the last bucket has +Inf
	Count float64 // cumulative: it includes the buckets below
}

// Buckets is a histogram, in increasing order of the bounds. The zero value has no
// observations.
type Buckets []Bucket

// Add adds a sample with a label le, such as http_seconds_bucket{le="0.5"}. Samples of
// several series are added up: these should have the same bounds. Other samples, and
// counts that are negative or not finite, are ignored; Add then returns false.
func (b *Buckets) Add(s Sample) bool {
	le, ok := s.Label("le")
	if !ok {
		return false
	}
	bound, ok := parseFloat(le)
	if !ok || math.IsNaN(bound) || !(s.Value >= 0) || math.IsInf(s.Value, 1) {
		return false
	}
	b.add(bound, s.Value)
	return true
}

func (b *Buckets) add(bound, count float64) {
	i := len(*b) // bounds come in order, as a rule
	for i > 0 && (*b)[i-1].UpTo >= bound {
		i--
	}
	if i < len(*b) && (*b)[i].UpTo == bound {
		(*b)[i].Count += count
		return
	}
	*b = slices.Insert(*b, i, Bucket{bound, count})
}

// Merge adds the observations of other, which should have the same bounds.
func (b *Buckets) Merge(other Buckets) {
	for _, o := range other {
		b.add(o.UpTo, o.Count)
	}
}

// Since returns the observations that were made after earlier. ok is false if it cannot be
// said: the bounds are other ones, or a count has decreased, because the server restarted.
func (b Buckets) Since(earlier Buckets) (increase Buckets, ok bool) {
	if len(b) == 0 || len(b) != len(earlier) {
		return nil, false
	}
	increase = slices.Clone(b)
	for i, e := range earlier {
		if increase[i].UpTo != e.UpTo || increase[i].Count < e.Count {
			return nil, false
		}
		increase[i].Count -= e.Count
	}
	return increase, true
}

// Count returns the number of observations.
func (b Buckets) Count() float64 {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1].Count
}

// Quantile returns the value that a share q of the observations does not exceed, by linear
// interpolation within a bucket, as histogram_quantile of Prometheus does. 0 < q < 1. ok is
// false without observations, without a last bucket to +Inf, and if the counts decrease. A
// quantile above the last finite bound is that bound.
func (b Buckets) Quantile(q float64) (value float64, ok bool) {
	last := len(b) - 1
	if !(q > 0 && q < 1) || last < 1 || !math.IsInf(b[last].UpTo, 1) || !(b[last].Count > 0) {
		return 0, false
	}
	for i := range last {
		if b[i].Count > b[i+1].Count {
			return 0, false
		}
	}
	rank := q * b[last].Count
	i := slices.IndexFunc(b, func(k Bucket) bool { return k.Count >= rank })
	switch {
	case i == last:
		return b[last-1].UpTo, true
	case i == 0 && b[0].UpTo <= 0:
		return b[0].UpTo, true
	case i == 0:
		return b[0].UpTo * rank / b[0].Count, true
	}
	low, high := b[i-1], b[i]
	return low.UpTo + (high.UpTo-low.UpTo)*(rank-low.Count)/(high.Count-low.Count), true
}
