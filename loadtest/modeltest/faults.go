package modeltest

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// faults are the faults of one request. They depend on the seed and the order
// of arrival. If they depended on the prompt, one prompt would always fail.
type faults struct {
	rng                                                       *rand.Rand
	serverError, streamError, refuse, filter, stall, truncate bool
}

func (c Config) faults(arrival uint64) *faults {
	l := &faults{rng: rand.New(rand.NewPCG(c.Seed, arrival))}
	// Every number is drawn for every request, so that changing one rate does
	// not change which requests meet the other faults.
	l.serverError = l.rng.Float64() < c.ErrorRate
	l.streamError = l.rng.Float64() < c.StreamErrorRate
	l.refuse = l.rng.Float64() < c.RefusalRate
	l.filter = l.rng.Float64() < 0.5
	l.stall = l.rng.Float64() < c.StallRate
	l.truncate = l.rng.Float64() < c.TruncateRate
	return l
}

// vary draws from the log-normal distribution with the given mean and
// coefficient of variation.
func (l *faults) vary(mean time.Duration, cv float64) time.Duration {
	if mean == 0 || cv == 0 {
		return mean
	}
	variance := math.Log1p(cv * cv) // of the logarithm
	factor := math.Exp(math.Sqrt(variance)*l.rng.NormFloat64() - variance/2)
	return time.Duration(min(float64(mean)*factor, float64(math.MaxInt64/2)))
}

// schedule sleeps until absolute instants. A sleep lasts slightly longer than
// asked; with absolute instants these errors do not add up.
type schedule struct{ due time.Time }

// wait sleeps until d after the previous instant, or until ctx ends.
func (m *schedule) wait(ctx context.Context, d time.Duration) error {
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
