package analysis_test

import (
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

func ExampleRecorder_Monitor() {
	plan := analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}}
	rollout, err := analysis.NewRecorder(plan, "1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	comparison, err := rollout.Comparison("1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 1000 {
		o := analysis.Observation{Class: analysis.OK, Arm: "1.4.0"}
		if i%100 == 0 {
			o.Class = analysis.Error
		}
		rollout.Record(o)
	}
	comparison.Judge(time.Now())

	// The candidate is promoted. Days later the baseline is gone, but not what
	// it was.
	after, err := analysis.NewRecorder(plan, "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	monitor, err := after.Monitor("1.5.0", comparison.Evidence())
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 300 {
		o := analysis.Observation{Class: analysis.OK, Arm: "1.5.0"}
		if i > 100 && i%10 == 0 {
			o.Class = analysis.Error
		}
		after.Record(o)
		if report := monitor.Look(time.Now()); report.Alarm {
			fmt.Printf("after %d requests: %s\n", i, report.Reason)
			break
		}
	}
	// Output:
	// after 280 requests: 1.5.0 has become worse: error rate in 10.5 % of the last 171 requests, where 2.53 % is allowed
}
