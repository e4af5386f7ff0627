package evalue

import (
	"fmt"
	"math"
	"slices"
)

// EventsLogE is the conditional e-process for events alone: rare errors, or
// counters without a denominator. Of cand+base events, cand were the
// candidate's, while the probability of any request (or unit of exposure) to go
// to the candidate was share throughout. It returns ln E against "the
// candidate's rate is at most margin times the baseline's": under that, an
// event is the candidate's with probability at most
//
//	q0 = share*margin / (share*margin + 1 - share)
//
// It is exact for Bernoulli and Poisson events whose common intensity varies
// (Lindon and Malek, "Anytime-valid inference for multinomial count data").
// Where the share has changed, use it for each period and add up; pooled counts
// are wrong when the intensity has drifted. Impossible arguments are no
// evidence, 0.
func EventsLogE(cand, base int, share, margin float64) float64 {
	return eventsLogE(cand, base, nullShare(share, margin), worse)
}

// EventsWithinLogE is the mirror of [EventsLogE]: ln E against "the candidate's
// rate is at least margin times the baseline's", which proves it to be no worse
// than the margin allows.
func EventsWithinLogE(cand, base int, share, margin float64) float64 {
	return eventsLogE(base, cand, 1-nullShare(share, margin), worse[:5])
}

// nullShare returns q0, or NaN.
func nullShare(share, margin float64) float64 {
	if !(share > 0 && share < 1 && margin > 0) {
		return math.NaN()
	}
	return share * margin / (share*margin + 1 - share)
}

// eventsLogE mixes over odds ratios to q0.
func eventsLogE(hits, misses int, q0 float64, ratios []float64) float64 {
	if !(q0 > 0 && q0 < 1) || hits < 0 || misses < 0 {
		return 0
	}
	var l [6]float64
	for j, r := range ratios {
		odds := r * q0 / (1 - q0)
		q := odds / (1 + odds)
		l[j] = float64(hits)*math.Log(q/q0) + float64(misses)*math.Log((1-q)/(1-q0))
	}
	return logMeanExp(l[:len(ratios)])
}

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
