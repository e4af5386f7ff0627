package hist

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(
			rapid.Float64Range(1e-9, 1e8), rapid.Just(0.0), rapid.Just(1e300), rapid.Just(math.NaN()),
		)).Draw(t, "values")
		want := fill(values)
		data, err := want.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		got := fill([]float64{7}) // is overwritten
		if err := got.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if *got != *want {
			t.Fatalf("%v came back changed", values)
		}
		for n := range len(data) {
			if err := got.UnmarshalBinary(data[:n]); err == nil {
				// Cut between two buckets, what is left may be whole by chance,
				// but then not the same.
				if again, _ := got.MarshalBinary(); !bytes.Equal(again, data[:n]) {
					t.Fatalf("accepted %d of %d bytes", n, len(data))
				}
			}
		}
	})
}

func TestBinaryRejectsDamage(t *testing.T) {
	whole, _ := fill([]float64{1, 2, 3}).MarshalBinary()
	change := func(at int, to byte) []byte {
		data := bytes.Clone(whole)
		data[at] = to
		return data
	}
	for name, data := range map[string][]byte{
		"empty":       nil,
		"version":     change(0, 9),
		"sum":         change(8, 0xff),  // negative
		"minimum":     change(16, 0x50), // huge
		"cut":         whole[:len(whole)-1],
		"cut head":    whole[:headBytes],
		"zero count":  change(len(whole)-1, 0),
		"same bucket": append(bytes.Clone(whole), 0, 1),
		"beyond":      append(bytes.Clone(whole), 0xff, 0x7f, 1),
		"huge count":  append(bytes.Clone(whole), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
	} {
		h := fill([]float64{7})
		if err := h.UnmarshalBinary(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if *h != *fill([]float64{7}) {
			t.Errorf("%s: the histogram has changed", name)
		}
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, values := range [][]float64{nil, {1}, {0, 1e300, 1, 2, 3}, {math.NaN()}} {
		data, _ := fill(values).MarshalBinary()
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Histogram
		if h.UnmarshalBinary(data) != nil {
			return
		}
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			if v := h.Quantile(q); !(v >= h.Min() && v <= h.Max()) {
				t.Errorf("Quantile(%v) = %v of %v to %v", q, v, h.Min(), h.Max())
			}
		}
		h.Add(1)
		again, _ := h.MarshalBinary()
		var back Histogram
		if err := back.UnmarshalBinary(again); err != nil && !math.IsInf(h.sum, 1) {
			t.Errorf("accepted, but not when written again: %v", err)
		}
	})
}
