package analysis

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The outlook is right: medians and 90th percentiles of simulated rollouts.
func TestOutlookIsCalibrated(t *testing.T) {
	alone(t)
	n := max(*runs/4, 15)
	for _, share := range []float64{0.5, 0.1} {
		o, err := (Plan{}).Outlook(Traffic{PerSecond: 10, Share: share, Spread: 0.6})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name    string
			want    Expectation
			verdict Verdict
			change  func(l *load, look int)
		}{
			{"5 % errors", o.Harmed[0], Harmed, func(l *load, _ int) { l.errors[cand] = 0.05 }},
			{"2 % errors", o.Harmed[1], Harmed, func(l *load, _ int) { l.errors[cand] = 0.02 }},
			{"times +50 %", o.Harmed[2], Harmed, func(l *load, _ int) { l.slower = 1.5 }},
			{"times +10 %", o.Harmed[3], Harmed, func(l *load, _ int) { l.slower = 1.1 }},
			{"equal", o.Safe, Safe, noChange},
		} {
			if share < 0.5 && tt.want.Median > 1000 && *runs <= 100 {
				continue // takes long
			}
			if strings.HasPrefix(tt.name, "times") {
				// It is not said how long answers take: 4 s nearly all, of ten requests each.
				tt.want.Median += 40
				tt.want.P90 += 40
			}
			size := int(10 / share)
			s := scenario{name: tt.name, looks: 800, size: size, change: func(l *load, look int) { l.share = share; tt.change(l, look) }}
			needed := make([]int, n)
			for i := range needed {
				if needed[i] = s.rollout(t, uint64(i), Plan{Breakers: []Breaker{}}, tt.verdict); needed[i] < 0 {
					needed[i] = math.MaxInt
				}
			}
			slices.Sort(needed)
			median, p90 := needed[n/2], needed[n*9/10]
			t.Logf("share %v, %-12s expected %5d, median %5d (simulated %5d), p90 %5d (simulated %5d)",
				share, tt.name, tt.want.Requests, tt.want.Median, median, tt.want.P90, p90)
			near := func(forecast, simulated int, by float64) bool {
				return float64(forecast) <= by*float64(simulated)+20 && float64(simulated) <= by*float64(forecast)+20
			}
			// The simulations themselves are uncertain by a fifth or so.
			if !near(tt.want.Median, median, 1.6) || p90 < math.MaxInt && !near(tt.want.P90, p90, 2.2) {
				t.Errorf("share %v, %s: forecast %d and %d, simulated %d and %d", share, tt.name, tt.want.Median, tt.want.P90, median, p90)
			}
		}
	}
}

// What should take longer does.
func TestOutlookOrder(t *testing.T) {
	at := func(p Plan, tr Traffic, rs ...Regression) Outlook {
		t.Helper()
		o, err := p.Outlook(tr, rs...)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	usual := Traffic{PerSecond: 10, Share: 0.5}
	o := at(Plan{}, usual)
	if !(o.Harmed[0].P90 < o.Harmed[1].P90 && o.Harmed[2].P90 < o.Harmed[3].P90 && o.Harmed[0].Median < o.Harmed[0].P90) {
		t.Errorf("%+v", o.Harmed)
	}
	if got, want := o.Safe.Time, time.Duration(float64(o.Safe.Requests)/5*1e9); (got - want).Abs() > time.Second {
		t.Errorf("%d requests take %v, want %v", o.Safe.Requests, got, want)
	}
	if strict := at(Plan{AlphaRollback: 0.001}, usual); strict.Harmed[0].Requests <= o.Harmed[0].Requests {
		t.Errorf("a smaller alpha: %+v", strict.Harmed[0])
	}
	rated := Plan{Metrics: []Metric{ErrorRate(), Satisfaction(), ThumbsUp()}}
	rare := Traffic{PerSecond: 10, Share: 0.5, Measured: map[string]float64{nameSatisfaction: 0.02, nameThumbs: 0.02}}
	worse := []Regression{
		{Name: "grades", Metrics: []string{nameSatisfaction}, To: 0.1},
		{Name: "thumbs", Metrics: []string{nameThumbs}, To: 0.8},
	}
	often, seldom := at(rated, usual, worse...), at(rated, rare, worse...)
	for i := range worse {
		if got := float64(seldom.Harmed[i].Requests) / float64(often.Harmed[i].Requests); got < 40 || got > 53 { // the seconds that all take are the same
			t.Errorf("%s: with one rating in fifty it takes %.1f times as long", worse[i].Name, got)
		}
	}
	latency := Latency()
	latency.Tolerance = Times(1.3)
	if o := at(Plan{Metrics: []Metric{latency}}, usual, Regression{Name: "a little", Metrics: []string{nameLatency}, Times: 1.1}); !o.Harmed[0].Never {
		t.Errorf("within the tolerance: %+v", o.Harmed[0])
	}
	if got := (Plan{Metrics: []Metric{Refusals()}, DangerouslyWithoutErrors: true}).NamedRegressions(); len(got) != 0 {
		t.Errorf("regressions of what is not measured: %v", got)
	}
}

func TestOutlookRefuses(t *testing.T) {
	_, err := (Plan{AlphaPromote: 3}).Outlook(Traffic{
		PerSecond: math.NaN(), Share: 1, Rates: map[string]float64{"x": 0}, Measured: map[string]float64{"y": 2}, Spread: -1, ScoreSpread: math.Inf(1),
	})
	want := []string{"Plan.AlphaPromote", "Traffic.PerSecond", "Traffic.Share", `Traffic.Rates["x"]`, `Traffic.Measured["y"]`, "Traffic.Spread", "Traffic.ScoreSpread"}
	if diff := cmp.Diff(want, invalidFields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = (Plan{}).Outlook(Traffic{PerSecond: 1, Share: 0.5},
		Regression{}, Regression{Metrics: []string{nameErrors, nameLatency}, To: 2}, Regression{Metrics: []string{nameSpeed}, Times: 2},
		Regression{Metrics: []string{nameLatency}, Times: math.NaN()})
	want = []string{"regressions[0].Metrics", "regressions[1].Metrics", "regressions[1].To", "regressions[2].Metrics", "regressions[3].Times"}
	if diff := cmp.Diff(want, invalidFields(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestOutlookOfEveryMetric: metrics of one's own have an outlook, whatever is better.
func TestOutlookOfEveryMetric(t *testing.T) {
	of := func(Observation) (float64, bool) { return 1, true }
	for _, k := range []Kind{Rate, Amount, Score} {
		for _, better := range []Direction{Lower, Higher, Same} {
			p := Plan{Metrics: []Metric{{Name: "own", Kind: k, Better: better, Of: of}}}
			traffic := Traffic{PerSecond: 100, Share: 0.5}
			out, err := p.Outlook(traffic)
			if err != nil || out.Safe.Requests <= 0 {
				t.Errorf("a %v where %v is better: %+v, %v", k, better, out.Safe, err)
			}
			if n, err := p.Exposure(traffic); err != nil || n != out.Exposure || n == 0 {
				t.Errorf("an exposure of %d, %v, want %d", n, err, out.Exposure)
			}
			if _, err := p.Exposure(Traffic{}); err == nil {
				t.Error("an exposure without traffic")
			}
		}
	}
}
