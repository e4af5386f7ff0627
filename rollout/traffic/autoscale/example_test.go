package autoscale_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/strategies"
)

// Four model servers have 45 waiting requests each, where 30 are wanted.
func ExampleScaler_Next() {
	scaler := autoscale.Scaler{Min: 2, Max: 20}
	decision, state := scaler.Next(autoscale.Input{
		At: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Ready: 4, Desired: 4, Busy: 4,
		Signals: []autoscale.Signal{
			{Name: "waiting", Sum: 180, Known: 4, Target: 30},
			{Name: "KV cache", Sum: 2.88, Known: 4, Target: 0.6},
		},
	}, autoscale.State{})
	fmt.Println(decision.Replicas, "replicas, because of", decision.By)
	_ = state // for the next call
	// Output: 6 replicas, because of waiting
}

// A candidate shall get 20 % of 100 requests a second, of which one replica serves 10.
func ExampleFloors() {
	split := strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(80)}, {Name: "1.5.0", Weight: strategies.Percent(20)}}}
	floors := autoscale.Floors(split, 100, map[string]float64{"1.4.0": 10, "1.5.0": 10}, true)
	fmt.Println(floors["1.4.0"], floors["1.5.0"])
	// Output: 10 2
}
