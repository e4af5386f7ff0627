package kayenta_test

import (
	"fmt"

	"github.com/serin-go/serin/internal/kayenta"
)

func ExampleScore() {
	latency := kayenta.Metric{Name: "latency", Groups: []string{"speed"}, Direction: kayenta.Increase}
	errors := kayenta.Metric{Name: "errors", Groups: []string{"quality"}, Direction: kayenta.Increase}
	results := []kayenta.Result{
		latency.Classify([]float64{310, 305, 322, 317, 308, 315}, []float64{201, 198, 205, 210, 199, 204}),
		errors.Classify([]float64{0, 1, 0, 2, 1, 0}, []float64{1, 0, 0, 1, 1, 2}),
	}
	for _, r := range results {
		fmt.Printf("%s: %v\n", r.Metric, r.Label)
	}
	score, _ := kayenta.Score(results, map[string]float64{"speed": 30, "quality": 70})
	fmt.Println("score", score)
	// Output:
	// latency: High
	// errors: Pass
	// score 70
}
