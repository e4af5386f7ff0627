package hist

import (
	"iter"
	"math"
)

// Sparse is a [Histogram] for values that lie close together and for counts of any size:
// it has the same buckets, with counters of 64 bits, and allocates the 64 of an octave
// with the first value in it. Sixteen octaves take 9 KB, all of them 32 KB. It has no
// minimum and no maximum. The zero value is empty and ready to use. It is not safe for
// concurrent use.
type Sparse struct {
	octaves [octaves]*[perOctave]uint64
	count   uint64
	sum     float64
}

// Add counts v. Values outside the layout count in the first bucket or in the last one. A
// negative, infinite or NaN value does not count.
func (s *Sparse) Add(v float64) {
	i := math.Float64bits(v)>>(mantissaBits-logBuckets) - firstIndex
	if i >= numBuckets { // also if v is negative
		if !(v >= 0 && v <= math.MaxFloat64) {
			return
		}
		i = uint64(bucket(v + 0))
	}
	s.count++
	s.sum += v
	o := s.octaves[i/perOctave]
	if o == nil {
		o = s.octave(int(i / perOctave))
	}
	o[i%perOctave]++
}

func (s *Sparse) octave(i int) *[perOctave]uint64 {
	if s.octaves[i] == nil {
		s.octaves[i] = new([perOctave]uint64)
	}
	return s.octaves[i]
}

// Count returns the number of counted values.
func (s *Sparse) Count() uint64 { return s.count }

// Sum returns the sum of the counted values.
func (s *Sparse) Sum() float64 { return s.sum }

// Merge adds the values of o to s. It does not change o.
func (s *Sparse) Merge(o *Sparse) {
	s.count += o.count
	s.sum += o.sum
	for i, from := range o.octaves {
		if from == nil {
			continue
		}
		to := s.octave(i)
		for j, n := range from {
			to[j] += n
		}
	}
}

// Buckets yields the buckets in use in ascending order: the inclusive lower bound of each
// and its count. [Upper] returns the upper bound. The first bucket of the layout, which
// has all smaller values, begins at 0.
func (s *Sparse) Buckets() iter.Seq2[float64, uint64] {
	return func(yield func(float64, uint64) bool) {
		for i, o := range s.octaves {
			if o == nil {
				continue
			}
			for j, n := range o {
				from := bound(i*perOctave + j)
				if i+j == 0 {
					from = 0
				}
				if n > 0 && !yield(from, n) {
					return
				}
			}
		}
	}
}

// Upper returns the exclusive upper bound of the bucket in which v counts.
func Upper(v float64) float64 { return bound(bucket(v) + 1) }
