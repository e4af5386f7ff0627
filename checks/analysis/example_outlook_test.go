package analysis_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

func ExamplePlan_Outlook() {
	o, err := analysis.Plan{}.Outlook(analysis.Traffic{PerSecond: 50, Share: 0.1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range o.Harmed {
		fmt.Printf("%-11s found within %v in nine of ten rollouts\n", e.Regression.Name, e.P90Time.Round(time.Second))
	}
	fmt.Printf("%-11s proven within %v in nine of ten rollouts\n", "equal", o.Safe.P90Time.Round(time.Second))
	// Output:
	// 5 % errors  found within 1m10s in nine of ten rollouts
	// 2 % errors  found within 10m57s in nine of ten rollouts
	// times +50 % found within 17s in nine of ten rollouts
	// times +10 % found within 3m49s in nine of ten rollouts
	// equal       proven within 13m42s in nine of ten rollouts
}

func ExampleEffect_String() {
	fmt.Println(analysis.Effect{Known: true, Ratio: true, Value: 1.08, Low: 1.02, High: 1.15, Level: 0.95})
	fmt.Println(analysis.Effect{Known: true, Value: 0.008, Low: -0.002, High: 0.019, Level: 0.95})
	fmt.Println(analysis.Effect{})
	// Output:
	// x1.08 (1.02 to 1.15)
	// +0.8 points (-0.2 to +1.9)
	// unknown
}
