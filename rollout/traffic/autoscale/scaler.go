package autoscale

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/serin-go/serin/checks"
)

// Mode is an algorithm. The zero value is HPA.
type Mode int

const (
	// HPA compares averages over the ready replicas with their targets.
	HPA Mode = iota
	// KPA compares the concurrency of all replicas, averaged over a stable window and a
	// short panic window, with a target. It reacts to bursts within seconds.
	KPA
)

// Signal is one measurement of the replicas of an arm.
type Signal struct {
	// Name is the name of the signal, such as "waiting". A decision names the signal that
	// decided it.
	Name string
	// Sum is the sum over the replicas that report the signal, in the unit of Target. It
	// is not negative.
	Sum float64
	// Known is the number of replicas that report the signal. A signal that belongs to the
	// arm as a whole, such as a quantile, has Known = Ready and Sum = Ready times its value.
	Known int
	// Target is the value that one replica should have. It is positive.
	Target float64
}

// Input is what is measured at one time.
type Input struct {
	// At is the time of the measurement. It does not decrease.
	At time.Time
	// Ready is the number of replicas that serve, Starting the number that are loading
	// their model. Desired is the number that the actuator was last asked for, as read
	// back from it; it is the present number if it cannot be read.
	Ready, Starting, Desired int
	// Busy is the number of replicas with token streams. Scaling down keeps them.
	Busy int
	// Floor is the least number because of a rollout; see [Floors].
	Floor int
	// Signals are the measurements in mode HPA.
	Signals []Signal
	// Stable and Panic are the concurrencies of all replicas together in mode KPA,
	// averaged over the stable window (60 s) and the panic window (6 s). Negative: unknown.
	Stable, Panic float64
	// Idle is the time since the last request. It matters only if Scaler.Min is 0.
	Idle time.Duration
}

// Decision is the number of replicas that an arm should have.
type Decision struct {
	// Replicas is the number.
	Replicas int `json:"replicas"`
	// Proposed is the number before the limits on rates, windows, Min and Max.
	Proposed int `json:"proposed"`
	// By is the signal or the rule that decided: the name of a Signal, or one of "tolerance",
	// "unknown", "floor", "streams", "min", "max", "rate up", "rate down", "stabilize",
	// "cooldown", "conflict", "panic", "concurrency".
	By string `json:"by"`
	// Unknown reports that no signal was known, so that the number stays.
	Unknown bool `json:"unknown,omitempty"`
	// Conflict reports that something else changed the number of replicas twice within
	// five minutes, so that it stays.
	Conflict bool `json:"conflict,omitempty"`
}

// Rate limits how fast the number of replicas changes: by Percent of the number at the
// start of Period or by Count, whichever allows more.
type Rate struct {
	Percent int           `json:"percent" env:"PERCENT"`
	Count   int           `json:"count" env:"COUNT"`
	Period  time.Duration `json:"period" env:"PERIOD"`
}

