package anomaly

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/serin-go/serin/checks"
)

// Detector looks at the values of one series, in order of their times.
type Detector interface {
	// Add adds a value, and reports on it. NaN, infinities, and times that do not follow
	// the one before are Unknown and change nothing.
	Add(at time.Time, x float64) Reading
}

// Reading says what a detector makes of a value. It is plain data.
type Reading struct {
	// State is Fail for an alarm, Warn for one of a detector that has not seen enough for a
	// whole one, Pass for an ordinary value, and Unknown if the detector cannot decide.
	State checks.Status `json:"state"`
	// Score is how far the value, or what the detector follows, is from Expected, in units
	// of Limit. Negative is below. An alarm is beyond Limit.
	Score    float64 `json:"score"`
	Limit    float64 `json:"limit"`
	Value    float64 `json:"value"`
	Expected float64 `json:"expected"`
	// N is the number of values that Expected comes from.
	N int `json:"n"`
	// Reason says why State is not Pass.
	Reason string `json:"reason,omitempty"`
}

const (
	// learnAfter is how long values that alarm do not count as ordinary.
	learnAfter = 3 * time.Hour
	// gapOf is how many intervals without a value are a gap.
	gapOf = 3
	// constantRun is how many equal values are a new level of a series that was constant.
	constantRun = 3
)

// The reasons of readings.
const (
	reasonValue    = "not a number"
	reasonTime     = "the time does not follow the one before"
	reasonFew      = "too few values"
	reasonAlarm    = "beyond the limit"
	reasonEarly    = "beyond a limit that comes from few values"
	reasonConstant = "a series that was constant has another value"
)

// Tuning configures a detector. The zero value has good defaults for values of a minute.
type Tuning struct {
	// Limit is the limit of the score. Defaults are 5 for Robust and Seasonal, 4.5 for EWMA
	// and 11 for CUSUM; see [Calibrate].
	Limit float64 `json:"limit,omitempty"`
	// Window is the number of values that the expectation comes from, 4 to 10,000, and Min
	// is how many are needed. Defaults are 60 and 40 for Robust and Seasonal, and 480 for EWMA
	// and CUSUM, which give warnings from 120 values on.
	Window int `json:"window,omitempty"`
	Min    int `json:"min,omitempty"`
	// Weight is the lambda of EWMA, above 0 and at most 1, default 0.2, or the slack k of
	// CUSUM, default 0.5.
	Weight float64 `json:"weight,omitempty"`
	// Every is the time between two values. Default 1 min.
	Every time.Duration `json:"every_ns,omitempty"`
	// Resolution is the least difference between two values of the series that means
	// something. The standard deviation is never taken to be smaller. Default 0.
	Resolution float64 `json:"resolution,omitempty"`
	// Mean and Sigma are the expectation, if it is known. Sigma 0 means that it is estimated.
	Mean  float64 `json:"mean,omitempty"`
	Sigma float64 `json:"sigma,omitempty"`
	// PerWeek is the number of false alarms a week that Limit was calibrated for. It is
	// information alone.
	PerWeek float64 `json:"per_week,omitempty"`
}

func (t Tuning) full(limit, weight float64, window, minimum int) (Tuning, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "anomaly", Field: "Tuning." + field, Value: value, Want: want})
	}
	positive := func(x float64) bool { return x >= 0 && x <= math.MaxFloat64 }
	if !positive(t.Limit) {
		bad("Limit", t.Limit, "a positive number, or 0 for the default")
	}
	if t.Window != 0 && (t.Window < 4 || t.Window > 10_000) {
		bad("Window", t.Window, "4 to 10,000, or 0 for the default")
	}
	t.Window = cmp.Or(t.Window, window)
	if t.Min < 0 || t.Min > t.Window {
		bad("Min", t.Min, "at most Window, or 0 for the default")
	}
	if !positive(t.Weight) || weight < 0.5 && t.Weight > 1 {
		bad("Weight", t.Weight, "above 0, and at most 1 for EWMA, or 0 for the default")
	}
	if t.Every < 0 {
		bad("Every", t.Every, "a positive duration, or 0 for 1 min")
	}
	if !positive(t.Resolution) {
		bad("Resolution", t.Resolution, "a positive number, or 0")
	}
	if !positive(t.Sigma) || math.IsNaN(t.Mean) || math.IsInf(t.Mean, 0) {
		bad("Sigma", t.Sigma, "a positive number and a finite Mean, or 0")
	}
	t.Limit, t.Weight, t.Every = cmp.Or(t.Limit, limit), cmp.Or(t.Weight, weight), cmp.Or(t.Every, time.Minute)
	t.Min = cmp.Or(t.Min, min(minimum, t.Window))
	return t, errors.Join(errs...)
}

