package external

import (
	"context"
	"errors"
)

// ErrNoData means that a query has an answer without values, for example because the
// metric does not exist or the window has no requests. A [Source] returns it.
var ErrNoData = errors.New("external: query: no data")

// Source answers queries in its own language.
//
// Rules for implementations:
//   - Query is safe for concurrent use.
//   - It returns soon after ctx ends, with an error that wraps the error of ctx.
//   - It returns one value for a scalar and several for a series, in a stable order.
//     Values may be NaN or infinite.
//   - For an answer without values it returns [ErrNoData], never a zero.
type Source interface {
	Query(ctx context.Context, query string) ([]float64, error)
}

// SourceFunc adapts a function to a [Source].
type SourceFunc func(ctx context.Context, query string) ([]float64, error)

var _ Source = SourceFunc(nil)

// Query calls f.
func (f SourceFunc) Query(ctx context.Context, query string) ([]float64, error) {
	return f(ctx, query)
}
