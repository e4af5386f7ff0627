package checkstest_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/external"
	"github.com/serin-go/serin/internal/suitetest"
)

// good is a source that keeps all rules.
func good(ctx context.Context, query string) ([]float64, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case query == "scalar":
		return []float64{1}, nil
	case query == "series":
		return []float64{3, math.NaN(), math.Inf(1)}, nil
	}
	return nil, external.ErrNoData
}

func sourceSuite(f external.SourceFunc) func(t *testing.T) {
	return func(t *testing.T) {
		checkstest.Source(t, func(*testing.T) (external.Source, checkstest.Queries) {
			return f, checkstest.Queries{Scalar: "scalar", Series: "series", NoData: "none"}
		})
	}
}

func TestSource(t *testing.T) { sourceSuite(good)(t) }

func TestBrokenSources(t *testing.T) {
	crowd := suitetest.NewCrowd()
	shared := []float64{3, 4, 5}
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part   string
		source external.SourceFunc
	}{
		"returns values in any order": {"Values", func(ctx context.Context, query string) ([]float64, error) {
			got, err := good(ctx, query)
			if len(got) > 1 {
				got = []float64{rand.Float64(), rand.Float64()}
			}
			return got, err
		}},
		"returns the first value of a series": {"Values", func(ctx context.Context, query string) ([]float64, error) {
			got, err := good(ctx, query)
			return got[:min(len(got), 1)], err
		}},
		"returns its own values": {"Values", func(ctx context.Context, query string) ([]float64, error) {
			if query == "series" {
				return shared, nil
			}
			return good(ctx, query)
		}},
		"returns zero for no data": {"NoData", func(ctx context.Context, query string) ([]float64, error) {
			got, err := good(ctx, query)
			if errors.Is(err, external.ErrNoData) {
				return []float64{0}, nil
			}
			return got, err
		}},
		"returns no values and no error": {"NoData", func(ctx context.Context, query string) ([]float64, error) {
			got, err := good(ctx, query)
			if errors.Is(err, external.ErrNoData) {
				err = nil
			}
			return got, err
		}},
		"answers one query at a time": {"Concurrent", func(ctx context.Context, query string) ([]float64, error) {
			if crowd.Meet() {
				return nil, errors.New("busy")
			}
			return good(ctx, query)
		}},
		"ignores the context": {"Ended", func(_ context.Context, query string) ([]float64, error) { return good(context.Background(), query) }},
		"hides the error of the context": {"Ended", func(ctx context.Context, query string) ([]float64, error) {
			if ctx.Err() != nil {
				return nil, errors.New("interrupted")
			}
			return good(ctx, query)
		}},
		"calls every end a cancellation": {"Ended", func(ctx context.Context, query string) ([]float64, error) {
			if ctx.Err() != nil {
				return nil, context.Canceled
			}
			return good(ctx, query)
		}},
		"hangs": {"Ended", func(context.Context, string) ([]float64, error) { select {} }},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: sourceSuite(b.source)}
	}
	suitetest.Fails(t, all)
}
