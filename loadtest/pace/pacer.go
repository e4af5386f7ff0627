package pace

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/units"
)

// Pacer is a schedule of requests, such as [Constant] or [Poisson]. A Pacer of
// your own must keep these rules:
//
//   - Arrivals yields the instants at which requests are due, as times since the
//     start of the run, in ascending order. Instants may be equal.
//   - Every call yields the same instants, so that a run can be repeated.
//   - The sequence may be endless. If it ends, the run ends after its last request.
//   - If there is a method Validate() error, loadtest calls it before a run.
//   - If there is a method Len() int, the number of instants, [Marshal] can write
//     the Pacer.
//   - If there is a method Numbered() iter.Seq2[uint64, time.Duration], it yields the
//     same instants with the numbers of the requests, which decide their content.
//     Otherwise requests are numbered from 0.
type Pacer interface {
	Arrivals() iter.Seq[time.Duration]
}

// Constant returns a Pacer with rate requests per second at equal intervals. The
// first request is due one interval after the start. A rate of 0.5 is one request
// every two seconds. The rate must be from 0.000001 to 100,000.
func Constant(rate float64) Pacer { return constant{rate} }

// Poisson returns a Pacer with rate requests per second on average and
// exponentially distributed gaps, as independent users cause them. Equal seeds
// give equal schedules. The rate must be from 0.000001 to 100,000.
func Poisson(rate float64, seed uint64) Pacer { return poisson{rate, seed} }

const (
	minRate = 1e-6 // gaps of 11 days
	maxRate = 1e5  // more than a process can send on time
)

type constant struct{ rate float64 }

func (c constant) Arrivals() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		// Computed from k: a sum of rounded gaps would drift from the rate.
		for k := 1.0; yield(units.Seconds(k / c.rate)); k++ {
		}
	}
}

func (c constant) Validate() error { return checkRate("Constant.Rate", c.rate) }

func (c constant) String() string { return fmt.Sprintf("%g/s at equal intervals", c.rate) }

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

func (p poisson) Validate() error { return checkRate("Poisson.Rate", p.rate) }

func (p poisson) String() string {
	return fmt.Sprintf("%g/s at random (Poisson, seed %d)", p.rate, p.seed)
}

func checkRate(field string, rate float64) error {
	if rate >= minRate && rate <= maxRate {
		return nil
	}
	return invalid(field, rate, "requests per second, from 0.000001 to 100,000")
}

func invalid(field string, value any, want string) error {
	return &checks.InvalidError{Package: "pace", Field: field, Value: value, Want: want}
}
