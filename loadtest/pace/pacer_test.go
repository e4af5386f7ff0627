package pace

import (
	"iter"
	"math"
	"slices"
	"testing"
	"time"
)

func take(seq iter.Seq[time.Duration], n int) []time.Duration {
	var out []time.Duration
	for at := range seq {
		if out = append(out, at); len(out) == n {
			break
		}
	}
	return out
}

func TestConstantDoesNotDrift(t *testing.T) {
	for _, rate := range []float64{0.5, 3, 300_000. / 7, 100_000} {
		const n = 100_000
		got := take(Constant(rate).Arrivals(), n)[n-1]
		if want := n / rate; math.Abs(got.Seconds()-want) > 1e-8 {
			t.Errorf("arrival %d at %v/s is at %v, want %vs", n, rate, got, want)
		}
	}
}

func TestPoissonHasExponentialGaps(t *testing.T) {
	const n, rate = 100_000, 50.
	at := take(Poisson(rate, 9).Arrivals(), n)
	var sum, squares float64
	for i, last := 0, time.Duration(0); i < n; i++ {
		gap := (at[i] - last).Seconds() * rate
		if gap < 0 {
			t.Fatalf("arrival %d lies before the one before", i)
		}
		sum, squares, last = sum+gap, squares+gap*gap, at[i]
	}
	mean := sum / n
	if cv := math.Sqrt(squares/n-mean*mean) / mean; math.Abs(mean-1) > 0.02 || math.Abs(cv-1) > 0.03 {
		t.Errorf("mean gap %.3f, coefficient of variation %.3f, want 1 and 1", mean, cv)
	}
	if !slices.Equal(at[:100], take(Poisson(rate, 9).Arrivals(), 100)) {
		t.Error("one seed, two schedules")
	}
	if slices.Equal(at[:100], take(Poisson(rate, 10).Arrivals(), 100)) {
		t.Error("two seeds, one schedule")
	}
}

func TestRatesAreChecked(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1), 1e-7, 2e5} {
		for _, pacer := range []Pacer{Constant(rate), Poisson(rate, 1), Sine(rate, 0, time.Second), Gamma(rate, 1, 1)} {
			if checkPacer("Pacer", pacer) == nil {
				t.Errorf("%v is accepted", pacer)
			}
		}
	}
}
