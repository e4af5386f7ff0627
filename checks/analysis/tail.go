package analysis

import (
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/evalue"
)

// tail compares the shares of requests beyond a level, which is the 95th
// percentile of the baseline's past. It sees what harms few requests but those
// badly, which pairs hardly do. The level is known before the values that are
// held against it, so the shares are those of any 2x2 block.
type tail struct {
	higher    bool // higher values are better: the tail is the lowest 5 %
	tolerance float64
	level     Level
	test      *evalue.TwoByTwo
}

// Level is the baseline's 95th percentile of an amount (its 5th, if higher is
// better), as estimated from its past.
type Level struct {
	Value float64 `json:"value"`
	// N is how many values it was estimated from. It is of use from 20 on.
	N int `json:"n"`
}

const (
	tailShare = 0.05
	levelMin  = 20 // with fewer values there is no telling where a twentieth of them lies
)

func newTail(higher bool, tolerance float64) tail {
	return tail{higher: higher, tolerance: tolerance, test: newTailTest()}
}

func newTailTest() *evalue.TwoByTwo { return evalue.NewTwoByTwo(tailShare) }

func (t *tail) take(base, cand []float64) {
	if t.level.N >= levelMin && len(base) > 0 && len(cand) > 0 {
		xb, xc := t.level.beyond(base, t.higher, 1), t.level.beyond(cand, t.higher, t.tolerance)
		t.test.Block(xb, len(base), xc, len(cand))
	}
	for _, v := range base {
		t.level.add(v, t.higher)
	}
}

// beyond counts the values that are worse than factor times the level.
func (l Level) beyond(values []float64, higher bool, factor float64) (n int) {
	for _, v := range values {
		worse, than := v, factor*l.Value
		if higher {
			worse, than = l.Value, factor*v
		}
		if order(worse, than) > 0 {
			n++
		}
	}
	return n
}

// add moves the level by a value of the baseline: stochastic approximation
// (Robbins and Monro), in steps that are proportional to the level, so that the
// unit does not matter, and that do not vanish, so that it follows slow drifts.
func (l *Level) add(v float64, higher bool) {
	l.N++
	if l.N <= levelMin || l.Value == 0 {
		if l.N == 1 || (v > l.Value) != higher {
			l.Value = v
		}
		return
	}
	step := max(5/float64(l.N), 0.02)
	switch {
	case !higher && order(v, l.Value) > 0:
		l.Value *= 1 + step*(1-tailShare)
	case !higher:
		l.Value *= 1 - step*tailShare
	case order(l.Value, v) > 0:
		l.Value *= 1 - step*(1-tailShare)
	default:
		l.Value *= 1 + step*tailShare
	}
	l.Value = min(l.Value, math.MaxFloat64)
}

// load adds what was counted elsewhere. Of two levels the result is the mean:
// any level will do that does not depend on values still to come.
func (t *tail) load(sums []float64, l Level) error {
	if l.N < 0 || !(l.Value >= 0 && l.Value <= math.MaxFloat64) {
		return fmt.Errorf("level %v from %d values", l.Value, l.N)
	}
	if err := unflatten(t.test, sums); err != nil {
		return err
	}
	if n := t.level.N + l.N; n > 0 {
		share := float64(l.N) / float64(n)
		t.level = Level{Value: (1-share)*t.level.Value + share*l.Value, N: n}
	}
	return nil
}
