package haproxy

import (
	"fmt"
	"math"
	"slices"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// maxWeight is the largest weight of a server in HAProxy.
const maxWeight = 256

// quantize returns the weight of each server of each arm, and the share of the
// traffic that each arm then gets, in hundredths of a percent. servers[i] is how
// many servers arm i has. Among all scales it takes the one whose worst arm is
// least far off, and the smallest of several. A weight is 0 exactly where the
// arm's is.
func quantize(arms []strategies.Arm, servers []int) ([]int, []float64) {
	each := make([]float64, len(arms)) // what one server should have
	for i, a := range arms {
		each[i] = float64(a.Weight) / float64(servers[i])
	}
	most := slices.Max(each)
	var best []int
	var shares []float64
	least := math.Inf(1)
	for top := 1; top <= maxWeight; top++ {
		weights, got := make([]int, len(arms)), make([]float64, len(arms))
		total := 0
		for i := range arms {
			weights[i] = int(math.Round(each[i] / most * float64(top)))
			if arms[i].Weight > 0 {
				weights[i] = max(weights[i], 1)
			}
			total += weights[i] * servers[i]
		}
		worst := 0.0
		for i, a := range arms {
			got[i] = float64(weights[i]*servers[i]) / float64(total) * float64(strategies.Full)
			worst = max(worst, math.Abs(got[i]-float64(a.Weight)))
		}
		if worst < least-1e-9 {
			best, shares, least = weights, got, worst
		}
	}
	return best, shares
}

// near reports, as an error, that an arm would get another share than it should.
func near(arms []strategies.Arm, shares []float64, tolerance strategies.Weight) (errs []error) {
	for i, a := range arms {
		off := math.Abs(shares[i] - float64(a.Weight))
		if off > float64(tolerance)+1e-9 || off > float64(a.Weight)/10+1e-9 {
			errs = append(errs, &checks.InvalidError{
				Package: "haproxy", Field: fmt.Sprintf("Split.Arms[%d].Weight", i), Value: a.Weight,
				Want: fmt.Sprintf("a share that weights of 0 to %d can express within %s and a tenth of itself; the nearest for %q is %.2f%%",
					maxWeight, tolerance, a.Name, shares[i]/100),
			})
		}
	}
	return errs
}
