package checks

import (
	"context"
	"fmt"
	"time"
)

// WithTimeout returns c with a timeout d. A check that exceeds it is abandoned, even if it
// ignores its context, and its result is Unknown.
func WithTimeout(d time.Duration, c Check) Check {
	return derived{parts: []Check{c}, Func: func(ctx context.Context) Result {
		cause := fmt.Errorf("timeout of %v: %w", d, context.DeadlineExceeded)
		ctx, cancel := context.WithTimeoutCause(ctx, d, cause)
		defer cancel()
		return contain(ctx, c)
	}}
}

// WithRetry returns a check that runs c up to n times, with the given wait between runs,
// until its status is not Unknown. It does not retry a Fail. It returns the last result.
// If n is zero or negative, it runs c once.
func WithRetry(n int, wait time.Duration, c Check) Check {
	return derived{parts: []Check{c}, Func: func(ctx context.Context) (res Result) {
		for i := range max(n, 1) {
			if i > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return res
				}
			}
			if res = contain(ctx, c); res.Status != Unknown {
				break
			}
		}
		return res
	}}
}
