package analysis_test

import (
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// TestEachMetricInEachRole: answers with everything that can be measured are judged,
// whichever metric is a gate, a guard or a report.
func TestEachMetricInEachRole(t *testing.T) {
	for _, role := range []analysis.Role{analysis.Gate, analysis.Guard, analysis.Report} {
		for i, m := range analysis.DefaultMetrics() {
			p := analysis.Plan{Metrics: analysis.DefaultMetrics()}
			p.Metrics[i].Role = role
			rec, err := analysis.NewRecorder(p, "old", "new")
			if err != nil {
				t.Errorf("%v %s: %v", role, m.Name, err)
				continue
			}
			cmp, err := rec.Comparison("new")
			if err != nil {
				t.Fatal(err)
			}
			if err := rec.Expect(1, map[string]float64{"old": .5, "new": .5}); err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
			cmp.Stage(1, at)
			for i := range 2000 {
				f := rec.Begin(analysis.Assigned{Arm: []string{"old", "new"}[i%2], Slot: uint16(i), Slotted: true, Generation: 1, Stream: i%3 == 0, At: at})
				f.First(at.Add(time.Second))
				f.Done(analysis.Observation{
					At: at.Add(3 * time.Second), Class: analysis.OK, TTFT: time.Second, ITL: 10 * time.Millisecond, Latency: 3 * time.Second, Stall: 20 * time.Millisecond,
					InputTokens: 10, OutputTokens: 20, Cost: 10, Score: 1, Scored: true, Finish: analysis.FinishStop,
				})
				if at = at.Add(20 * time.Millisecond); i%50 == 0 {
					cmp.Judge(at)
				}
			}
			if j := cmp.Judge(at.Add(time.Minute)); j.Verdict == analysis.Harmed {
				t.Errorf("%v %s: %s", role, m.Name, j.Reason)
			}
		}
	}
}
