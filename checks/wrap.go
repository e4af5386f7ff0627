package checks

import (
	"context"
	"fmt"
	"time"
)

// WithTimeout returns c with a limit of d on the time it takes. A check that
// exceeds it is abandoned, even if it ignores its context, and is Unknown.
func WithTimeout(d time.Duration, c Check) Check {
	return derived{parts: []Check{c}, Func: func(ctx context.Context) Result {
		cause := fmt.Errorf("its timeout is %v: %w", d, context.DeadlineExceeded)
		ctx, cancel := context.WithTimeoutCause(ctx, d, cause)
		defer cancel()
		return contain(ctx, c)
	}}
}

// WithRetry returns c tried up to n times, waiting in between, until it can
// tell: until the status is not Unknown. A Fail is an answer, so it is not
// tried again. The result is that of the last try.
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
