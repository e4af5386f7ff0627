package pace_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/loadtest/pace"
)

func ExampleStages() {
	schedule := pace.Stages(
		pace.Stage{Pacer: pace.Ramp(0, 4, 2*time.Second), For: 2 * time.Second},
		pace.Stage{Pacer: pace.Constant(4), For: time.Second},
	)
	for at := range schedule.Arrivals() {
		fmt.Print(at.Round(time.Millisecond), " ")
	}
	fmt.Println()
	// Output: 1s 1.414s 1.732s 2s 2.25s 2.5s 2.75s 3s
}
