package evalue

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The recursions written down naively, where nothing overflows.
func TestDetectorDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Float64Range(-2, 2), 1, 30).Draw(t, "ln e")
		var d Detector
		sr, cusum := 0.0, 0.0
		for i, l := range steps {
			sr, cusum = (sr+1)*math.Exp(l), max(cusum, 1)*math.Exp(l)
			d.Step(l)
			if math.Abs(d.LogSR()-math.Log(sr)) > 1e-9 || math.Abs(logCUSUM(&d)-math.Log(cusum)) > 1e-9 {
				t.Fatalf("step %d: ln SR = %v and ln CUSUM = %v, want %v and %v", i, d.LogSR(), logCUSUM(&d), math.Log(sr), math.Log(cusum))
			}
			if logCUSUM(&d) > d.LogSR()+1e-9 {
				t.Fatalf("step %d: CUSUM exceeds SR", i)
			}
		}
	})
}

// logCUSUM returns ln of the CUSUM statistic, which [Detector] stores.
func logCUSUM(d *Detector) float64 { return mean(d.CUSUM) }

// runLength returns how many steps of n requests it takes until an alarm at
// 1/alpha, at most limit, where the profile says rate.
func runLength(rng *rand.Rand, alpha float64, n int, rate, truth float64, change, limit int, stat func(*Detector) float64) int {
	var d Detector
	var buf [6]float64
	for step := 1; step <= limit; step++ {
		p := rate
		if step > change {
			p = truth
		}
		d.Step(RateLogE(buf[:0], binom(rng, n, p), n, rate)...)
		if stat(&d) >= -math.Log(alpha) {
			return step
		}
	}
	return limit
}

// The mean number of steps until a false alarm is at least 1/alpha, and the
// change is found when there is one.
func TestDetectorRunLength(t *testing.T) {
	const alpha, runs = 0.01, 300
	for name, stat := range map[string]func(*Detector) float64{"Shiryaev-Roberts": (*Detector).LogSR, "CUSUM": logCUSUM} {
		var quiet, delay float64
		for i := range uint64(runs) {
			rng := rand.New(rand.NewPCG(1, i))
			// Cut short runs make the mean smaller, not larger.
			quiet += float64(runLength(rng, alpha, 50, 0.02, 0.02, 0, 2000, stat)) / runs
			delay += float64(runLength(rng, alpha, 50, 0.02, 0.1, 0, 2000, stat)) / runs
		}
		t.Logf("%-17s average run length %.0f steps, delay of 2 -> 10 %% %.1f steps of 50", name, quiet, delay)
		if quiet < 1/alpha {
			t.Errorf("%s: average run length %.0f, want at least %.0f", name, quiet, 1/alpha)
		}
		if delay > 5 {
			t.Errorf("%s: mean delay %.1f steps", name, delay)
		}
	}
}

func TestDetectorBadSteps(t *testing.T) {
	var d Detector
	if !math.IsInf(d.LogSR(), -1) || !math.IsInf(logCUSUM(&d), -1) {
		t.Error("a detector that has seen nothing has evidence")
	}
	d.Step()
	d.Step(0.5, 1)
	before := Detector{SR: []float64{d.SR[0], d.SR[1]}, CUSUM: []float64{d.CUSUM[0], d.CUSUM[1]}, Steps: 1}
	d.Step(1)
	d.Step(1, math.NaN())
	d.Step(math.Inf(1), 0)
	if diff := cmp.Diff(before, d); diff != "" {
		t.Errorf("impossible steps have changed the detector (-want +got):\n%s", diff)
	}
	d.Step(math.Inf(-1), math.Inf(-1)) // an e-value of 0: everything begins afresh
	d.Step(math.Log(3), math.Log(3))
	near(t, "SR after an e-value of 0", d.LogSR(), math.Log(3), 1e-12)
	for range 1000 {
		d.Step(50, 50)
	}
	if data, err := json.Marshal(d); err != nil || math.IsInf(d.LogSR(), 0) {
		t.Errorf("after overwhelming evidence: %s, %v", data, err)
	}
	for _, l := range RateLogE(nil, 3, 2, 0.1) {
		near(t, "more events than requests", l, 0, 0)
	}
	for _, rate := range []float64{0, 1, -1, math.NaN()} {
		for _, l := range RateLogE(nil, 1, 2, rate) {
			near(t, "an impossible rate", l, 0, 0)
		}
	}
}

// E[exp(RateLogE)] is 1 at the rate and less below it.
func TestRateLogEIsEValue(t *testing.T) {
	for _, truth := range []float64{0.001, 0.05, 0.1} {
		sum := make([]float64, len(worse))
		for x := range 41 {
			for j, l := range RateLogE(nil, x, 40, 0.1) {
				sum[j] += binomial(40, x, truth) * math.Exp(l)
			}
		}
		for j, e := range sum {
			if e > 1+1e-9 || truth == 0.1 && math.Abs(e-1) > 1e-9 {
				t.Errorf("alternative %d has expectation %v at a rate of %v", j, e, truth)
			}
		}
	}
}

func TestPSICalibration(t *testing.T) {
	const runs, n, m, bins = 2000, 3000, 500, 10
	rng := rand.New(rand.NewPCG(7, 7))
	over := 0
	for range runs {
		var base, cand [bins]int
		for range n {
			base[rng.IntN(bins)]++
		}
		for range m {
			cand[rng.IntN(bins)]++
		}
		if index, limit := PSI(base[:], cand[:], 0.01); index > limit {
			over++
		}
	}
	share := float64(over) / runs
	t.Logf("PSI above its 99 %% limit in %.4f of the cases", share)
	if share > 0.02 || share < 0.003 {
		t.Errorf("PSI is above its limit in %.4f of the cases, want about 0.01", share)
	}
}

func TestPSIEdges(t *testing.T) {
	index, limit := PSI([]int{0, 50, 0, 50}, []int{0, 50, 0, 50}, 0.01)
	if index != 0 || math.IsInf(limit, 0) {
		t.Errorf("equal, with empty bins: %v, limit %v", index, limit)
	}
	if index, limit := PSI([]int{0, 500}, []int{400, 100}, 0.01); !(index > limit) || math.IsInf(index, 0) {
		t.Errorf("a new category: index %v, limit %v", index, limit)
	}
	for name, c := range map[string][2][]int{
		"lengths": {{1}, {1, 2}}, "negative": {{1, -1}, {1, 1}}, "none": {{0, 0}, {1, 1}}, "nil": {}, "one bin": {{5}, {6}},
	} {
		if index, limit := PSI(c[0], c[1], 0.01); index != 0 || !math.IsInf(limit, 1) {
			t.Errorf("%s: index %v, limit %v, want 0 and +Inf", name, index, limit)
		}
	}
	if _, limit := PSI([]int{5, 5}, []int{5, 5}, 0); !math.IsInf(limit, 1) {
		t.Errorf("alpha 0: limit %v", limit)
	}
}
