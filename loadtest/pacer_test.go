package loadtest

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

// TestConstantWait has the golden values of vegeta's own constant pacer; where
// that one only says "now", this one says how late it is.
func TestConstantWait(t *testing.T) {
	tests := []struct {
		elapsed time.Duration
		hits    uint64
		want    time.Duration
	}{
		{0, 0, 10 * ms}, {time.Second, 0, -990 * ms}, {time.Second, 100, 10 * ms},
		{1500 * ms, 120, -290 * ms}, {1500 * ms, 150, 10 * ms}, {0, 1, 20 * ms},
	}
	for _, test := range tests {
		s, release := newSchedule(t.Context(), Plan{Pacer: Constant(100)}, time.Now())
		for skip := range test.hits {
			s.wait(0, skip)
		}
		got, more := s.wait(test.elapsed, test.hits)
		release()
		if got != test.want || !more {
			t.Errorf("after %v and %d hits: wait %v, want %v", test.elapsed, test.hits, got, test.want)
		}
	}
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
		for _, pacer := range []Pacer{Constant(rate), Poisson(rate, 1)} {
			p := plan(nil)
			p.Pacer = pacer
			if p.Validate() == nil {
				t.Errorf("%v is accepted", pacer)
			}
		}
	}
}

// listed is a Pacer with a list of arrivals, as a user might write one.
type listed []time.Duration

func (l listed) Arrivals() iter.Seq[time.Duration] { return slices.Values(l) }

func TestRunEndsWithItsPacer(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Requests, p.Pacer = 0, listed{0, 0, 70 * ms}
	report, results := simulate(t, p)
	if report.Sent != 3 || report.Interrupted || !results[1].Due.Equal(results[0].Due) || results[2].Due.Sub(results[0].Due) != 70*ms {
		t.Errorf("report %v", report)
	}
}
