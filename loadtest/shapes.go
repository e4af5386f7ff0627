package loadtest

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Ramp returns a Pacer whose rate goes evenly from one to another within over,
// and then ends; put it among [Stages] to go on. Either rate may be 0, not both:
// a ramp from 0 begins with long gaps, and none floods the server.
func Ramp(from, to float64, over time.Duration) Pacer { return ramp{from, to, over} }

// Sine returns an endless Pacer whose rate swings around mean by amplitude,
// once within period, beginning at the mean and rising: days and nights.
func Sine(mean, amplitude float64, period time.Duration) Pacer { return sine{mean, amplitude, period} }

// Gamma returns a Pacer with rate requests a second on average whose gaps follow
// a gamma distribution of the given shape, so that their coefficient of
// variation is 1/sqrt(shape): below 1 requests come in bursts, 1 is [Poisson],
// above they are more even. Equal seeds give equal schedules. The shape must be
// from 0.01 to 10,000.
func Gamma(rate, shape float64, seed uint64) Pacer { return gamma{rate, shape, seed} }

// Stage is one part of a schedule.
type Stage struct {
	Pacer Pacer
	For   time.Duration
}

// Stages returns a Pacer that follows one stage after the other, each for its
// time. A stage whose own arrivals end earlier is silent for the rest of it.
func Stages(stages ...Stage) Pacer { return staged(stages) }

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
		// The last few may be lost to rounding, hence the small allowance.
		for k := 1.0; k <= (r.from+r.to)/2*over+1e-9; k++ {
			// The form of the solution that does not cancel out for small a.
			root := math.Sqrt(max(0, r.from*r.from+4*a*k))
			if !yield(min(r.over, units.Seconds(2*k/(r.from+root)))) {
				return
			}
		}
	}
}

func (r ramp) Validate() error {
	var errs []error
	for _, rate := range []float64{r.from, r.to} {
		if !(rate >= 0 && rate <= maxRate) {
			errs = append(errs, &InvalidError{"Ramp rate", rate, "requests a second, from 0 to 100,000"})
		}
	}
	if r.from == 0 && r.to == 0 {
		errs = append(errs, &InvalidError{"Ramp rates", 0.0, "at least one above 0"})
	}
	if r.over <= 0 {
		errs = append(errs, &InvalidError{"Ramp time", r.over.String(), "more than 0"})
	}
	return errors.Join(errs...)
}

func (r ramp) String() string { return fmt.Sprintf("%g/s to %g/s within %v", r.from, r.to, r.over) }

type sine struct {
	mean, amplitude float64
	period          time.Duration
}

// Arrivals yields the instants at which the integral of the rate reaches 1, 2,
// 3, ..., found by bisection: it rises all the time.
func (s sine) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		w := 2 * math.Pi / s.period.Seconds()
		sent := func(t float64) float64 { return s.mean*t + s.amplitude/w*(1-math.Cos(w*t)) }
		low := 0.0
		for k := 1.0; ; k++ {
			high := k / s.mean // the integral is nowhere below mean*t
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
	errs := []error{checkRate("Sine mean", s.mean)}
	if !(s.amplitude >= 0 && s.amplitude <= s.mean) {
		errs = append(errs, &InvalidError{"Sine amplitude", s.amplitude, "from 0 to the mean"})
	}
	if s.period <= 0 {
		errs = append(errs, &InvalidError{"Sine period", s.period.String(), "more than 0"})
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
	errs := []error{checkRate("Gamma", g.rate)}
	if !(g.shape >= 0.01 && g.shape <= 1e4) {
		errs = append(errs, &InvalidError{"Gamma shape", g.shape, "0.01 to 10,000"})
	}
	return errors.Join(errs...)
}

func (g gamma) String() string {
	return fmt.Sprintf("%g/s in bursts (gamma, shape %g, seed %d)", g.rate, g.shape, g.seed)
}

type staged []Stage

func (s staged) Arrivals() iter.Seq[time.Duration] {
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

func (s staged) Validate() error {
	var errs []error
	if len(s) == 0 {
		errs = append(errs, &InvalidError{"len(Stages)", 0, "at least one stage"})
	}
	for i, stage := range s {
		errs = append(errs, checkPacer(fmt.Sprintf("Stages[%d].Pacer", i), stage.Pacer))
		if stage.For <= 0 {
			errs = append(errs, &InvalidError{fmt.Sprintf("Stages[%d].For", i), stage.For.String(), "more than 0"})
		}
	}
	return errors.Join(errs...)
}

func (s staged) String() string {
	text := ""
	for i, stage := range s {
		if i > 0 {
			text += ", then "
		}
		text += fmt.Sprintf("%v for %v", stage.Pacer, stage.For)
	}
	return text
}

// checkPacer returns what is wrong with a Pacer inside another one.
func checkPacer(field string, p Pacer) error {
	switch p := p.(type) {
	case nil:
		return &InvalidError{field, nil, "a schedule such as Constant(10)"}
	case interface{ Validate() error }:
		return p.Validate()
	}
	return nil
}
