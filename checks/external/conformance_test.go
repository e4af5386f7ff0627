package external_test

import (
	"context"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/checks/external"
)

func TestConformance(t *testing.T) {
	open := func(t *testing.T, value float64, err error) *external.Analysis {
		a, bad := external.New(external.Config{
			Source: external.SourceFunc(func(ctx context.Context, _ string) ([]float64, error) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return []float64{value}, err
			}),
			Metrics: []external.Metric{{Name: "m", Query: "q", Success: external.MustCondition("result[0] > 1"), ConsecutiveErrorLimit: new(int)}},
		})
		if bad != nil {
			t.Fatal(bad)
		}
		return a
	}
	for name, check := range map[string]func(t *testing.T) checks.Check{
		"successful": func(t *testing.T) checks.Check { return open(t, 2, nil) },
		"failed":     func(t *testing.T) checks.Check { return open(t, 1, nil) },
		"no data":    func(t *testing.T) checks.Check { return open(t, 1, external.ErrNoData) },
		"guard":      func(t *testing.T) checks.Check { return open(t, 2, nil).Guard() },
		"guard that has run": func(t *testing.T) checks.Check {
			g := open(t, 2, nil).Guard()
			g.Run(t.Context())
			return g
		},
	} {
		t.Run(name, func(t *testing.T) { checkstest.Exercise(t, check) })
	}
}
