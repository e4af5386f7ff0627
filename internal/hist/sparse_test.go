package hist

import (
	"math"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func sparse(values []float64) *Sparse {
	s := new(Sparse)
	for _, v := range values {
		s.Add(v)
	}
	return s
}

// used returns the buckets of s by their upper bounds.
func used(s *Sparse) map[float64]uint64 {
	all := make(map[float64]uint64)
	for from, n := range s.Buckets() {
		all[Upper(from)] += n
	}
	return all
}

func TestSparseHasTheBucketsOfHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(
			rapid.Float64Range(1e-9, 1e8), rapid.Just(0.0), rapid.Just(math.Copysign(0, -1)), rapid.Just(1e300), rapid.Just(math.NaN()), rapid.Just(-1.0), rapid.Just(math.Inf(1)),
		)).Draw(t, "values")
		want, got := fill(values), sparse(values)
		if got.Count() != want.Count() || got.Sum() != want.Sum() {
			t.Fatalf("%d values with the sum %v, want %d and %v", got.Count(), got.Sum(), want.Count(), want.Sum())
		}
		buckets := used(got)
		for upper, n := range want.Buckets() {
			if buckets[upper] != uint64(n) {
				t.Fatalf("%d values below %v, want %d", buckets[upper], upper, n)
			}
			delete(buckets, upper)
		}
		if len(buckets) > 0 {
			t.Fatalf("buckets that should be empty: %v", buckets)
		}
	})
}

func TestSparseMergeIsUnion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := positive(t), positive(t)
		merged, union, other := sparse(a), sparse(append(a, b...)), sparse(b)
		merged.Merge(other)
		merged.Merge(new(Sparse))
		if merged.Count() != union.Count() || math.Abs(merged.Sum()-union.Sum()) > 1e-9*union.Sum() {
			t.Fatalf("%d values with the sum %v, want %d and %v", merged.Count(), merged.Sum(), union.Count(), union.Sum())
		}
		got, want := used(merged), used(union)
		for upper, n := range want {
			if got[upper] != n {
				t.Fatalf("%d values below %v, want %d", got[upper], upper, n)
			}
		}
		if again := sparse(b); other.Count() != again.Count() {
			t.Fatal("merging has changed the other histogram")
		}
	})
}

func TestSparseSize(t *testing.T) {
	var s Sparse
	if size := unsafe.Sizeof(s) + octaves*unsafe.Sizeof(*s.octave(0)); size > 33<<10 {
		t.Errorf("a full histogram takes %d bytes, want at most 33 KB", size)
	}
	for range s.Buckets() {
		t.Error("an octave without values has a bucket")
	}
	s.Add(1)
	s.Add(2)
	for range s.Buckets() {
		break // yields no more
	}
}
