package analysis

// levelState is the baseline's 95th percentile of an amount (its 5th, if higher is
// better), as estimated from its past.
type levelState struct {
	Value float64 `json:"value"`
	// N is how many values it was estimated from.
	N int `json:"n"`
}

const tailShare = 0.05

// beyond counts the values that are worse than factor times the level.
func (l levelState) beyond(values []float64, higher bool, factor float64) (n int) {
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

// order compares a with b, taking what differs by no more than rounding for
// equal: so the result is the same in any unit.
func order(a, b float64) int {
	switch rounding := 1e-12 * max(a, b); {
	case a-b > rounding:
		return 1
	case b-a > rounding:
		return -1
	}
	return 0
}
