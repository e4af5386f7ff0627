package analysis

import (
	"fmt"
	"math"
)

// Breaker is a limit on a rate of the candidate: a catastrophe does not wait for the
// other evidence. It trips when the rate is above the limit and the candidate's is
// worse than the baseline's, each with an e-value of 1,000: so it is wrong about an
// equal candidate in at most one rollout in a thousand, at any rate of the baseline.
// Of a rate where higher is better, such as a custom one, it limits the share of the
// others.
type Breaker struct {
	// Metric names a metric of the plan whose kind is Rate.
	Metric string `json:"metric"`
	// Above is the limit, a share from 0 to below 1.
	Above float64 `json:"above"`
}

// breakerLimit is the e-value at which a breaker trips.
const breakerLimit = 1000

// breakerState is a breaker and the number of its metric.
type breakerState struct {
	Breaker
	metric int
}

// trip notes which breaker trips, if one does. The recorder is settled.
func (c *Comparison) trip() {
	t := &c.tests
	if c.tripped == "" && len(c.breakers) > 0 {
		c.tripped = t.few.down(c.base.arm.name, c.cand.arm.name)
	}
	for i := range c.breakers {
		b := &c.breakers[i]
		if c.tripped != "" {
			return
		}
		for k := range t.live {
			e := &t.epochs[c.r.first[b.metric]][k]
			prior := math.Log(weightOf(t.starts[k]))
			above := prior + rateAbove(b.Above, e.events[1], max(e.n[1], e.events[1]))
			worse := prior + e.first
			if min(above, worse) < math.Log(breakerLimit) {
				continue
			}
			what := b.Metric
			if c.r.meters[b.metric].Better == Higher {
				what = "not " + what
			}
			c.tripped = fmt.Sprintf("breaker: %s above %s: %s of %s requests of %s, %s of %s of %s",
				what, percent(b.Above), thousands(int(e.events[1])), thousands(int(max(e.n[1], e.events[1]))), c.cand.arm.name,
				thousands(int(e.events[0])), thousands(int(e.n[0])), c.base.arm.name)
			return
		}
	}
}
