package loadtest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/internal/units"
)

// Pacer says when requests are due. [Constant] and [Poisson] are two; others
// may be written.
//
// Rules for implementers:
//
//   - Arrivals yields the instants at which requests are due, since the start of
//     the run, in ascending order. Several may be due at once.
//   - Every call yields the same instants: the schedule depends on nothing but
//     the Pacer, so that a run can be repeated.
//   - It may be endless. When it ends, so does the run.
//   - A Validate() error method, if there is one, is called by [Plan.Validate].
type Pacer interface {
	Arrivals() iter.Seq[time.Duration]
}

// Constant returns a Pacer with rate requests a second at equal distances, the
// first of them one distance after the start. The rate may be fractional: 0.5
// is one request every two seconds. It must be from 0.000001 to 100,000.
func Constant(rate float64) Pacer { return constant{rate} }

// Poisson returns a Pacer with rate requests a second on average and
// exponentially distributed gaps, as independent users send them. Equal seeds
// give equal schedules. The rate must be from 0.000001 to 100,000.
func Poisson(rate float64, seed uint64) Pacer { return poisson{rate, seed} }

const (
	minRate = 1e-6 // gaps of 11 days
	maxRate = 1e5  // more than one process can time
)

type constant struct{ rate float64 }

func (c constant) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		// Each instant is computed from its number: a sum of rounded gaps would
		// drift away from the rate.
		for k := 1.0; yield(units.Seconds(k / c.rate)); k++ {
		}
	}
}

func (c constant) Validate() error { return checkRate("Constant", c.rate) }

func (c constant) String() string { return fmt.Sprintf("%g/s at equal distances", c.rate) }

type poisson struct {
	rate float64
	seed uint64
}

func (p poisson) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		rng := rand.New(rand.NewPCG(p.seed, 0))
		at := 0.0
		for {
			at += rng.ExpFloat64() / p.rate
			if !yield(units.Seconds(at)) {
				return
			}
		}
	}
}

func (p poisson) Validate() error { return checkRate("Poisson", p.rate) }

func (p poisson) String() string {
	return fmt.Sprintf("%g/s at random (Poisson, seed %d)", p.rate, p.seed)
}

func checkRate(pacer string, rate float64) error {
	if rate >= minRate && rate <= maxRate {
		return nil
	}
	return &InvalidError{Field: pacer + " rate", Value: rate, Want: "requests a second, from 0.000001 to 100,000"}
}
