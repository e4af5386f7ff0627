package strategies_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

func TestSplitValidate(t *testing.T) {
	arm := func(name string, w strategies.Weight) strategies.Arm { return strategies.Arm{Name: name, Weight: w} }
	many := make([]strategies.Arm, 257)
	for _, c := range []struct {
		name string
		arms []strategies.Arm
		want []string // what the error says; nil: valid
	}{
		{"one", []strategies.Arm{arm("a", 10_000)}, nil},
		{"two", []strategies.Arm{arm("a", 9_999), arm("b", 1)}, nil},
		{"nothing for one", []strategies.Arm{arm("a", 0), arm("b", 10_000)}, nil},
		{"none", nil, []string{"Split.Arms is 0"}},
		{"too many", many, []string{"Split.Arms is 257"}},
		{"short", []strategies.Arm{arm("a", 9_000), arm("b", 999)}, []string{"Split.Arms is 99.99% in all"}},
		{"all zero", []strategies.Arm{arm("a", 0), arm("b", 0)}, []string{"Split.Arms is 0% in all"}},
		{"overflow", []strategies.Arm{arm("a", math.MaxUint32), arm("b", 10_001)}, []string{"Split.Arms is 42949672.95% in all"}},
		{"twice", []strategies.Arm{arm("a", 5_000), arm("a", 5_000)}, []string{"Split.Arms[1].Name is a"}},
		{"several", []strategies.Arm{arm("", 1), arm("b", 1), arm("b", 1)}, []string{"Arms[0].Name", "Arms[2].Name", "is 0.03%"}},
	} {
		err := strategies.Split{Arms: c.arms}.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: Validate = %v", c.name, err)
			continue
		}
		var invalid *checks.InvalidError
		if err != nil && !errors.As(err, &invalid) {
			t.Errorf("%s: %v holds no InvalidError", c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", c.name, err, want)
			}
		}
	}
}

func drawWeights(t *rapid.T) []strategies.Weight {
	shares := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 8).Draw(t, "shares")
	shares[0]++ // not all zero
	weights, err := strategies.Shares(shares...)
	if err != nil {
		t.Fatal(err)
	}
	return weights
}

func split(weights ...strategies.Weight) strategies.Split {
	s := strategies.Split{}
	for i, w := range weights {
		s.Arms = append(s.Arms, strategies.Arm{Name: string(rune('a' + i)), Weight: w})
	}
	return s
}

func TestSlotsHoldTheWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := split(drawWeights(t)...)
		counts := make([]strategies.Weight, len(s.Arms))
		for _, arm := range s.Slots() {
			counts[arm]++
		}
		for i, a := range s.Arms {
			if counts[i] != a.Weight {
				t.Fatalf("arm %d has %d slots, want %d", i, counts[i], a.Weight)
			}
		}
	})
}

// TestSlotsAreMonotone: who has met the candidate at one weight meets it at
// every larger one.
func TestSlotsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		less := strategies.Weight(rapid.IntRange(0, 10_000).Draw(t, "less"))
		more := strategies.Weight(rapid.IntRange(int(less), 10_000).Draw(t, "more"))
		small, large := split(strategies.Full-less, less).Slots(), split(strategies.Full-more, more).Slots()
		for i := range small {
			if small[i] == 1 && large[i] != 1 {
				t.Fatalf("slot %d leaves the candidate when its weight grows from %d to %d", i, less, more)
			}
		}
	})
}

func TestSlotIsUniform(t *testing.T) {
	if a, b := strategies.Slot(0), strategies.Slot(math.MaxUint64); a != 0 || b != 9_999 {
		t.Errorf("Slot(0), Slot(max) = %d, %d; want 0, 9999", a, b)
	}
	const step = math.MaxUint64 / 1_000_000
	counts := make([]int, strategies.Full)
	for i := range uint64(1_000_000) {
		counts[strategies.Slot(i*step)]++
	}
	for slot, n := range counts {
		if n < 99 || n > 101 {
			t.Fatalf("slot %d has %d of a million evenly spread hashes, want 100", slot, n)
		}
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want []strategies.Weight
	}{
		{[]float64{1}, []strategies.Weight{10_000}},
		{[]float64{90, 10}, []strategies.Weight{9_000, 1_000}},
		{[]float64{1, 1, 1}, []strategies.Weight{3_334, 3_333, 3_333}},
		{[]float64{0, 1, 0}, []strategies.Weight{0, 10_000, 0}},
		{[]float64{2, 1, 1, 2}, []strategies.Weight{3_333, 1_667, 1_667, 3_333}},
		{[]float64{1e-9, 1e9}, []strategies.Weight{0, 10_000}},
	} {
		got, err := strategies.Shares(c.in...)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("Shares(%v): %v (-want +got):\n%s", c.in, err, diff)
		}
	}
	for _, in := range [][]float64{nil, {0, 0}, {-1, 2}, {math.NaN(), 1}, {math.Inf(1), 1}} {
		var invalid *checks.InvalidError
		if got, err := strategies.Shares(in...); !errors.As(err, &invalid) {
			t.Errorf("Shares(%v) = %v, %v; want an InvalidError", in, got, err)
		}
	}
}

func TestSharesSumToFull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum strategies.Weight
		for _, w := range drawWeights(t) {
			sum += w
		}
		if sum != strategies.Full {
			t.Fatalf("weights sum to %d", sum)
		}
	})
}

func TestRollBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := split(drawWeights(t)...)
		back := s.RollBack()
		if err := back.Validate(); err != nil || back.Weight(s.Baseline()) != strategies.Full {
			t.Fatalf("RollBack of %v = %v, %v", s, back, err)
		}
	})
}

func TestWeightString(t *testing.T) {
	for w, want := range map[strategies.Weight]string{0: "0%", 1: "0.01%", 10: "0.1%", 250: "2.5%", 505: "5.05%", 2500: "25%", 10_000: "100%"} {
		if got := w.String(); got != want {
			t.Errorf("Weight(%d) = %q, want %q", w, got, want)
		}
	}
}