// Scaler holds the rules of one arm. The zero Scaler scales from 1 to 10 replicas by the
// rules of Kubernetes. It is plain data.
type Scaler struct {
	Mode Mode `json:"mode"`
	// Min and Max are the least and the largest number of replicas. Max defaults to 10.
	// Min defaults to 1. Negative: 0, for which Wake must be set.
	Min int `json:"min" env:"MIN"`
	Max int `json:"max" env:"MAX"`
	// Wake states that something in front of the replicas holds a request that finds none,
	// and has it served later. Only then may Min be negative.
	Wake bool `json:"wake" env:"WAKE"`
	// Cooldown is the least time without a request before the number becomes 0. Default
	// 10 min.
	Cooldown time.Duration `json:"cooldown" env:"COOLDOWN"`
	// ToleranceUp and ToleranceDown are the deviations from the target, in thousandths, up
	// to which the number stays. Default 100. Negative: 0.
	ToleranceUp   int `json:"tolerance_up" env:"TOLERANCE_UP"`
	ToleranceDown int `json:"tolerance_down" env:"TOLERANCE_DOWN"`
	// Up and Down limit the rate of change. Default: up by 100 % or 4 in 15 s, down by 100 %
	// in 15 s. In mode KPA, they default to no limit, and UpFactor and DownFactor apply.
	Up   Rate `json:"up" env:", prefix=UP_"`
	Down Rate `json:"down" env:", prefix=DOWN_"`
	// StabilizeUp and StabilizeDown are windows. The number rises to no more than the
	// smallest proposal in the first, and falls to no less than the largest proposal in
	// the second. Default 0 and 300 s, in mode KPA 0 and 0. Negative: 0.
	StabilizeUp   time.Duration `json:"stabilize_up" env:"STABILIZE_UP"`
	StabilizeDown time.Duration `json:"stabilize_down" env:"STABILIZE_DOWN"`
	// Target is the concurrency of one replica in mode KPA, after utilisation. It is
	// positive.
	Target float64 `json:"target,omitempty" env:"TARGET"`
	// PanicRatio is the ratio of the panic proposal to the ready replicas from which mode
	// KPA panics. Default 2.
	PanicRatio float64 `json:"panic_ratio,omitempty" env:"PANIC_RATIO"`
	// StableWindow is how long a panic lasts after the ratio was last exceeded. Default
	// 60 s.
	StableWindow time.Duration `json:"stable_window,omitempty" env:"STABLE_WINDOW"`
	// UpFactor and DownFactor bound a proposal of mode KPA to the ready replicas times
	// UpFactor, and divided by DownFactor. Default 1000 and 2.
	UpFactor   float64 `json:"up_factor,omitempty" env:"UP_FACTOR"`
	DownFactor float64 `json:"down_factor,omitempty" env:"DOWN_FACTOR"`
}

// maxReplicas keeps products of thousandths within 64 bits.
const maxReplicas = 5000

// Validate reports everything that is wrong with s, joined; each problem is a
// [*checks.InvalidError].
func (s Scaler) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "autoscale", Field: "Scaler." + field, Value: value, Want: want})
	}
	d := s.withDefaults()
	if s.Mode < HPA || s.Mode > KPA {
		bad("Mode", int(s.Mode), "HPA or KPA")
	}
	switch {
	case s.Max < 0 || s.Max > maxReplicas:
		bad("Max", s.Max, "1 to 5000, or 0 for 10")
	case d.Min > d.Max:
		bad("Min", d.Min, "at most Max")
	case s.Min < 0 && !s.Wake:
		bad("Min", s.Min, "at least 1, since no request could wake replicas without Wake")
	}
	for _, f := range []struct {
		field string
		d     time.Duration
	}{{"Cooldown", s.Cooldown}, {"Up.Period", s.Up.Period}, {"Down.Period", s.Down.Period}, {"StableWindow", s.StableWindow}} {
		if f.d < 0 {
			bad(f.field, f.d, "a positive duration, or 0 for the default")
		}
	}
	for _, f := range []struct {
		field string
		r     Rate
	}{{"Up", s.Up}, {"Down", s.Down}} {
		if f.r.Percent < 0 || f.r.Count < 0 {
			bad(f.field, f.r, "a percentage and a count of at least 0")
		} else if f.r.Period > 0 && f.r.Percent == 0 && f.r.Count == 0 {
			bad(f.field, f.r, "a percentage or a count above 0, since nothing could change")
		}
	}
	if s.Mode == KPA && !(s.Target > 0 && s.Target < math.Inf(1)) {
		bad("Target", s.Target, "a positive concurrency in mode KPA")
	}
	for _, f := range []struct {
		field string
		v     float64
	}{{"PanicRatio", d.PanicRatio}, {"UpFactor", d.UpFactor}, {"DownFactor", d.DownFactor}} {
		if !(f.v > 1 && f.v < math.Inf(1)) {
			bad(f.field, f.v, "a finite number above 1, or 0 for the default")
		}
	}
	return errors.Join(errs...)
}

