package strategies

import (
	"fmt"
	"math"
	"time"
)

// Allocation moves the traffic of a contest, while it lasts, to the arms that may
// yet win it, by top-two Thompson sampling (Russo, "Simple Bayesian algorithms for
// best-arm identification", 2016): an arm's share is half the probability that it
// is one of the two best, given what is known of their gains. That spends few
// requests on arms that are bad for users, and most on the two that are hardest
// to tell apart.
//
// When shares change, users change their arms, though no more of them than the
// shares demand; where one user must see one version throughout, do without it.
// The evidence stays valid: it compares arms within stretches of equal shares.
type Allocation struct {
	// Every is the time between two changes of the shares. Zero means
	// [DefaultAllocationEvery].
	Every time.Duration `json:"every_ns,omitempty"`
	// Floor is the least share of an arm that has not dropped out, the baseline's
	// included, as it is what all are compared with. Zero means
	// [DefaultAllocationFloor].
	Floor Weight `json:"floor,omitempty"`
}

// Defaults of [Allocation].
const (
	defaultAllocationEvery        = time.Hour
	defaultAllocationFloor Weight = 500
)

// leastShift is the change of a share that is worth moving users for.
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

// problems reports what is wrong with a for the stage s.
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
		bad("Allocate", fmt.Sprintf("set for %d arms", n), "nil, or a contest between several candidates: of two arms both are always among the two best")
	case a.Floor > Full || a.floor()*n > Full:
		bad("Allocate.Floor", uint32(a.floor()), fmt.Sprintf("at most %d, so that %d arms find room", Full/n, n))
	}
}

// Shares returns the weights of the baseline and of the rivals, in that order,
// which sum to [Full]. ok is false, and the weights are nil, while the gain of a
// rival that is still in is unknown. Rivals that dropped out get 0.
func (a Allocation) Shares(rivals []Rival) (shares []Weight, ok bool) {
	type arm struct {
		at           int
		mean, spread float64
	}
	arms := []arm{{0, 0, 0}} // gains are over the baseline's
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
	// below is the probability that the draw of an arm is below x.
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
	// top returns the probability that arm i, whose draw is x, is beaten by one
	// of the others at most.
	top := func(i int, x float64) float64 {
		none, one := 1.0, 0.0 // how many are above
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
	// What rounding leaves goes to the largest. Ties count half for both arms of a
	// tie, so a little too much may have been given as well.
	shares[arms[best].at] = shares[arms[best].at] + Full - given
	return shares, true
}

// allocate returns the decision to change the shares, if it is time to and there is
// something to change.
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
	return Decision{Do: DoRebalance, Phase: s.Phase, Stage: s.Stage, Shares: shares, Rule: "allocation", Reason: "traffic moves to the arms that may win"}, true
}
