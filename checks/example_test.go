package checks_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
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
	// Output: unknown checks: check: not finished in time, abandoned: timeout of 1ms: context deadline exceeded
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

// A region is ready if its certificate is good and one of two databases answers.
func ExampleAll() {
	says := func(s checks.Status, summary string) checks.Check {
		return checks.Func(func(context.Context) checks.Result { return checks.Result{Status: s, Summary: summary} })
	}
	ready := checks.All(
		checks.Named("tls", says(checks.Pass, "41 more days")),
		checks.Named("database", checks.Any(says(checks.Fail, "read-only"), says(checks.Fail, "disk full"))),
	)
	res := ready.Check(context.Background())
	fmt.Println(res.Status, res.Summary)
	// Output: fail 1 of 2 pass; database: fail (0 of 2 pass; 1: fail (read-only); 2: fail (disk full))
}

// An expensive check is run at most once in ten minutes.
func ExampleCached() {
	runs := 0
	c := checks.Cached(10*time.Minute, checks.Func(func(context.Context) checks.Result {
		runs++
		return checks.Result{Status: checks.Pass}
	}))
	for range 3 {
		fmt.Println(c.Check(context.Background()).Status)
	}
	fmt.Println(runs)
	// Output:
	// pass
	// pass
	// pass
	// 1
}

// items is a list of demands, each of which could be looked at.
type items []string

func (i items) Check(context.Context) checks.Result {
	return checks.Result{Status: checks.Pass, Summary: fmt.Sprint(len(i), " items")}
}

// Digest changes if an item is added, removed or renamed.
func (i items) Digest() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(i, "\n"))))
}

// A rollout that waits for people is paused if the list behind its gate has lost items.
func ExampleDigester() {
	approved, err := checks.DigestOf(checks.WithTimeout(time.Minute, items{"backup", "rbac"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	now, err := checks.DigestOf(checks.WithTimeout(time.Minute, items{"backup"}))
	fmt.Println(approved == now, err)
	// Output: false <nil>
}