// base is what all detectors have in common.
type base struct {
	tuning  Tuning
	window  window
	last    time.Time
	alarmed time.Time // since when values alarm
	calm    int       // values since the last alarm
	run     int       // equal values in a row that differ from a constant series
	value   float64   // of the run

	mean, sigma float64 // as computed last
	age         int     // values since
}

// enter checks a value. ok is false if it cannot be used; gap reports that values are missing
// before it.
func (b *base) enter(at time.Time, x float64) (r Reading, gap, ok bool) {
	r = Reading{Limit: b.tuning.Limit, N: b.window.len()}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		r.Reason = reasonValue
		return r, false, false
	}
	r.Value = x
	if !b.last.IsZero() && !at.After(b.last) {
		r.Reason = reasonTime
		return r, false, false
	}
	gap = !b.last.IsZero() && at.Sub(b.last) > gapOf*b.tuning.Every
	b.last = at
	return r, gap, true
}

// expectation returns mean and standard deviation, and whether enough values are known for
// alarms. A known Sigma is enough.
func (b *base) expectation() (mean, sigma float64) {
	if b.tuning.Sigma > 0 {
		return b.tuning.Mean, b.tuning.Sigma
	}
	// A large window changes little with each value.
	if b.age--; b.age < 0 || b.sigma == 0 {
		b.mean, b.sigma = b.window.centre(b.tuning.Resolution)
		b.age = 0
		if n := b.window.len(); n >= early {
			b.age = n / 32
		}
	}
	return b.mean, b.sigma
}

// constant decides about a value of a series all of whose values were equal.
func (b *base) constant(at time.Time, r Reading, mean float64) Reading {
	r.Expected, r.State = mean, checks.Pass
	switch {
	case r.Value == mean:
		b.run = 0
		b.leave(at, r.Value, false)
		return r
	case b.run > 0 && r.Value == b.value:
		b.run++
	default:
		if b.run > 0 {
			b.window.add(b.value) // it was no level
		}
		b.run, b.value = 1, r.Value
	}
	if b.run >= constantRun {
		r.State, r.Score, r.Reason = checks.Fail, math.Copysign(2*r.Limit, r.Value-mean), reasonConstant
		b.leave(at, r.Value, true)
	}
	return r
}

// leave takes a value into the window, unless it alarms.
func (b *base) leave(at time.Time, x float64, alarm bool) {
	if alarm {
		if b.alarmed.IsZero() {
			b.alarmed = at
		}
		b.calm = 0
		if at.Sub(b.alarmed) < learnAfter {
			return
		}
	} else if b.calm++; b.calm >= 15 {
		b.alarmed = time.Time{}
	}
	b.window.add(x)
}

// Robust compares each value with the median of those before it:
//
//	score = 0.6745 (x - median) / MAD
//
// (the modified z-score of Iglewicz and Hoaglin, 1993). If the median absolute deviation is 0,
// the mean absolute deviation times 1.2533 takes the place of MAD / 0.6745. If that is 0,
// three equal new values are an alarm. Make one with [NewRobust]. It is not safe for
// concurrent use.
type Robust struct{ base }

// NewRobust returns a detector. It returns one [*checks.InvalidError] for each problem.
func NewRobust(t Tuning) (*Robust, error) {
	t, err := t.full(5, 0.5, 60, 40)
	if err != nil {
		return nil, err
	}
	return &Robust{base{tuning: t, window: newWindow(t.Window)}}, nil
}

// Add implements [Detector].
func (d *Robust) Add(at time.Time, x float64) Reading {
	r, mean, sigma, _, ok := d.expect(at, x, d.tuning.Min)
	if !ok {
		return r
	}
	r.Expected, r.Score, r.State = mean, (x-mean)/sigma, checks.Pass
	if math.Abs(r.Score) > r.Limit {
		r.State, r.Reason = checks.Fail, reasonAlarm
	}
	d.leave(at, x, r.State == checks.Fail)
	return r
}

// early is from how many values on EWMA and CUSUM give warnings.
const early = 120

