package external

import (
	"context"
	"errors"
)

// ErrNoData is what a [Source] returns when a query was answered, but without
// any value: a metric that nobody exports, or a window without requests.
var ErrNoData = errors.New("external: the query has no data")

// Source answers queries in a language of its own.
//
// Rules for implementations:
//   - Query may be called concurrently.
//   - It returns soon after ctx ends, with an error that wraps ctx's.
//   - It returns one value for a scalar and several for a series, in an order
//     that does not change from call to call; they may be NaN or infinite.
//   - An answer without values is [ErrNoData], never a zero.
type Source interface {
	Query(ctx context.Context, query string) ([]float64, error)
}

// SourceFunc is a function as a [Source].
type SourceFunc func(ctx context.Context, query string) ([]float64, error)

var _ Source = SourceFunc(nil)

// Query calls f.
func (f SourceFunc) Query(ctx context.Context, query string) ([]float64, error) {
	return f(ctx, query)
}
