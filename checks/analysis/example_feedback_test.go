package analysis_test

import (
	"fmt"

	"github.com/serin-go/serin/checks/analysis"
)

func ExampleRecorder_Feedback() {
	rec, err := analysis.NewRecorder(analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate(), analysis.Stars()}}, "1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	rec.Record(analysis.Observation{Class: analysis.OK, ID: "7f3a", Arm: "1.5.0"})
	// Minutes later the user rates the answer, and then once more.
	fmt.Println(rec.Feedback("7f3a", analysis.FromStars(4)))
	fmt.Println(rec.Feedback("7f3a", analysis.FromStars(1)))
	summary, err := rec.Summary("1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stars, _ := summary.Metric("stars")
	fmt.Println(analysis.FormatValue(stars.Mean, stars.Kind, stars.Unit))
	// Output:
	// counted
	// repeated
	// 4 of 5
}
