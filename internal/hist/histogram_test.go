package hist

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// positive draws values over the whole layout, dense and sparse.
func positive(t *rapid.T) []float64 {
	return rapid.SliceOfN(rapid.OneOf(
		rapid.Float64Range(1e-9, 1e8),
		rapid.Map(rapid.Float64Range(-20, 18), math.Exp),
		rapid.Map(rapid.IntRange(1, 50), func(i int) float64 { return float64(i) }),
	), 1, 300).Draw(t, "values")
}

func fill(values []float64) *Histogram {
	h := new(Histogram)
	for _, v := range values {
		h.Add(v)
	}
	return h
}

func TestQuantileAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := positive(t)
		h := fill(values)
		slices.Sort(values)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		want := values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
		if got := h.Quantile(q); math.Abs(got-want) > Width*want {
			t.Fatalf("Quantile(%v) of %v = %v, want %v within %v", q, values, got, want, Width)
		}
		if h.Quantile(0) != values[0] || h.Quantile(1) != values[len(values)-1] {
			t.Fatalf("ends of %v are %v and %v", values, h.Quantile(0), h.Quantile(1))
		}
	})
}

func TestCountAboveAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := positive(t)
		h := fill(values)
		v := rapid.SampledFrom(values).Draw(t, "v") * rapid.Float64Range(0.5, 2).Draw(t, "factor")
		var low, high float64
		for _, w := range values {
			if w > v*(1+Width) {
				low++
			}
			if w > v*(1-Width) {
				high++
			}
		}
		if got := h.CountAbove(v); got < low-1e-6 || got > high+1e-6 {
			t.Fatalf("CountAbove(%v) of %v = %v, want %v to %v", v, values, got, low, high)
		}
	})
}

func TestMergeIsUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := positive(t), positive(t)
		merged, union := fill(a), fill(slices.Concat(a, b))
		merged.Merge(fill(b))
		merged.Merge(new(Histogram))
		if math.Abs(merged.sum-union.sum) > 1e-9*union.sum {
			t.Fatalf("sum = %v, want %v", merged.sum, union.sum)
		}
		merged.sum = union.sum
		if *merged != *union {
			t.Fatal("merging differs from adding one by one")
		}
	})
}

func TestOddValues(t *testing.T) {
	h := fill([]float64{math.NaN(), -1, math.Inf(1), math.Inf(-1)})
	if h.Count() != 0 || h.Invalid() != 4 || h.Quantile(0.5) != 0 || h.Mean() != 0 {
		t.Errorf("invalid values: count %d, invalid %d, median %v", h.Count(), h.Invalid(), h.Quantile(0.5))
	}
	h = fill([]float64{0, 1e-300, 1, 1e300})
	if h.Count() != 4 || h.Clamped() != 3 {
		t.Errorf("count %d, clamped %d; want 4 and 3", h.Count(), h.Clamped())
	}
	if h.Min() != 0 || h.Max() != 1e300 || h.CountAbove(2) != 1 || h.CountAbove(math.NaN()) != 0 {
		t.Errorf("min %v, max %v, above 2: %v", h.Min(), h.Max(), h.CountAbove(2))
	}
	for _, q := range []float64{math.NaN(), -1, 0} {
		if got := h.Quantile(q); got != 0 {
			t.Errorf("Quantile(%v) = %v, want the minimum", q, got)
		}
	}
}

func TestFullBucketStays(t *testing.T) {
	h := fill([]float64{1, 1})
	h.counts[index(1)] = math.MaxUint32
	h.Add(1)
	h.Merge(fill([]float64{1}))
	if got := h.counts[index(1)]; got != math.MaxUint32 {
		t.Errorf("the full bucket holds %d", got)
	}
}

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Histogram{}); size > 16<<10 {
		t.Errorf("a histogram takes %d bytes, want at most 16 KB", size)
	}
}

func BenchmarkAdd(b *testing.B) {
	values := make([]float64, 1024)
	for i := range values {
		values[i] = 0.5 * math.Exp(0.6*math.Sin(float64(i)))
	}
	h := new(Histogram)
	b.ReportAllocs()
	for i := range b.N {
		h.Add(values[i&1023])
	}
}

func BenchmarkQuantile(b *testing.B) {
	h := new(Histogram)
	for i := range 100_000 {
		h.Add(0.5 * math.Exp(0.6*math.Sin(float64(i))))
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Quantile(0.99)
	}
}

func TestBuckets(t *testing.T) {
	var h Histogram
	for range h.Buckets() {
		t.Error("an empty histogram has a bucket")
	}
	values := []float64{0, 1, 1, 2.5, 1e300}
	for _, v := range values {
		h.Add(v)
	}
	last, n := -1.0, 0
	for upper, count := range h.Buckets() {
		if upper <= last {
			t.Errorf("bound %v after %v", upper, last)
		}
		want := 0
		for _, v := range values {
			if v >= last && v < upper || upper == bound(numBuckets) && v >= upper {
				want++
			}
		}
		if count != want {
			t.Errorf("%d values below %v, want %d", count, upper, want)
		}
		last, n = upper, n+count
	}
	if n != len(values) {
		t.Errorf("%d values in all, want %d", n, len(values))
	}
	for range h.Buckets() {
		break // yields no more
	}
}

// Zeros of either sign are the smallest value, and no zero is one.
func TestZeros(t *testing.T) {
	var h Histogram
	h.Add(math.Copysign(0, -1))
	if h.Count() != 1 || math.Signbit(h.Min()) || h.Max() != 0 {
		t.Errorf("after -0: %d values from %v to %v", h.Count(), h.Min(), h.Max())
	}
	h.Add(3)
	if h.Min() != 0 || h.Max() != 3 {
		t.Errorf("then 3: from %v to %v", h.Min(), h.Max())
	}
	h = Histogram{}
	h.Add(5)
	h.Add(4)
	if h.Min() != 4 || h.Max() != 5 {
		t.Errorf("without zeros: from %v to %v", h.Min(), h.Max())
	}
}
