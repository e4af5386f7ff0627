// Package attempts is what the router and transports that send a request more than
// once say to each other in the context of a request: which attempts were made, so
// that each is charged, and which may be. The two need not import each other.
package attempts

import "context"

// Counter takes the attempts at a request whose answers a transport does not return.
type Counter interface {
	// CountAttempt counts an attempt that was a hedge or a retry, and the status of
	// its answer, 0 if there was none.
	CountAttempt(hedge bool, status int)
	// Sought reports whether a connection was looked for.
	Sought() bool
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

// Unsought returns the error of a transport that can be traced as an [UnsentError] if
// it has not even looked for a connection for a request that is counted.
func Unsought(ctx context.Context, err error) error {
	if c, ok := ctx.Value(key{}).(Counter); ok && !c.Sought() {
		return &UnsentError{Err: err}
	}
	return err
}

type homeKey struct{}

// AtHome returns a context whose requests go on from something that one server keeps:
// they may be resent to that server, but not to another one.
func AtHome(ctx context.Context) context.Context {
	return context.WithValue(ctx, homeKey{}, true)
}

// IsAtHome reports whether ctx comes from [AtHome].
func IsAtHome(ctx context.Context) bool { return ctx.Value(homeKey{}) != nil }
