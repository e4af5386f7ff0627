// Package attempts lets a transport that sends a request more than once report that
// to the router, which charges each attempt. The two need not import each other.
package attempts

import "context"

// Counter takes the attempts at a request whose answers a transport does not return.
type Counter interface {
	// CountAttempt counts an attempt that was a hedge or a retry, and the status of
	// its answer, 0 if there was none.
	CountAttempt(hedge bool, status int)
}

type key struct{}

// With returns a context whose requests are counted.
func With(ctx context.Context, c Counter) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// Count counts an attempt at the request of a context, if it is counted.
func Count(ctx context.Context, hedge bool, status int) {
	if c, ok := ctx.Value(key{}).(Counter); ok {
		c.CountAttempt(hedge, status)
	}
}
