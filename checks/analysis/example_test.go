package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Example follows synthetic traffic, half of it to a candidate whose time to first
// token is 60 % longer, and judges each second until it knows.
func Example() {
	rec, err := analysis.NewRecorder(analysis.Plan{}, "1.5.0", "1.6.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	cmp, err := rec.Comparison("1.6.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	// All evidence rests on the shares by which requests are assigned.
	const generation = 1
	if err := rec.Expect(generation, map[string]float64{"1.5.0": 1, "1.6.0": 1}); err != nil {
		fmt.Println(err)
		return
	}
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var j analysis.Judgement
	for j.Verdict != analysis.Harmed {
		for range 20 {
			o := request(rng)
			// At the assignment, and when the answer has ended.
			flight := rec.Begin(analysis.Assigned{Arm: o.Arm, Generation: generation, Stream: true, At: now})
			o.At = now.Add(o.Latency)
			flight.Done(o)
		}
		now = now.Add(time.Second)
		j = cmp.Judge(now)
	}
	fmt.Println(j.Verdict, "-", j.Reason)
	for _, f := range j.Metrics[:3] {
		fmt.Printf("%-10s %6s | %6s  e-value %.3g of %.3g\n", f.Metric,
			analysis.FormatValue(f.Baseline, f.Kind, f.Unit),
			analysis.FormatValue(f.Candidate, f.Kind, f.Unit),
			f.Harm.E, f.Harm.Limit)
	}
	// Output:
	// harmed - ttft is worse: candidate 314 ms against 209 ms at the median, e-value 190 of 20 after 242 requests
	// error rate 1.68 % |    0 %  e-value 1 of 41.2
	// unanswered 1.68 % |    0 %  e-value 1 of 165
	// ttft       209 ms | 314 ms  e-value 2.93e+03 of 330
}

// request is one simulated request of a service with 1 % errors and log-normal
// times.
func request(rng *rand.Rand) analysis.Observation {
	o := analysis.Observation{Class: analysis.OK, Arm: "1.5.0"}
	slower := 1.0
	if rng.IntN(2) == 1 {
		o.Arm, slower = "1.6.0", 1.6
	}
	if rng.IntN(100) == 0 {
		o.Class = analysis.Error
		return o
	}
	seconds := func(median float64) time.Duration {
		return time.Duration(median * math.Exp(0.4*rng.NormFloat64()) * float64(time.Second))
	}
	o.TTFT = seconds(0.2 * slower)
	o.ITL = seconds(0.002)
	o.OutputTokens = 100
	o.Latency = o.TTFT + 99*o.ITL
	return o
}

// A threshold is an absolute limit, for live traffic and load tests alike.
func ExampleThreshold() {
	rec, err := analysis.NewRecorder(analysis.Plan{}, "1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 100 {
		rec.Record(analysis.Observation{Class: analysis.OK, Arm: "1.5.0", TTFT: time.Duration(200+i) * time.Millisecond})
	}
	summary, err := rec.Summary("1.5.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"ttft p95 <= 250ms", "error rate <= 1%", "tokens/s p50 >= 20"} {
		slo, err := analysis.ParseThreshold(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		res := slo.Judge(summary)
		fmt.Println(res.Status, "-", res.Summary)
	}
	// Output:
	// fail - ttft p95 <= 250ms: 294 ms over 100 requests
	// pass - error rate <= 1%: 0 % over 100 requests
	// unknown - tokens/s p50 >= 20: no request has a value
}

// A plan with a custom metric: the share of answers that cite a source must not
// fall by more than two percentage points.
func ExampleMetric() {
	cited := map[string]bool{"a": true, "c": true} // by request
	plan := analysis.Plan{
		Metrics: []analysis.Metric{
			analysis.ErrorRate(),
			{
				Name: "cites a source", Kind: analysis.Rate, Better: analysis.Higher,
				Margin: analysis.Plus(0.02),
				Of: func(o analysis.Observation) (float64, bool) {
					if cited[o.ID] {
						return 1, o.Class == analysis.OK
					}
					return 0, o.Class == analysis.OK
				},
			},
		},
	}
	rec, err := analysis.NewRecorder(plan, "1.5.0", "1.6.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		rec.Arm("1.6.0").Record(analysis.Observation{Class: analysis.OK, ID: id})
	}
	summary, err := rec.Summary("1.6.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range summary.Metrics {
		fmt.Println(m.Metric, analysis.FormatValue(m.Mean, m.Kind, m.Unit))
	}
	// Output:
	// error rate 0 %
	// cites a source 50 %
}

// Everything that is wrong with a plan is reported at once.
func ExamplePlan_Validate() {
	plan := analysis.Plan{
		Metrics: []analysis.Metric{
			{Name: "toxicity", Kind: analysis.Score},
			{Name: "ttft", Kind: analysis.Amount, Unit: "s", Margin: analysis.Plus(0.1)},
		},
		AlphaRollback: 5,
		Breakers:      []analysis.Breaker{{Metric: "errors", Above: 0.2}},
	}
	fmt.Println(plan.Validate())
	// Output:
	// analysis: Plan.Metrics[0].Of is nil, want a function: there is no ready-made metric of that name
	// analysis: Plan.Metrics[1].Margin is +0.1, want a factor from 1 to 1000
	// analysis: Plan.AlphaRollback is 5, want 0 for 0.05, or a probability from 1e-9 to 0.5
	// analysis: Plan.Breakers[0].Metric is "errors", want the name of a metric of the plan whose kind is rate
}
