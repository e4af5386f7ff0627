package alert

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/serin-go/serin/checks"
)

// grace is how long a call may take after its context has ended.
const grace = time.Second

var (
	errAbandoned = errors.New("alert: it has not returned when its time was over, and is left alone")
	errStuck     = errors.New("alert: an earlier call has not returned yet")
)

// patient calls f, whose panics are errors, until ctx ends and a little longer. If f has
// not returned then, the error wraps errAbandoned, and over is closed when it does. Otherwise
// over is nil.
func patient[T any](ctx context.Context, f func(context.Context) (T, error)) (v T, over <-chan struct{}, err error) {
	type result struct {
		v   T
		err error
	}
	done, ended := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(ended)
		r := result{err: errors.New("alert: it has ended its goroutine")}
		defer func() {
			if v := recover(); v != nil {
				r.err = &checks.PanicError{Value: v, Stack: string(debug.Stack())}
			}
			done <- r
		}()
		v, err := f(ctx)
		r = result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, nil, r.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, nil, r.err
	case <-timer.C:
		return v, ended, fmt.Errorf("%w: %w", errAbandoned, context.Cause(ctx))
	}
}

// isOver reports whether a call has returned. Nil is one that was never made.
func isOver(over <-chan struct{}) bool {
	if over == nil {
		return true
	}
	select {
	case <-over:
		return true
	default:
		return false
	}
}
