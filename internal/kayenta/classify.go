package kayenta

import (
	"fmt"
	"math"
	"slices"
)

// Direction is the direction of change that matters for a metric.
type Direction int

const (
	Either   Direction = iota // both directions
	Increase                  // only an increase, for example of latency
	Decrease                  // only a decrease, for example of the success rate
)

// NaN is the treatment of points that are not numbers.
type NaN int

const (
	Remove  NaN = iota // remove them; "none" in the original means this too
	Replace            // replace them by 0, for example for counts of errors
)

// Measure is the measure of an effect size.
type Measure int

const (
	MeanRatio      Measure = iota // mean of the canary divided by the mean of the baseline
	CommonLanguage                // share of pairs in which the canary is larger
)

// Label is the classification of a metric. The zero value is Nodata.
type Label int

const (
	Nodata     Label = iota // an arm has no points
	NodataFail              // an arm has no points, and MustHaveData is set
	Pass
	High
	Low
)

var labelNames = []string{"Nodata", "NodataFailMetric", "Pass", "High", "Low"}

// String returns the name in Kayenta's reports.
func (l Label) String() string {
	if l >= 0 && int(l) < len(labelNames) {
		return labelNames[l]
	}
	return fmt.Sprintf("Label(%d)", int(l))
}

// Metric configures the classification of one metric. The zero value has the defaults of
// the original.
type Metric struct {
	Name string
	// Groups lists the groups of the metric for the score.
	Groups    []string
	Direction Direction
	NaN       NaN
	// RemoveOutliers removes points that lie more than OutlierFactor interquartile
	// ranges outside the quartiles. OutlierFactor defaults to 3.
	RemoveOutliers bool
	OutlierFactor  float64
	// Tolerance is the share of the estimated shift that the near end of its interval
	// must exceed. Default 0.25.
	Tolerance float64
	// Confidence is the confidence of the interval. Default 0.98.
	Confidence float64
	// Measure is the measure of the effect. An effect matters if it is at least
	// AllowedIncrease, or at most AllowedDecrease. Both default to 1 for MeanRatio and
	// to 0.5 for CommonLanguage. The effect is ignored if it is NaN, because a mean is 0.
	Measure                          Measure
	AllowedIncrease, AllowedDecrease float64
	// Critical means that the score is 0 if the metric does not pass and its effect
	// reaches CriticalIncrease or CriticalDecrease, which have the same defaults.
	Critical                           bool
	CriticalIncrease, CriticalDecrease float64
	// MustHaveData means that a metric without points fails, instead of being ignored.
	MustHaveData bool
}

// Result is the classification of a metric.
type Result struct {
	Metric string
	Groups []string
	Label  Label
	// Critical means that this result makes the score 0.
	Critical bool
	// Interval is zero if no test was necessary.
	Interval
	// Effect is the effect in the metric's Measure, or NaN.
	Effect float64
}

// Validate returns an error for the first field of m with an invalid value.
func (m Metric) Validate() error {
	for _, f := range []struct {
		name    string
		value   float64
		ok      bool
		between string
	}{
		{"Tolerance", m.Tolerance, m.Tolerance >= 0 && m.Tolerance <= 1, "0 to 1"},
		{"Confidence", m.Confidence, m.Confidence >= 0 && m.Confidence < 1, "0 to below 1"},
		{"OutlierFactor", m.OutlierFactor, m.OutlierFactor >= 0, "0 or more"},
		{"AllowedIncrease", m.AllowedIncrease, m.AllowedIncrease >= 0, "0 or more"},
		{"AllowedDecrease", m.AllowedDecrease, m.AllowedDecrease >= 0, "0 or more"},
		{"CriticalIncrease", m.CriticalIncrease, m.CriticalIncrease >= 0, "0 or more"},
		{"CriticalDecrease", m.CriticalDecrease, m.CriticalDecrease >= 0, "0 or more"},
	} {
		if !f.ok {
			return fmt.Errorf("kayenta: metric %q: %s: out of range (have %v, want %s)", m.Name, f.name, f.value, f.between)
		}
	}
	return nil
}

// Classify compares the points of the canary with the points of the baseline. m must be
// valid.
func (m Metric) Classify(canary, baseline []float64) Result {
	r := Result{Metric: m.Name, Groups: m.Groups, Label: Pass, Effect: math.NaN()}
	x, y := m.clean(canary), m.clean(baseline)
	if len(x) == 0 || len(y) == 0 {
		switch {
		case m.NaN == Replace: // no points count as zeros
		case m.MustHaveData:
			r.Label, r.Critical = NodataFail, m.Critical
		default:
			r.Label, r.Critical = Nodata, m.Critical
		}
		return r
	}
	r.Effect = m.effect(x, y)
	slices.Sort(x)
	slices.Sort(y)
	if slices.Equal(x, y) || x[0] == x[len(x)-1] && y[0] == y[len(y)-1] && x[0] == y[0] {
		return r
	}
	r.Interval = MannWhitney(x, y, zero(m.Confidence, 0.98))
	bound := zero(m.Tolerance, 0.25) * math.Abs(r.Estimate)
	reached := func(increase, decrease float64, label Label) bool {
		none := 1.0
		if m.Measure == CommonLanguage {
			none = 0.5
		}
		switch {
		case math.IsNaN(r.Effect):
			return true
		case label == High:
			return r.Effect >= zero(increase, none)
		}
		return r.Effect <= zero(decrease, none)
	}
	switch {
	case m.Direction != Decrease && r.Low > bound && reached(m.AllowedIncrease, m.AllowedDecrease, High):
		r.Label = High
	case m.Direction != Increase && r.High < -bound && reached(m.AllowedIncrease, m.AllowedDecrease, Low):
		r.Label = Low
	default:
		return r
	}
	r.Critical = m.Critical && reached(m.CriticalIncrease, m.CriticalDecrease, r.Label)
	return r
}

// effect returns the size of the effect, or NaN.
func (m Metric) effect(x, y []float64) float64 {
	if m.Measure == CommonLanguage {
		above := 0.0
		for _, v := range x {
			for _, w := range y {
				switch {
				case v > w:
					above++
				case v == w:
					above += 0.5
				}
			}
		}
		return above / float64(len(x)*len(y))
	}
	mx, _ := moments(x)
	my, _ := moments(y)
	if mx == 0 || my == 0 {
		return math.NaN()
	}
	return mx / my
}

// zero returns v, or the default if it is 0.
func zero(v, def float64) float64 {
	if v == 0 {
		return def
	}
	return v
}
