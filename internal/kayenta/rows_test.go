package kayenta

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Tests named by row hold what the test suites of the original, scipy and
// statsmodels expect.

func near(t *testing.T, name string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.10g, want %.10g", name, got, want)
	}
}

func TestRow1Interval(t *testing.T) {
	canary, baseline := []float64{10, 20, 30, 40}, []float64{1, 2, 3, 4}
	want := Interval{Low: 6, High: 39, Estimate: 22.5}
	if diff := cmp.Diff(want, MannWhitney(canary, baseline, 0.95), cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("interval (-want +got):\n%s", diff)
	}
	near(t, "z(0)", Statistic(canary, baseline, 0), 2.165064, 5e-7)
}

func TestRow7Quantile(t *testing.T) {
	near(t, "z at 0.01", -math.Sqrt2*math.Erfinv(0.98), -2.326348, 5e-7)
}

var (
	ones     = []float64{1, 1, 1, 1, 1}
	tens     = []float64{10, 10, 10, 10, 10}
	zeros    = make([]float64, 5)
	fifties  = []float64{54.9, 54.5, 55.1, 55.6, 57.4}
	twenties = []float64{20, 22, 21, 25, 30}
	small    = []float64{1, 2.2, 1.1, 2.5, 3}
	up, down = []float64{1, 2, 3, 4, 5}, []float64{5, 4, 3, 2, 1}
)

func TestClassifyRows(t *testing.T) {
	strict := func(m Metric) Metric {
		m.Tolerance, m.Confidence = 0.1, 0.95
		return m
	}
	for _, tt := range []struct {
		row              string
		metric           Metric
		canary, baseline []float64
		label            Label
		critical         bool
		interval         Interval // checked if not zero
	}{
		{"9", Metric{AllowedDecrease: 0.8, AllowedIncrease: 13}, twenties, small, Pass, false, Interval{}},
		{"9, at 1.2", Metric{AllowedDecrease: 0.8, AllowedIncrease: 1.2}, twenties, small, High, false, Interval{}},
		{"11", Metric{}, tens, ones, High, false, Interval{9, 9, 9}},
		{"13", Metric{AllowedDecrease: 0.8, AllowedIncrease: 1.2}, fifties, zeros, High, false, Interval{54.5, 57.4, 55.1}},
		{"15", Metric{}, []float64{1, 1, 1, 1, 10}, ones, Pass, false, Interval{0, 9, 0}},
		{"17", Metric{}, up, down, Pass, false, Interval{}},
		{"19, remove", Metric{}, nil, up, Nodata, false, Interval{}},
		{"19, remove, critical", Metric{Critical: true}, nil, up, Nodata, true, Interval{}},
		{"19, replace", Metric{NaN: Replace}, nil, up, Pass, false, Interval{}},
		{"19, must have data", Metric{MustHaveData: true}, nil, up, NodataFail, false, Interval{}},
		{"21, high", Metric{Direction: Decrease}, twenties, small, Pass, false, Interval{}},
		{"21, low", Metric{Direction: Increase}, small, twenties, Pass, false, Interval{}},
		{"21, low, either", Metric{}, small, twenties, Low, false, Interval{}},
		{"21, low, decrease", Metric{Direction: Decrease}, small, twenties, Low, false, Interval{}},
		{"ties of different lengths", Metric{}, []float64{1, 1, 1}, []float64{1, 1}, Pass, false, Interval{}},
		{"a leading zero", Metric{}, []float64{0, 1, 1, 1, 1}, ones, Pass, false, Interval{}},
		{"common language, high", Metric{Measure: CommonLanguage}, twenties, small, High, false, Interval{}},
		{"common language, out of reach", Metric{Measure: CommonLanguage, AllowedIncrease: 1.1}, twenties, small, Pass, false, Interval{}},
		{"critical", Metric{Critical: true}, twenties, small, High, true, Interval{}},
		{"critical from 13 on", Metric{Critical: true, CriticalIncrease: 13}, twenties, small, High, false, Interval{}},
	} {
		got := strict(tt.metric).Classify(tt.canary, tt.baseline)
		if got.Label != tt.label || got.Critical != tt.critical {
			t.Errorf("row %s: %v, critical %v, want %v, %v", tt.row, got.Label, got.Critical, tt.label, tt.critical)
		}
		if tt.interval != (Interval{}) {
			if diff := cmp.Diff(tt.interval, got.Interval, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Errorf("row %s: interval (-want +got):\n%s", tt.row, diff)
			}
		}
	}
	near(t, "row 9: mean ratio", Metric{}.Classify(twenties, small).Effect, 12.04, 0.005)
	if e := (Metric{}).Classify(fifties, zeros).Effect; !math.IsNaN(e) {
		t.Errorf("row 13: effect %v, want NaN", e)
	}
}

