package anomaly_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/anomaly"
)

func Example() {
	detector, err := anomaly.NewRobust(anomaly.Tuning{Window: 60, Min: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, x := range []float64{10, 11, 9, 10, 12, 10, 9, 11, 20} {
		at = at.Add(time.Minute)
		r := detector.Add(at, x)
		if r.State != 0 {
			fmt.Printf("%v: %.0f, expected %.0f, score %.3f of %.0f\n", r.State, r.Value, r.Expected, r.Score, r.Limit)
		}
	}
	// Output: fail: 20, expected 10, score 6.745 of 5
}

// Limits for one false alarm in four weeks, from a week of values.
func ExampleCalibrate() {
	_, err := anomaly.Calibrate([]float64{1, 2, 3}, 0.25)
	fmt.Println(err)
	// Output: anomaly: history is 3 values, want at least 1000 values
}
