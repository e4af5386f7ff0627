// Package looks makes values of the time between two looks out of what only grows, such
// as counters and histograms.
package looks

import (
	"math"
	"sync"
	"time"
)

// Longest is the longest time between two looks that a value is about, where the caller
// has no reason for another one.
const Longest = 5 * time.Minute

// Between returns a function of what has changed since the look before. It is NaN at the
// first look, after longest without one, and where read has nothing; the next look is
// then a first one. It is safe for concurrent use, and is for one reader.
func Between[T any](longest time.Duration, read func(at time.Time) (T, bool), value func(took time.Duration, before, now T) float64) func(at time.Time) float64 {
	var (
		mu   sync.Mutex
		last time.Time
		seen T
	)
	return func(at time.Time) float64 {
		mu.Lock()
		defer mu.Unlock()
		now, there := read(at)
		if !there {
			last = time.Time{}
			return math.NaN()
		}
		began, before := last, seen
		last, seen = at, now
		took := at.Sub(began)
		if began.IsZero() || took <= 0 || took > longest {
			return math.NaN()
		}
		return value(took, before, now)
	}
}

// Rate returns what a count grows by, by the second. It is NaN where Between is, and
// where the count was reset.
func Rate(longest time.Duration, read func(at time.Time) (float64, bool)) func(at time.Time) float64 {
	return Between(longest, read, func(took time.Duration, before, now float64) float64 {
		if !(now >= before) {
			return math.NaN()
		}
		return (now - before) / took.Seconds()
	})
}

// Quotient returns how much one count has grown for each by which another one has: a
// share, or a mean. It is NaN where Between is, where a count was reset, and where the
// second count has not grown.
func Quotient(longest time.Duration, read func(at time.Time) (count, of float64, ok bool)) func(at time.Time) float64 {
	type pair struct{ count, of float64 }
	counts := func(at time.Time) (pair, bool) {
		count, of, ok := read(at)
		return pair{count, of}, ok
	}
	return Between(longest, counts, func(_ time.Duration, before, now pair) float64 {
		count, of := now.count-before.count, now.of-before.of
		if !(count >= 0) || !(of > 0) {
			return math.NaN()
		}
		return count / of
	})
}
