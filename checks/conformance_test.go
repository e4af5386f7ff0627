package checks_test

import (
	"context"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
)

// waits is a check that returns when its context ends, and says so.
func waits(ctx context.Context) checks.Result {
	select {
	case <-ctx.Done():
		return checks.Result{Err: context.Cause(ctx)}
	case <-time.After(time.Millisecond):
		return checks.Result{Status: checks.Pass, Evidence: map[string]string{"a": "b"}}
	}
}

func TestConformance(t *testing.T) {
	for name, open := range map[string]func() checks.Check{
		"func":     func() checks.Check { return checks.Func(waits) },
		"nil func": func() checks.Check { return checks.Func(nil) },
		"named":    func() checks.Check { return checks.Named("n", items{"a"}) },
		"all":      func() checks.Check { return checks.All(checks.Func(waits), items{"a"}) },
		"all of 0": func() checks.Check { return checks.All() },
		"any":      func() checks.Check { return checks.Any(gives(checks.Fail), checks.Func(waits)) },
		"any of 0": func() checks.Check { return checks.Any() },
		"cached":   func() checks.Check { return checks.Cached(time.Hour, checks.Func(waits)) },
		"timeout":  func() checks.Check { return checks.WithTimeout(time.Hour, items{"a"}) },
		"timeout of a check that hangs": func() checks.Check {
			return checks.WithTimeout(time.Microsecond, checks.Func(func(context.Context) checks.Result { select {} }))
		},
		"retry": func() checks.Check { return checks.WithRetry(2, time.Microsecond, checks.Func(nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			checkstest.Exercise(t, func(*testing.T) checks.Check { return open() })
		})
	}
}
