package external_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/external"
)

// A source is anything that answers. Here it is a table; see package prometheus
// for one that asks a server.
func ExampleAnalysis() {
	source := external.SourceFunc(func(_ context.Context, query string) ([]float64, error) {
		return map[string][]float64{"success rate": {0.93}, "queue length": {4, 9}}[query], nil
	})
	a, err := external.New(external.Config{Source: source, Metrics: []external.Metric{
		{Name: "success rate", Query: "success rate", Success: external.MustCondition("result[0] >= 0.95")},
		{Name: "queues", Query: "queue length", Failure: external.MustCondition("any(result, # > 100)")},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	report := checks.Run(context.Background(), map[string]checks.Check{"dashboards": a})
	fmt.Println(report.Status)
	fmt.Println(report.Summary())
	// Output:
	// fail
	// 0 of 1 pass; dashboards: fail (metric "success rate" is failed: 1 failed, at most 0 allowed)
}

// A condition that is not one is found before anything is measured.
func ExampleParseCondition() {
	_, err := external.ParseCondition("result[0] >= 95%")
	fmt.Println(err)
	var where *external.ConditionError
	fmt.Println(errors.As(err, &where), where.At)
	// Output:
	// external: condition "result[0] >= 95%": syntax error (have "%", want &&, || or the end)
	// true 15
}
