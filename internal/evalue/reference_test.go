package evalue

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The reference values were computed in Python, independently of this package.

func near(t *testing.T, name string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.9f, want %.9f", name, got, want)
	}
}

func TestTwoByTwoReference(t *testing.T) {
	for _, tt := range []struct {
		prior          float64
		xb, nb, xc, nc int
		want           []float64 // ln E after each block
	}{
		{0, 2, 200, 2, 200, []float64{-.514682, -.760336, -.923258, -1.048607, -1.152414}},
		{0.3, 6, 20, 9, 20, []float64{-.380700, -.036046, .335562, .728553}},
	} {
		test := NewTwoByTwo(tt.prior)
		for _, want := range tt.want {
			test.Block(tt.xb, tt.nb, tt.xc, tt.nc)
			near(t, "LogE", test.LogE(), want, 5e-7)
		}
	}
}

func TestAsymptoticReference(t *testing.T) {
	for _, tt := range []struct{ n, two, one float64 }{
		{1000, .106375470, .099688351},
		{5000, .042924337, .039302328},
		{10000, .030614772, .028013307},
		{100000, .010552070, .009770542},
	} {
		near(t, "two-sided", AsymptoticHalfWidth(tt.n, 1, 0.05, 5000, false), tt.two, 5e-10)
		near(t, "one-sided", AsymptoticHalfWidth(tt.n, 1, 0.05, 0, true), tt.one, 5e-10)
	}
}

func TestEBHReference(t *testing.T) {
	for _, tt := range []struct {
		e    []float64
		want int
	}{
		{[]float64{100, 50, 30, 10, 1}, 3},
		{[]float64{40, 1, 1, 1}, 1},
		{[]float64{39, 1, 1, 1}, 0},
		{[]float64{20, 20, 1, 1}, 2},
		{[]float64{60, 25, 14, 2}, 3},
		{[]float64{2, 14, 25, 60}, 3},
		{nil, 0},
	} {
		got := 0
		for i, reject := range EBH(tt.e, 0.1) {
			if reject {
				got++
			}
			if want := tt.e[i] >= 14; tt.want == 3 && len(tt.e) == 4 && reject != want {
				t.Errorf("EBH(%v) rejects the wrong ones", tt.e)
			}
		}
		if got != tt.want {
			t.Errorf("EBH(%v) rejects %d, want %d", tt.e, got, tt.want)
		}
	}
}

// The mixture written down naively, where nothing overflows.
func TestPairsDefinition(t *testing.T) {
	for w := range 30 {
		for l := range 30 {
			var e float64
			for _, odds := range []float64{1.1, 1.25, 1.5, 2, 3, 5} {
				q := odds / (1 + odds)
				e += math.Pow(2*q, float64(w)) * math.Pow(2*(1-q), float64(l)) / 6
			}
			near(t, "PairsLogE", PairsLogE(w, l), math.Log(e), 1e-12)
		}
	}
}

func TestNoEvidence(t *testing.T) {
	got := map[string]float64{
		"pairs, none":       PairsLogE(0, 0),
		"pairs, negative":   PairsLogE(-1, 0),
		"average of none":   Average(nil, nil),
		"average, weight 0": Average([]float64{5}, []float64{0}),
		"mixture of none":   logMeanExp(nil),
	}
	want := make(map[string]float64)
	for name := range got {
		want[name] = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ln E (-want +got):\n%s", diff)
	}
	if w := AsymptoticHalfWidth(0, 1, 0.05, 0, false); !math.IsInf(w, 1) {
		t.Errorf("the width of no data is %v, want infinite", w)
	}
}
