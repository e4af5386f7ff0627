package analysis_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Two replicas see half of the traffic each; neither knows enough, but both
// together do. What they send to each other is plain data.
func ExamplePlan_Merge() {
	plan := analysis.Plan{Metrics: []analysis.Metric{analysis.ErrorRate()}, Breakers: []analysis.Breaker{}}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var parts []analysis.Evidence
	for replica := range 2 {
		rec, err := analysis.NewRecorder(plan, "1.4.0", "1.5.0")
		if err != nil {
			fmt.Println(err)
			return
		}
		cmp, err := rec.Comparison("1.5.0")
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := rec.Expect(1, map[string]float64{"1.4.0": 1, "1.5.0": 1}); err != nil {
			fmt.Println(err)
			return
		}
		now := start
		var j analysis.Judgement
		for i := range 200 { // ten of each arm a second
			for _, arm := range []string{"1.4.0", "1.5.0"} {
				o := analysis.Observation{Class: analysis.OK, At: now}
				if arm == "1.5.0" && i%25 == 0 {
					o.Class = analysis.Error
				}
				user := fmt.Sprint("user ", i, " of ", arm, " at replica ", replica)
				rec.Begin(analysis.Assigned{Arm: arm, Unit: user, Generation: 1, At: now}).Done(o)
			}
			if i%10 == 9 {
				now = now.Add(time.Second)
				j = cmp.Judge(now)
			}
		}
		fmt.Println("alone:", j.Verdict)
		data, err := json.Marshal(cmp.Evidence())
		if err != nil {
			fmt.Println(err)
			return
		}
		var sent analysis.Evidence
		if err := json.Unmarshal(data, &sent); err != nil {
			fmt.Println(err)
			return
		}
		parts = append(parts, sent)
	}
	all, err := plan.Merge(parts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	j, err := plan.Judge(all, start)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("together:", j.Verdict)
	// Output:
	// alone: continue
	// alone: continue
	// together: harmed
}

// A proxy that sends a third of the traffic to the candidate, where a tenth was
// meant: nothing that is measured of it can be trusted.
func ExampleRecorder_Expect() {
	rec, err := analysis.NewRecorder(analysis.Plan{}, "1.4.0", "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	cmp, err := rec.Comparison("1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	const generation = 7
	if err := rec.Expect(generation, map[string]float64{"1.4.0": 90, "1.5.0": 10}); err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 300 {
		arm := "1.4.0"
		if i%3 == 0 {
			arm = "1.5.0"
		}
		flight := rec.Begin(analysis.Assigned{Arm: arm, Generation: generation, At: now})
		flight.Done(analysis.Observation{Class: analysis.OK, At: now.Add(time.Second)})
	}
	j := cmp.Judge(now.Add(time.Second))
	fmt.Println(j.Verdict, "-", j.Reason)
	// Output:
	// unmeasurable - traffic is not split as intended: 100 of 300 assignments to 1.5.0, where 30 were meant, e-value over a million of 100; nothing can be concluded from it
}