func TestRow23Percentile(t *testing.T) {
	v := []float64{3.5, 0, 0.5, 1, 1.5, 2, 2.5, 3}
	for p, want := range map[float64]float64{5: 0.175, 50: 1.75, 100: 3.5, 0: 0} {
		near(t, "percentile", Percentile(v, p), want, 1e-12)
	}
	if p := Percentile(nil, 50); !math.IsNaN(p) {
		t.Errorf("the median of nothing is %v", p)
	}
}

func TestRow25And27Moments(t *testing.T) {
	mean, sd := moments([]float64{1, 1, 1, 10, 10, 10})
	near(t, "mean", mean, 5.5, 1e-12)
	near(t, "standard deviation", sd, 4.9295, 5e-5)
	near(t, "Cohen's d", CohenD([]float64{5, 5, 5, 10, 10, 10}, []float64{1, 1, 1, 2, 2, 2}), 3.03821, 1e-5)
}

func TestRow29Outliers(t *testing.T) {
	v := []float64{21, 23, 24, 25, 50, 29, 23, 21}
	want := []bool{false, false, false, false, true, false, false, false}
	if diff := cmp.Diff(want, Outliers(v, 1.5, false)); diff != "" {
		t.Errorf("outliers (-want +got):\n%s", diff)
	}
	if wide := Outliers(v, 1.5, true); slices.Contains(wide, true) {
		t.Errorf("of 8 values, %v lie outside the 1st and 99th percentile", wide)
	}
}

func TestScoreRows(t *testing.T) {
	of := func(group string, labels ...Label) (rs []Result) {
		for _, l := range labels {
			rs = append(rs, Result{Label: l, Groups: []string{group}})
		}
		return rs
	}
	join := func(rs ...[]Result) []Result { return slices.Concat(rs...) }
	halves := map[string]float64{"a": 50, "b": 50}
	for _, tt := range []struct {
		row     string
		results []Result
		weights map[string]float64
		want    float64
	}{
		{"31, P", of("a", Pass), nil, 100},
		{"31, H", of("a", High), nil, 0},
		{"31, P+H", of("a", Pass, High), nil, 50},
		{"31, P+H+L", of("a", Pass, High, Low), nil, 33.33},
		{"33, {P,P}/{Nodata}", join(of("a", Pass, Pass), of("b", Nodata)), nil, 100},
		{"33, weights 50/50", join(of("a", Pass, Nodata), of("b", High)), halves, 50},
		{"33, {Nodata}", of("a", Nodata), nil, 0},
		{"35", join(of("a", High, Low, Pass), of("b", High)), map[string]float64{"a": 15, "b": 85}, 5},
		{"one weight, the rest shared", join(of("a", Pass), of("b", High), of("c", Pass)), map[string]float64{"a": 40}, 70},
		{"data that had to be there", of("a", Pass, NodataFail), nil, 50},
		{"critical", join(of("a", Pass), []Result{{Label: High, Critical: true, Groups: []string{"a"}}}), nil, 0},
		{"critical that passes", join(of("a", Low), []Result{{Label: Pass, Critical: true, Groups: []string{"a"}}}), nil, 50},
		{"nothing", nil, nil, 0},
	} {
		if got, _ := Score(tt.results, tt.weights); got != tt.want {
			t.Errorf("row %s: %v, want %v", tt.row, got, tt.want)
		}
	}
}

func TestRow77And79MannWhitney(t *testing.T) {
	p := func(x, y []float64) float64 { return math.Erfc(math.Abs(Statistic(x, y, 0)) / math.Sqrt2) }
	near(t, "row 77", p([]float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}), .111346887, 5e-10)
	near(t, "row 79", p([]float64{1, 1, 2, 3, 3}, []float64{1, 2, 2, 4, 5, 5}), .3040493257, 5e-11)
}

func TestValidate(t *testing.T) {
	for _, m := range []Metric{
		{Tolerance: -1}, {Confidence: 1}, {OutlierFactor: math.NaN()}, {AllowedIncrease: -1}, {CriticalDecrease: -1},
	} {
		if m.Validate() == nil {
			t.Errorf("%+v is valid", m)
		}
	}
	if err := (Metric{}).Validate(); err != nil {
		t.Errorf("the zero metric: %v", err)
	}
}
