package strategies

import (
	"fmt"
	"math"
	"time"
)

// Allocation is the multi-armed bandit of an A/B/n test. During the contest it moves
// traffic to the arms that may win, by top-two Thompson sampling (Russo, "Simple Bayesian
// algorithms for best-arm identification", 2016). The share of an arm is half the
// probability that it is one of the two best. So bad arms get few requests, and the two
// best arms get most.
//
// If shares change, some users change their arm, but only as many as necessary. Do not
// use it if a user must see one version throughout. The evidence stays valid, because it
// compares arms only during periods of equal shares.
type Allocation struct {
	// Every is the time between changes of the shares. Default 1 h.
	Every time.Duration `json:"every_ns,omitempty"`
	// Floor is the minimum share of each remaining arm, including the baseline.
	// Default 5 %.
	Floor Weight `json:"floor,omitempty"`
}

// Defaults of [Allocation].
const (
	defaultAllocationEvery        = time.Hour
	defaultAllocationFloor Weight = 500
)

// leastShift is the minimum change of a share for which users are moved.
const leastShift = 100

func (a Allocation) every() time.Duration {
	if a.Every == 0 {
		return defaultAllocationEvery
	}
	return a.Every
}

func (a Allocation) floor() Weight {
	if a.Floor == 0 {
		return defaultAllocationFloor
	}
	return a.Floor
}

// problems reports the problems of a in the stage s.
func (a *Allocation) problems(s Stage, bad func(field string, value any, want string)) {
	if a == nil {
		return
	}
	if a.Every < 0 {
		bad("Allocate.Every", a.Every, "a duration >= 0")
	}
	n := Weight(len(s.Split.Arms))
	switch {
	case !s.Contest || n < 3:
		bad("Allocate", fmt.Sprintf("set for %d arms", n), "nil, or a contest between two candidates or more")
	case a.Floor > Full || a.floor()*n > Full:
		bad("Allocate.Floor", a.floor(), fmt.Sprintf("up to %v for %d arms", Full/n, n))
	}
}

// Shares returns the weights of the baseline and of the rivals, in this order. They sum to
// [Full]. Dropped rivals get 0. If the gain of a remaining rival is unknown, it returns
// nil and false.
func (a Allocation) Shares(rivals []Rival) (shares []Weight, ok bool) {
	type arm struct {
		at           int
		mean, spread float64
	}
	arms := []arm{{0, 0, 0}} // gains are relative to the baseline
	for i, r := range rivals {
		switch {
		case r.Dropped:
		case !r.Known || math.IsNaN(r.Gain) || !(r.Spread >= 0):
			return nil, false
		default:
			arms = append(arms, arm{i + 1, r.Gain, r.Spread})
		}
	}
	shares = make([]Weight, len(rivals)+1)
	n := len(arms)
	floor := min(a.floor(), Full/Weight(n))
	// below returns the probability that the draw of an arm is below x.
	below := func(a arm, x float64) float64 {
		switch {
		case a.spread > 0:
			return math.Erfc((a.mean-x)/(a.spread*math.Sqrt2)) / 2
		case x > a.mean:
			return 1
		case x == a.mean:
			return 0.5
		}
		return 0
	}
	// top returns the probability that at most one other arm is above x, the draw of
	// arm i.
	top := func(i int, x float64) float64 {
		none, one := 1.0, 0.0 // probabilities that no arm, or one arm, is above
		for j := range arms {
			if j != i {
				p := below(arms[j], x)
				none, one = none*p, one*p+none*(1-p)
			}
		}
		return none + one
	}
	given := Weight(0)
	best := 0
	for i, a := range arms {
		p, sum := top(i, a.mean), 1.0
		if a.spread > 0 {
			p, sum = 0, 0
			for z := -6.0; z <= 6; z += 0.02 { // over the normal density
				w := math.Exp(-z * z / 2)
				p += w * top(i, a.mean+z*a.spread)
				sum += w
			}
		}
		rest := float64(Full - Weight(n)*floor)
		shares[a.at] = floor + Weight(rest*p/sum/2)
		given += shares[a.at]
		if shares[a.at] > shares[arms[best].at] {
			best = i
		}
	}
	// The largest share absorbs rounding, in both directions: ties count half for both
	// arms, so the sum may be too large.
	shares[arms[best].at] = shares[arms[best].at] + Full - given
	return shares, true
}

// allocate returns the decision to change the shares. due is false if it is not time or
// the change is too small.
func allocate(stage Stage, s State) (d Decision, due bool) {
	a := stage.Allocate
	if a == nil || s.Baked-s.Allocated < a.every() {
		return d, false
	}
	shares, ok := a.Shares(s.Rivals)
	if !ok || len(s.Shares) != len(shares) {
		return d, false
	}
	moved := Weight(0)
	for i := range shares {
		moved = max(moved, max(shares[i], s.Shares[i])-min(shares[i], s.Shares[i]))
	}
	if moved < leastShift {
		return d, false
	}
	return Decision{Do: DoRebalance, Phase: s.Phase, Stage: s.Stage, Shares: shares, Rule: "allocation", Reason: "moving traffic to the arms that may win"}, true
}
