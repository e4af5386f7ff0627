package checks_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// A gate opens when every check has looked and found nothing wrong. One that
// could not look keeps it shut as surely as one that failed.
func Example() {
	report := checks.Run(context.Background(), map[string]checks.Check{
		"evaluation": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Pass, Summary: "0.81, 0.79 demanded"}
		}),
		"licence": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Err: errors.New("no route to the registry")}
		}),
	})
	fmt.Println(report.Status, report.Status.Opens())
	fmt.Println(report.Summary())
	// Output:
	// unknown false
	// 1 of 2 pass; licence: unknown (no route to the registry)
}

// A check that does not return is abandoned when its time is up.
func ExampleWithTimeout() {
	forever := checks.Func(func(context.Context) checks.Result { select {} })
	res := checks.WithTimeout(time.Millisecond, forever).Check(context.Background())
	fmt.Println(res.Status, res.Err)
	// Output: unknown checks: not finished in time, abandoned: its timeout is 1ms: context deadline exceeded
}

func ExampleReport_Failure() {
	report := checks.Run(context.Background(), map[string]checks.Check{
		"load test": checks.Func(func(context.Context) checks.Result {
			return checks.Result{Status: checks.Fail, Summary: "ttft p95 461 ms > 400 ms"}
		}),
	})
	var failed *checks.FailedError
	if errors.As(report.Failure(), &failed) {
		fmt.Println(len(failed.Results), failed)
	}
	// Output: 1 checks: load test: fail (ttft p95 461 ms > 400 ms)
}
