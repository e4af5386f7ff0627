package pace

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/units"
)

// Ramp returns a Pacer whose rate changes linearly from one rate to another, both
// in requests per second, during over. Then it ends; [Stages] can continue it. One
// of the rates may be 0. A ramp from 0 begins with long gaps.
func Ramp(from, to float64, over time.Duration) Pacer { return ramp{from, to, over} }

// Sine returns an endless Pacer whose rate is mean + amplitude*sin(2πt/period),
// in requests per second, such as the load of days and nights. The amplitude must
// be from 0 to mean.
func Sine(mean, amplitude float64, period time.Duration) Pacer { return sine{mean, amplitude, period} }

// Gamma returns a Pacer with rate requests per second on average whose gaps
// follow a gamma distribution. Their coefficient of variation is 1/sqrt(shape).
// With a shape below 1 requests come in bursts, a shape of 1 is like [Poisson],
// and a larger shape is more even. Equal seeds give equal schedules. The shape
// must be from 0.01 to 10,000.
func Gamma(rate, shape float64, seed uint64) Pacer { return gamma{rate, shape, seed} }

// Stage is one stage of [Stages]: a schedule and its duration.
type Stage struct {
	Pacer Pacer
	For   time.Duration
}

// Stages returns a Pacer that runs stages one after another, each for its
// duration. If the Pacer of a stage ends early, the rest of the stage has no
// requests.
func Stages(all ...Stage) Pacer { return stages(all) }

type ramp struct {
	from, to float64
	over     time.Duration
}

// Arrivals yields the instants at which the integral of the rate,
// from*t + (to-from)*t²/(2*over), reaches 1, 2, 3, ...
func (r ramp) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		over := r.over.Seconds()
		a := (r.to - r.from) / 2 / over
		// 1e-9 allows for rounding, which could drop the last request.
		for k := 1.0; k <= (r.from+r.to)/2*over+1e-9; k++ {
			// This form of the solution has no cancellation for small a.
			root := math.Sqrt(max(0, r.from*r.from+4*a*k))
			if !yield(min(r.over, units.Seconds(2*k/(r.from+root)))) {
				return
			}
		}
	}
}

func (r ramp) Validate() error {
	var errs []error
	for i, rate := range []float64{r.from, r.to} {
		if !(rate >= 0 && rate <= maxRate) {
			errs = append(errs, invalid([]string{"Ramp.From", "Ramp.To"}[i], rate, "requests per second, from 0 to 100,000"))
		}
	}
	if r.from == 0 && r.to == 0 {
		errs = append(errs, invalid("Ramp.To", 0.0, "more than 0, or Ramp.From above 0"))
	}
	if r.over <= 0 {
		errs = append(errs, invalid("Ramp.Over", r.over.String(), "more than 0"))
	}
	return errors.Join(errs...)
}

func (r ramp) String() string { return fmt.Sprintf("%g/s to %g/s within %v", r.from, r.to, r.over) }

type sine struct {
	mean, amplitude float64
	period          time.Duration
}

// Arrivals yields the instants at which the integral of the rate reaches 1, 2,
// 3, ..., found by bisection: the integral increases.
func (s sine) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		w := 2 * math.Pi / s.period.Seconds()
		sent := func(t float64) float64 { return s.mean*t + s.amplitude/w*(1-math.Cos(w*t)) }
		low := 0.0
		for k := 1.0; ; k++ {
			high := k / s.mean // the integral is at least mean*t
			for high-low > 1e-10*(1+high) {
				if mid := (low + high) / 2; sent(mid) < k {
					low = mid
				} else {
					high = mid
				}
			}
			if !yield(units.Seconds(high)) {
				return
			}
		}
	}
}

func (s sine) Validate() error {
	errs := []error{checkRate("Sine.Mean", s.mean)}
	if !(s.amplitude >= 0 && s.amplitude <= s.mean) {
		errs = append(errs, invalid("Sine.Amplitude", s.amplitude, "0 to the mean"))
	}
	if s.period <= 0 {
		errs = append(errs, invalid("Sine.Period", s.period.String(), "more than 0"))
	}
	return errors.Join(errs...)
}

func (s sine) String() string {
	return fmt.Sprintf("%g/s +- %g/s each %v", s.mean, s.amplitude, s.period)
}

type gamma struct {
	rate, shape float64
	seed        uint64
}

func (g gamma) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		rng := rand.New(rand.NewPCG(g.seed, 0))
		at := 0.0
		for {
			at += drawGamma(rng, g.shape) / g.shape / g.rate
			if !yield(units.Seconds(at)) {
				return
			}
		}
	}
}

// drawGamma draws from the gamma distribution with scale 1, by Marsaglia and
// Tsang, "A simple method for generating gamma variables" (2000).
func drawGamma(rng *rand.Rand, shape float64) float64 {
	boost := 1.0
	if shape < 1 {
		boost = math.Pow(1-rng.Float64(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := rng.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if u := 1 - rng.Float64(); math.Log(u) < x*x/2+d-d*v+d*math.Log(v) {
			return boost * d * v
		}
	}
}

func (g gamma) Validate() error {
	errs := []error{checkRate("Gamma.Rate", g.rate)}
	if !(g.shape >= 0.01 && g.shape <= 1e4) {
		errs = append(errs, invalid("Gamma.Shape", g.shape, "0.01 to 10,000"))
	}
	return errors.Join(errs...)
}

func (g gamma) String() string {
	return fmt.Sprintf("%g/s in bursts (gamma, shape %g, seed %d)", g.rate, g.shape, g.seed)
}

type stages []Stage

func (s stages) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		begin := time.Duration(0)
		for _, stage := range s {
			for at := range stage.Pacer.Arrivals() {
				if at > stage.For {
					break
				}
				if !yield(begin + at) {
					return
				}
			}
			begin += stage.For
		}
	}
}

func (s stages) Validate() error {
	var errs []error
	if len(s) == 0 {
		errs = append(errs, invalid("len(Stages)", 0, "at least one stage"))
	}
	for i, stage := range s {
		errs = append(errs, checkPacer(fmt.Sprintf("Stages[%d].Pacer", i), stage.Pacer))
		if stage.For <= 0 {
			errs = append(errs, invalid(fmt.Sprintf("Stages[%d].For", i), stage.For.String(), "more than 0"))
		}
	}
	return errors.Join(errs...)
}

func (s stages) String() string {
	text := ""
	for i, stage := range s {
		if i > 0 {
			text += ", then "
		}
		text += fmt.Sprintf("%v for %v", stage.Pacer, stage.For)
	}
	return text
}

// checkPacer validates the Pacer in a field of another one.
func checkPacer(field string, p Pacer) error {
	switch p := p.(type) {
	case nil:
		return invalid(field, nil, "a schedule such as Constant(10)")
	case interface{ Validate() error }:
		return checks.Within(p.Validate(), "pace", "", field)
	}
	return nil
}
