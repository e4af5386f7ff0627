package tinylm

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// luck is what befalls one request. It depends on the seed and the order of
// arrival, not on the prompt, or a prompt that failed once would always fail.
type luck struct {
	rng                                         *rand.Rand
	fail, breakOff, refuse, filter, stall, chop bool
}

func (c Config) luck(arrival uint64) *luck {
	l := &luck{rng: rand.New(rand.NewPCG(c.Seed, arrival))}
	// Each draw is made whatever the others gave, so that changing one rate
	// leaves the others' victims as they were.
	l.fail = l.rng.Float64() < c.ErrorRate
	l.breakOff = l.rng.Float64() < c.StreamErrorRate
	l.refuse = l.rng.Float64() < c.RefusalRate
	l.filter = l.rng.Float64() < 0.5
	l.stall = l.rng.Float64() < c.StallRate
	l.chop = l.rng.Float64() < c.TruncateRate
	return l
}

// vary draws from the log-normal distribution with the given mean and
// coefficient of variation.
func (l *luck) vary(mean time.Duration, cv float64) time.Duration {
	if mean == 0 || cv == 0 {
		return mean
	}
	variance := math.Log1p(cv * cv) // of the logarithm
	factor := math.Exp(math.Sqrt(variance)*l.rng.NormFloat64() - variance/2)
	return time.Duration(min(float64(mean)*factor, float64(math.MaxInt64/2)))
}

// metronome waits for instants on a schedule that is made as it goes. Waiting
// for instants rather than for spans keeps the mean rate right although every
// sleep lasts a little longer than asked.
type metronome struct{ due time.Time }

// wait sleeps until d after the former instant, or until ctx ends.
func (m *metronome) wait(ctx context.Context, d time.Duration) error {
	m.due = m.due.Add(d)
	left := time.Until(m.due)
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
