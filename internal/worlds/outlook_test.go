package worlds_test

import (
	"math"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/worlds"
)

// outlookWorld is about the forecast, which is held against simulated medians instead of
// a bound.
const outlookWorld = 25

// TestOutlookOfLittleTraffic plays the world of 200 requests a day and compares the
// forecast of the median with the simulated one.
func TestOutlookOfLittleTraffic(t *testing.T) {
	alone(t)
	t.Parallel()
	regressions := map[string]analysis.Regression{
		"errors x2":  {Name: "errors x2", Metrics: []string{analysis.ErrorRate().Name}, To: .02},
		"times x1.3": {Name: "times x1.3", Metrics: []string{analysis.TTFT().Name, analysis.ITL().Name, analysis.Latency().Name}, Times: 1.3},
	}
	for _, w := range worlds.All() {
		if w.Number != outlookWorld {
			continue
		}
		t.Run(w.Variant, func(t *testing.T) {
			if *runs > 0 {
				w.Runs = *runs
			}
			outlook, err := (analysis.Plan{}).Outlook(analysis.Traffic{PerSecond: w.PerSecond, Share: w.Split[0].Shares[worlds.Candidate]}, regressions[w.Variant])
			if err != nil {
				t.Fatal(err)
			}
			forecast := outlook.Harmed[0]
			all := make([]worlds.Result, w.Runs)
			for i := range all {
				all[i] = rollout(t, &w, i+1)
			}
			simulated := worlds.MedianHarmed(all)
			t.Logf("%s: forecast %d requests in %v, simulated %g, %d runs", w.ID(), forecast.Median, forecast.Time, simulated, len(all))
			if ratio := float64(forecast.Median) / simulated; forecast.Never || !(math.Abs(math.Log(ratio)) <= math.Log(1.5)+allowance(all)) {
				t.Errorf("the forecast is %.2f times the simulated median (never: %v), want a factor of 1.5 at most", ratio, forecast.Never)
			}
		})
	}
}

// allowance returns three standard errors of the logarithm of the median of results.
func allowance(results []worlds.Result) float64 {
	var sum, squares, n float64
	for _, r := range results {
		if r.Harmed > 0 {
			l := math.Log(float64(r.Harmed))
			sum, squares, n = sum+l, squares+l*l, n+1
		}
	}
	if n == 0 {
		return 0
	}
	// The median of a normal distribution has a standard error of 1.25 sd/sqrt(n).
	return 3 * 1.25 * math.Sqrt(max(squares/n-sum*sum/n/n, 0)/n)
}