// withDefaults returns s with its defaults.
func (s Scaler) withDefaults() Scaler {
	s.Min, s.Max = max(0, cmp.Or(s.Min, 1)), cmp.Or(s.Max, 10)
	s.Cooldown = cmp.Or(s.Cooldown, 10*time.Minute)
	s.ToleranceUp, s.ToleranceDown = max(0, cmp.Or(s.ToleranceUp, 100)), max(0, cmp.Or(s.ToleranceDown, 100))
	if s.Mode == HPA {
		s.Up = cmp.Or(s.Up, Rate{Percent: 100, Count: 4, Period: 15 * time.Second})
		s.Down = cmp.Or(s.Down, Rate{Percent: 100, Period: 15 * time.Second})
		s.StabilizeDown = cmp.Or(s.StabilizeDown, 300*time.Second)
	}
	for _, r := range []*Rate{&s.Up, &s.Down} {
		if *r != (Rate{}) {
			r.Period = cmp.Or(r.Period, 15*time.Second)
		}
	}
	s.StabilizeUp, s.StabilizeDown = max(0, s.StabilizeUp), max(0, s.StabilizeDown)
	s.PanicRatio, s.StableWindow = cmp.Or(s.PanicRatio, 2), cmp.Or(s.StableWindow, time.Minute)
	s.UpFactor, s.DownFactor = cmp.Or(s.UpFactor, 1000), cmp.Or(s.DownFactor, 2)
	return s
}

// Next returns the number of replicas for what is measured, and the state for the next
// call. It has no other effects. The zero State is the one to begin with. s must be valid.
func (s Scaler) Next(in Input, st State) (Decision, State) {
	s = s.withDefaults()
	in.Ready, in.Desired = max(0, min(in.Ready, maxReplicas)), max(0, min(in.Desired, maxReplicas))
	now, present := in.At, in.Desired
	if st.conflict(now, in.Desired) {
		return Decision{Replicas: present, Proposed: present, By: "conflict", Conflict: true}, st
	}
	var d Decision
	if s.Mode == KPA {
		d = s.kpa(in, &st)
	} else {
		d = s.hpa(in)
	}
	if d.Unknown {
		st.Misses++
		d.Replicas = max(present, s.Min, min(in.Floor, s.Max))
		st.settle(now, present, d.Replicas)
		return d, st
	}
	st.Misses = 0
	n := d.Proposed
	if st.Proposals.N == 0 { // what runs at the start is the first proposal
		st.Proposals.add(now, max(s.StabilizeUp, s.StabilizeDown), present)
	}
	limit := func(m int, by string) {
		if m != n {
			n, d.By = m, by
		}
	}
	// Windows, over the proposals.
	st.Proposals.add(now, max(s.StabilizeUp, s.StabilizeDown), n)
	if n > present {
		limit(max(present, st.Proposals.least(now, s.StabilizeUp, n)), "stabilize")
	} else if n < present {
		limit(min(present, st.Proposals.most(now, s.StabilizeDown, n)), "stabilize")
	}
	// Rates.
	if n > present && s.Up.Period > 0 {
		start := st.Changes.start(now, s.Up.Period, present)
		limit(min(n, max(present, start+s.Up.allows(start))), "rate up")
	}
	if n < present && s.Down.Period > 0 {
		start := st.Changes.start(now, s.Down.Period, present)
		limit(max(n, min(present, start-s.Down.allows(start))), "rate down")
	}
	// What is in use.
	if n < present {
		limit(max(n, min(present, in.Busy)), "streams")
	}
	limit(max(n, s.Min), "min")
	if n == 0 && in.Idle < s.Cooldown && present > 0 {
		limit(1, "cooldown")
	}
	limit(max(n, in.Floor), "floor")
	limit(min(n, s.Max), "max")
	d.Replicas = n
	st.settle(now, present, n)
	return d, st
}

