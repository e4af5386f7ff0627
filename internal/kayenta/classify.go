package kayenta

import (
	"fmt"
	"math"
	"slices"
)

// Direction says which changes of a metric matter.
type Direction int

const (
	Either   Direction = iota // both
	Increase                  // only that it becomes larger, such as latency
	Decrease                  // only that it becomes smaller, such as success
)

// NaN says what becomes of points that are not numbers.
type NaN int

const (
	Remove  NaN = iota // leave them out; the original's "none" means this too
	Replace            // count them as 0, such as errors that did not happen
)

// Measure is how the size of an effect is expressed.
type Measure int

const (
	MeanRatio      Measure = iota // the canary's mean over the baseline's
	CommonLanguage                // the share of pairs in which the canary is larger
)

// Label is the classification of a metric. The zero value is Nodata.
type Label int

const (
	Nodata     Label = iota // one of the arms has no points
	NodataFail              // the same, where there had to be some
	Pass
	High
	Low
)

var labelNames = []string{"Nodata", "NodataFailMetric", "Pass", "High", "Low"}

// String returns the name that Kayenta's reports use.
func (l Label) String() string {
	if l >= 0 && int(l) < len(labelNames) {
		return labelNames[l]
	}
	return fmt.Sprintf("Label(%d)", int(l))
}

// Metric says how the points of one metric are classified. The zero value has
// the defaults of the original.
type Metric struct {
	Name string
	// Groups are the groups in which the metric is scored.
	Groups    []string
	Direction Direction
	NaN       NaN
	// RemoveOutliers leaves out points beyond OutlierFactor times the range
	// between the quartiles. A zero factor means 3.
	RemoveOutliers bool
	OutlierFactor  float64
	// Tolerance is the share of the estimated shift that the near end of its
	// interval must exceed. Zero means 0.25.
	Tolerance float64
	// Confidence is that of the interval. Zero means 0.98.
	Confidence float64
	// Measure is how effects are measured; an effect must reach AllowedIncrease,
	// or be down to AllowedDecrease, to matter. Zero means 1 for a ratio of
	// means and 0.5 for the common language effect size. The effect is passed
	// over where it is not a number: where either mean is 0.
	Measure                          Measure
	AllowedIncrease, AllowedDecrease float64
	// Critical metrics make the whole score 0 when they do not pass, if their
	// effect reaches CriticalIncrease or CriticalDecrease, which have the same
	// defaults.
	Critical                           bool
	CriticalIncrease, CriticalDecrease float64
	// MustHaveData makes a metric without points fail instead of being passed
	// over.
	MustHaveData bool
}

// Result is the classification of a metric and what it rests on.
type Result struct {
	Metric string
	Groups []string
	Label  Label
	// Critical says that this result alone makes the score 0.
	Critical bool
	// Interval is the zero value where no test was needed.
	Interval
	// Effect is in terms of the metric's Measure; NaN if it has none.
	Effect float64
}

// Validate reports the first field of m that has an impossible value.
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
			return fmt.Errorf("kayenta: metric %q: %s is %v, want %s", m.Name, f.name, f.value, f.between)
		}
	}
	return nil
}

// Classify compares the points of the canary with those of the baseline. m is
// valid.
func (m Metric) Classify(canary, baseline []float64) Result {
	r := Result{Metric: m.Name, Groups: m.Groups, Label: Pass, Effect: math.NaN()}
	x, y := m.clean(canary), m.clean(baseline)
	if len(x) == 0 || len(y) == 0 {
		switch {
		case m.NaN == Replace: // no points are as good as zeros
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
