package autoscale

import (
	"math"

	"github.com/serin-go/serin/strategies"
)

// Floors returns the number of replicas that each arm of a split needs at least. load is
// the load of all arms together, and capacity what one replica of an arm serves, in the
// same unit, such as requests per second. An arm needs its share of the load. The baseline
// needs the whole load while keep is set: until the monitoring of a rollout has ended, a
// rollback must find it. An arm whose capacity is not known is not in the result. A load
// that is not a positive number counts as 0, for which each arm with traffic needs one
// replica.
func Floors(s strategies.Split, load float64, capacity map[string]float64, keep bool) map[string]int {
	if !(load > 0) {
		load = 0
	}
	floors := make(map[string]int)
	for _, a := range s.Arms {
		c := capacity[a.Name]
		share := a.Weight
		if keep && a.Name == s.Baseline() {
			share = strategies.Full
		}
		if !(c > 0) || share == 0 {
			continue
		}
		// The share is exact, so that 20 % of 100 by 10 is 2, not 3.
		n := math.Ceil(load*float64(share)/(c*float64(strategies.Full)) - 1e-9)
		floors[a.Name] = int(max(1, min(n, maxReplicas)))
	}
	return floors
}