// allows returns the change that r allows for a number of replicas at the start of the
// period.
func (r Rate) allows(start int) int { return max(r.Count, (start*r.Percent+99)/100) }

// milli returns v in thousandths. Integers make comparisons exact.
func milli(v float64) int64 {
	if !(v > 0) {
		return 0
	}
	return int64(math.Round(min(v, 1e9) * 1000))
}

func ceilDiv(a, b int64) int { return int((a + b - 1) / b) }

// hpa returns the largest proposal of the signals.
func (s Scaler) hpa(in Input) Decision {
	d := Decision{Proposed: -1, By: "unknown", Unknown: true}
	for i := range in.Signals {
		n, by, ok := s.propose(in, &in.Signals[i])
		if ok {
			d.Unknown = false
		}
		// A signal that is not known proposes the present number: it can hold, not raise.
		if n > d.Proposed || n == d.Proposed && d.By == "unknown" {
			d.Proposed, d.By = n, by
		}
	}
	if d.Proposed < 0 || d.Unknown {
		d = Decision{Proposed: in.Desired, By: "unknown", Unknown: true}
	}
	return d
}

// propose returns the number of replicas for one signal. ok is false if no replica reports
// it.
func (s Scaler) propose(in Input, g *Signal) (n int, by string, ok bool) {
	ready, sum, target := int64(in.Ready), milli(g.Sum), milli(g.Target)
	known := int64(min(g.Known, in.Ready))
	switch {
	case target == 0 || g.Known <= 0:
		return in.Desired, "unknown", false
	case known == 0: // requests wait for the first replica
		return ceilDiv(sum, target), g.Name, true
	}
	direction := s.direction(sum, known*target)
	if missing := ready - known; missing > 0 {
		all := sum
		if direction < 0 {
			all += missing * target
		}
		if s.direction(all, ready*target) != direction {
			return in.Desired, "tolerance", true
		}
		sum = all
	}
	if direction == 0 {
		return in.Desired, "tolerance", true
	}
	n = ceilDiv(sum, target)
	if direction > 0 {
		n = max(n, in.Ready) // those that are starting are not yet in the measurement
	}
	return n, g.Name, true
}

// direction compares a sum with its target, both in thousandths: 1 is above the tolerance,
// -1 below. Upwards the bound belongs to the change, downwards to the tolerance, as the
// floating-point numbers of Kubernetes decide: 110 of 100 grows, 90 of 100 stays.
func (s Scaler) direction(sum, target int64) int {
	switch {
	case sum*1000 >= target*int64(1000+s.ToleranceUp) && sum > target:
		return 1
	case sum*1000 < target*int64(1000-s.ToleranceDown):
		return -1
	}
	return 0
}

// kpa returns the proposal of Knative's algorithm.
func (s Scaler) kpa(in Input, st *State) Decision {
	if in.Stable < 0 || in.Panic < 0 || math.IsNaN(in.Stable+in.Panic) {
		return Decision{Proposed: in.Desired, By: "unknown", Unknown: true}
	}
	ready := max(1, in.Ready)
	low, high := int(math.Floor(float64(ready)/s.DownFactor)), int(math.Ceil(s.UpFactor*float64(ready)))
	target := milli(s.Target)
	stable := max(low, min(high, ceilDiv(milli(in.Stable), target)))
	burst := max(low, min(high, ceilDiv(milli(in.Panic), target)))
	if float64(burst) >= s.PanicRatio*float64(ready) {
		if st.PanicUntil.IsZero() {
			st.PanicPeak = 0
		}
		st.PanicUntil = in.At.Add(s.StableWindow)
	} else if !in.At.Before(st.PanicUntil) {
		st.PanicUntil, st.PanicPeak = time.Time{}, 0
	}
	if st.PanicUntil.IsZero() {
		return Decision{Proposed: stable, By: "concurrency"}
	}
	st.PanicPeak = max(st.PanicPeak, stable, burst, in.Ready) // a panic never scales down
	return Decision{Proposed: st.PanicPeak, By: "panic"}
}
