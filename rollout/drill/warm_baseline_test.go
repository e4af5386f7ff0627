package drill_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/strategies"
)

// moved is a split after a blue-green deployment has moved, or a part of the way.
func moved(candidate int) strategies.Split {
	return strategies.Split{Arms: []strategies.Arm{
		{Name: "1.4.0", Weight: strategies.Percent(100 - candidate)}, {Name: "1.5.0", Weight: strategies.Percent(candidate)},
	}}
}

// warm is a twin in which the candidate has all traffic: 100 requests a second, of which a
// replica serves 10.
func warm() drill.WarmBaselineOptions {
	return drill.WarmBaselineOptions{
		Split:    func(context.Context) (strategies.Split, error) { return moved(100), nil },
		Load:     func(context.Context) (float64, error) { return 100, nil },
		Capacity: 10,
		Ready: func(_ context.Context, version string) (int, error) {
			return map[string]int{"1.4.0": 10, "1.5.0": 3}[version], nil
		},
		Send: func(_ context.Context, version string) error {
			if version != "1.4.0" {
				return errTwin
			}
			return nil
		},
	}
}

func TestWarmBaseline(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*drill.WarmBaselineOptions)
		status checks.Status
	}{
		"warm": {func(o *drill.WarmBaselineOptions) {}, checks.Pass},
		"part of the way": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) { return moved(5), nil }
		}, checks.Pass},
		"one replica is missing": {func(o *drill.WarmBaselineOptions) {
			o.Ready = func(context.Context, string) (int, error) { return 9, nil }
		}, checks.Fail},
		"one replica is missing, part of the way": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) { return moved(5), nil }
			o.Ready = func(context.Context, string) (int, error) { return 9, nil }
		}, checks.Fail},
		"no load still needs one": {func(o *drill.WarmBaselineOptions) {
			o.Load = func(context.Context) (float64, error) { return 0, nil }
			o.Ready = func(context.Context, string) (int, error) { return 0, nil }
		}, checks.Fail},
		"does not answer": {func(o *drill.WarmBaselineOptions) {
			o.Send = func(context.Context, string) error { return errTwin }
		}, checks.Fail},
		"hangs": {func(o *drill.WarmBaselineOptions) {
			o.Send = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		}, checks.Fail},
		"send panics": {func(o *drill.WarmBaselineOptions) {
			o.Send = func(context.Context, string) error { panic("twin") }
		}, checks.Unknown},
		"nothing has moved": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) { return moved(0), nil }
		}, checks.Unknown},
		"only the new version is left": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) {
				return strategies.Split{Arms: []strategies.Arm{{Name: "1.5.0", Weight: strategies.Full}}}, nil
			}
		}, checks.Unknown},
		"invalid split": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) { return strategies.Split{}, nil }
		}, checks.Unknown},
		"unknown split": {func(o *drill.WarmBaselineOptions) {
			o.Split = func(context.Context) (strategies.Split, error) { return moved(100), errTwin }
		}, checks.Unknown},
		"unknown load": {func(o *drill.WarmBaselineOptions) {
			o.Load = func(context.Context) (float64, error) { return 0, errTwin }
		}, checks.Unknown},
		"no number": {func(o *drill.WarmBaselineOptions) {
			o.Load = func(context.Context) (float64, error) { return math.NaN(), nil }
		}, checks.Unknown},
		"negative load": {func(o *drill.WarmBaselineOptions) {
			o.Load = func(context.Context) (float64, error) { return -1, nil }
		}, checks.Unknown},
		"infinite load": {func(o *drill.WarmBaselineOptions) {
			o.Load = func(context.Context) (float64, error) { return math.Inf(1), nil }
		}, checks.Unknown},
		"unknown replicas": {func(o *drill.WarmBaselineOptions) {
			o.Ready = func(context.Context, string) (int, error) { return 10, errTwin }
		}, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := warm()
				tt.change(&o)
				res := drill.WarmBaseline(o).Check(t.Context())
				want(t, res, tt.status)
				if res.Status != checks.Unknown && (res.Evidence["baseline"] != "1.4.0" || res.Evidence["ready"] == "" || res.Evidence["needed"] == "") {
					t.Errorf("evidence %v", res.Evidence)
				}
			})
		})
	}
}

func TestWarmBaselineEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o := warm()
		o.Send = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		res := drill.WarmBaseline(o).Check(ctx)
		want(t, res, checks.Unknown)
		if !errors.Is(res.Err, context.DeadlineExceeded) {
			t.Error(res.Err)
		}
	})
}

func TestWarmBaselineInvalidOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*drill.WarmBaselineOptions)
		want   []string
	}{
		"zero":     {func(o *drill.WarmBaselineOptions) { *o = drill.WarmBaselineOptions{} }, []string{"Capacity", "Load", "Ready", "Send", "Split"}},
		"negative": {func(o *drill.WarmBaselineOptions) { o.Capacity, o.Timeout = -1, -1 }, []string{"Capacity", "Timeout"}},
		"infinite": {func(o *drill.WarmBaselineOptions) { o.Capacity = math.Inf(1) }, []string{"Capacity"}},
		"NaN":      {func(o *drill.WarmBaselineOptions) { o.Capacity = math.NaN() }, []string{"Capacity"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := warm()
			tt.change(&o)
			for i := range tt.want {
				tt.want[i] = "WarmBaselineOptions." + tt.want[i]
			}
			if got := fields(t, drill.WarmBaseline(o).Check(t.Context())); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestWarmBaselineConformance(t *testing.T) {
	checkstest.Exercise(t, func(*testing.T) checks.Check { return drill.WarmBaseline(warm()) })
	digests(t, drill.WarmBaseline(warm()), drill.WarmBaseline(drill.WarmBaselineOptions{Capacity: 10}),
		drill.WarmBaseline(drill.WarmBaselineOptions{Capacity: 11}), drill.WarmBaseline(drill.WarmBaselineOptions{Capacity: 10, Timeout: time.Second}))
}

// ExampleWarmBaseline finds that the previous version was scaled down too early.
func ExampleWarmBaseline() {
	check := drill.WarmBaseline(drill.WarmBaselineOptions{
		Split: func(context.Context) (strategies.Split, error) { // of the router of the twin
			return strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0"}, {Name: "1.5.0", Weight: strategies.Full}}}, nil
		},
		Load:     func(context.Context) (float64, error) { return 100, nil }, // requests per second
		Capacity: 10,
		Ready:    func(context.Context, string) (int, error) { return 2, nil },
		Send:     func(context.Context, string) error { return nil },
	})
	res := check.Check(context.Background())
	fmt.Println(res.Status, res.Summary)
	// Output: fail baseline "1.4.0" has 2 of the 10 replicas that a rollback needs
}
