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
	// 5 % errors  found within 1m19s in nine of ten rollouts
	// 2 % errors  found within 11m14s in nine of ten rollouts
	// times +50 % found within 17s in nine of ten rollouts
	// times +10 % found within 3m56s in nine of ten rollouts
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

// The operating curve says what a limit leaves time for.
func ExampleCurve() {
	o, err := analysis.Plan{}.Outlook(analysis.Traffic{PerSecond: 20, Share: 0.1, Limit: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(o.Curve)
	// Output:
	// before the limit of 1h0m0s, with 7,200 requests of the candidate
	// failures     equal        0.01     safe           99 %  rolled back    at most 5 %
	// failures     margin       0.02     safe    at most 5 %  rolled back         99.6 %
	// failures     1.5 x margin 0.025    safe    at most 5 %  rolled back    over 99.9 %
	// times        equal        x1       safe           99 %  rolled back    at most 5 %
	// times        tolerance    x1.05    safe           99 %  rolled back    at most 5 %
	// times        margin       x1.2     safe    at most 5 %  rolled back    over 99.9 %
	// times        1.5 x margin x1.3     safe    at most 5 %  rolled back    over 99.9 %
	// cost         equal        x1       safe           99 %  rolled back    at most 5 %
	// cost         tolerance    x1.05    safe           99 %  rolled back    at most 5 %
	// cost         margin       x1.2     safe    at most 5 %  rolled back    over 99.9 %
	// cost         1.5 x margin x1.3     safe    at most 5 %  rolled back    over 99.9 %
}
