package evalue

import (
	"fmt"
	"math"
	"slices"
)

// Events is [EventsLogE] event by event, or count by count, each under the
// share that is in force at that moment: the state of a test whose split
// changes. It is not safe for concurrent use.
type Events struct {
	margin float64
	within bool
	grid   []float64
	l      []float64
}

// NewEventsBeyond tests whether the candidate's rate of events is higher than
// margin times the baseline's. margin must be positive; 1 allows nothing.
func NewEventsBeyond(margin float64) *Events {
	return &Events{margin: margin, grid: worse, l: make([]float64, len(worse))}
}

// NewEventsWithin tests whether the candidate's rate of events is lower than
// margin times the baseline's: the mirror of [NewEventsBeyond].
func NewEventsWithin(margin float64) *Events {
	grid := worse[:5]
	return &Events{margin: margin, within: true, grid: grid, l: make([]float64, len(grid))}
}

// Count takes in cand events of the candidate and base of the baseline, which
// happened while any request went to the candidate with probability share. One
// event is a count of one. Impossible arguments are ignored.
func (e *Events) Count(cand, base int, share float64) {
	q0 := nullShare(share, e.margin)
	if e.within {
		q0, cand, base = 1-q0, base, cand
	}
	if !(q0 > 0 && q0 < 1) || cand < 0 || base < 0 {
		return
	}
	for j, r := range e.grid {
		q := r * q0 / (r*q0 + 1 - q0)
		e.l[j] += float64(cand)*math.Log(q/q0) + float64(base)*math.Log((1-q)/(1-q0))
	}
}

// LogE returns ln E for "beyond the margin" or "within the margin".
func (e *Events) LogE() float64 { return logMeanExp(e.l) }

// State returns a copy of the log-likelihood ratios of the alternatives, which
// are all there is to store. States of disjoint events add up.
func (e *Events) State() []float64 { return slices.Clone(e.l) }

// Add adds the state of a test with the same margin that has seen other events.
// An empty state adds nothing. If the error is not nil, e is unchanged.
func (e *Events) Add(state []float64) error {
	if len(state) != 0 && len(state) != len(e.l) {
		return fmt.Errorf("evalue: state has %d alternatives, want %d", len(state), len(e.l))
	}
	for _, l := range state {
		if math.IsNaN(l) || math.IsInf(l, 1) {
			return fmt.Errorf("evalue: state has a log-likelihood of %v", l)
		}
	}
	for j, l := range state {
		e.l[j] += l
	}
	return nil
}