// grade turns an alarm into a warning while the expectation comes from few values.
func (b *base) grade(r Reading, alarm bool) Reading {
	r.State = checks.Pass
	switch {
	case alarm && (b.tuning.Sigma > 0 || r.N >= b.tuning.Min):
		r.State, r.Reason = checks.Fail, reasonAlarm
	case alarm:
		r.State, r.Reason = checks.Warn, reasonEarly
	}
	return r
}

// expect returns what x is compared with, and whether a time without values came before it. If
// it returns false, the reading is complete: x is not new, there are fewer than least values
// before it, or all of them are the same.
func (b *base) expect(at time.Time, x float64, least int) (r Reading, mean, sigma float64, gap, ok bool) {
	if r, gap, ok = b.enter(at, x); !ok {
		return r, 0, 0, gap, false
	}
	if b.tuning.Sigma == 0 && r.N < least {
		r.Reason = reasonFew
		b.window.add(x)
		return r, 0, 0, gap, false
	}
	if mean, sigma = b.expectation(); sigma == 0 {
		return b.constant(at, r, mean), 0, 0, gap, false
	}
	b.run = 0
	return r, mean, sigma, gap, true
}

// EWMA follows an exponentially weighted moving average of the values:
//
//	z = w x + (1-w) z
//
// It alarms when z is farther than Limit * sigma * sqrt(w/(2-w) * (1-(1-w)^2t)) from the mean
// (Roberts 1959; Lucas and Saccucci 1990). Mean and sigma are median and MAD of the newest
// values that did not alarm. Make one with [NewEWMA]. It is not safe for concurrent use.
type EWMA struct {
	base
	z     float64 // minus the mean
	decay float64 // (1-w)^2t
}

// NewEWMA returns a detector. It returns one [*checks.InvalidError] for each problem.
func NewEWMA(t Tuning) (*EWMA, error) {
	t, err := t.full(4.5, 0.2, 480, 480)
	if err != nil {
		return nil, err
	}
	return &EWMA{base: base{tuning: t, window: newWindow(t.Window)}, decay: 1}, nil
}

// Add implements [Detector].
func (d *EWMA) Add(at time.Time, x float64) Reading {
	r, mean, sigma, gap, ok := d.expect(at, x, min(early, d.tuning.Min))
	if !ok {
		return r
	}
	if gap {
		d.z, d.decay = 0, 1
	}
	w := d.tuning.Weight
	d.z = w*(x-mean) + (1-w)*d.z
	d.decay *= (1 - w) * (1 - w)
	r.Expected = mean
	r.Score = d.z / (sigma * math.Sqrt(w/(2-w)*(1-d.decay)))
	alarm := math.Abs(r.Score) > r.Limit
	r = d.grade(r, alarm)
	d.leave(at, x, alarm)
	return r
}

// CUSUM adds up how far the values are above the mean, and how far below:
//
//	above = max(0, above + (x-mean)/sigma - k)
//
// It alarms when one of the sums exceeds Limit, and begins again with 0 (Page 1954). Mean and
// sigma are as for [EWMA]. Make one with [NewCUSUM]. It is not safe for concurrent use.
type CUSUM struct {
	base
	above, below float64
}

// NewCUSUM returns a detector. It returns one [*checks.InvalidError] for each problem.
func NewCUSUM(t Tuning) (*CUSUM, error) {
	t, err := t.full(11, 0.5, 480, 480)
	if err != nil {
		return nil, err
	}
	return &CUSUM{base: base{tuning: t, window: newWindow(t.Window)}}, nil
}

// Add implements [Detector].
func (d *CUSUM) Add(at time.Time, x float64) Reading {
	r, mean, sigma, gap, ok := d.expect(at, x, min(early, d.tuning.Min))
	if !ok {
		return r
	}
	if gap {
		d.above, d.below = 0, 0
	}
	y := (x - mean) / sigma
	d.above, d.below = max(0, d.above+y-d.tuning.Weight), max(0, d.below-y-d.tuning.Weight)
	r.Expected, r.Score = mean, d.above
	if d.below > d.above {
		r.Score = -d.below
	}
	alarm := math.Abs(r.Score) > r.Limit
	if alarm {
		d.above, d.below = 0, 0
	}
	r = d.grade(r, alarm)
	d.leave(at, x, alarm)
	return r
}

var errState = errors.New("anomaly: state: it is not one of this detector")

func stateError(field string, value any) error {
	return fmt.Errorf("%w: %s is %v", errState, field, value)
}
