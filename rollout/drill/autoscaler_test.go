package drill_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
)

// scaled is a twin whose requests take two seconds, with the given rule for its replicas.
type scaled struct {
	inFlight, desired atomic.Int64
	failing           bool
}

func (s *scaled) send(ctx context.Context, _ int) error {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.failing {
		return errTwin
	}
	return nil
}

func (s *scaled) want(context.Context) (int, error) { return int(s.desired.Load()), nil }

// run calls rule every 15 s until ctx ends, half a second apart from the looks of a drill.
func (s *scaled) run(ctx context.Context, rule func()) {
	wait := 500 * time.Millisecond
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		rule()
		wait = 15 * time.Second
	}
}

func (s *scaled) options() drill.AutoscalerOptions {
	return drill.AutoscalerOptions{Desired: s.want, Send: s.send, Rate: 20}
}

// scale runs the drill on a twin with 2 replicas, whose rule is made by the given function.
func scale(t *testing.T, change func(*drill.AutoscalerOptions), make func(s *scaled) func()) (res checks.Result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scaled{}
		s.desired.Store(2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.run(ctx, make(s))
		o := s.options()
		if change != nil {
			change(&o)
		}
		began := time.Now()
		res = drill.Autoscaler(o).Check(ctx)
		took = time.Since(began)
		synctest.Wait()
		if n := s.inFlight.Load(); n != 0 {
			t.Errorf("%d requests go on after the drill", n)
		}
	})
	return res, took
}

// never is the rule of a scaler that does nothing.
func never(*scaled) func() { return func() {} }

// TestAutoscalerHPA runs the drill on the algorithm of Kubernetes, with its window of 300 s.
func TestAutoscalerHPA(t *testing.T) {
	// 42 requests in flight, one more or less, of which a replica should have 8.
	res, _ := scale(t, func(o *drill.AutoscalerOptions) { o.Rate = 21 }, func(s *scaled) func() {
		var st autoscale.State
		scaler := autoscale.Scaler{Min: 2, Max: 20}
		return func() {
			n := int(s.desired.Load())
			var d autoscale.Decision
			d, st = scaler.Next(autoscale.Input{At: time.Now(), Ready: n, Desired: n, Busy: min(n, int(s.inFlight.Load())),
				Signals: []autoscale.Signal{{Name: "in flight", Sum: float64(s.inFlight.Load()), Known: n, Target: 8}}}, st)
			s.desired.Store(int64(d.Replicas))
		}
	})
	want(t, res, checks.Pass)
	if e := res.Evidence; e["highest"] != "6" || e["reversals"] != "1" || e["failed"] != "0" {
		t.Error(e)
	}
}

func TestAutoscalerFinds(t *testing.T) {
	// steps returns a rule that sets the numbers one after the other, one each 15 s.
	steps := func(numbers ...int64) func(*scaled) func() {
		return func(s *scaled) func() {
			return func() {
				if len(numbers) > 0 {
					s.desired.Store(numbers[0])
					numbers = numbers[1:]
				}
			}
		}
	}
	follow := func(n int64) func(*scaled) func() {
		return func(s *scaled) func() {
			return func() {
				if s.inFlight.Load() > 0 {
					s.desired.Store(n)
				} else {
					s.desired.Store(2)
				}
			}
		}
	}
	quick := func(o *drill.AutoscalerOptions) { o.Within, o.Down = time.Minute, time.Minute }
	for name, tt := range map[string]struct {
		rule   func(*scaled) func()
		status checks.Status
		took   time.Duration
	}{
		"follows":                      {follow(5), checks.Pass, 2 * time.Minute},
		"never":                        {never, checks.Fail, time.Minute},
		"down":                         {steps(2, 1), checks.Fail, time.Minute},
		"too late":                     {steps(2, 2, 2, 2, 2, 4), checks.Fail, time.Minute},
		"never falls":                  {steps(2, 4), checks.Fail, 3 * time.Minute},
		"falls to another number":      {steps(2, 5, 5, 5, 5, 5, 5, 5, 5, 3), checks.Fail, 3 * time.Minute},
		"falls while the load goes on": {steps(2, 4, 4, 2), checks.Fail, 2 * time.Minute},
		"three reversals":              {steps(2, 6, 4, 5, 5, 5, 5, 5, 5, 2), checks.Fail, 0},
		"two reversals":                {steps(2, 1, 4, 4, 4, 4, 4, 4, 4, 2), checks.Pass, 0},
		"corrects down":                {steps(2, 6, 4, 4, 4, 4, 4, 4, 4, 2), checks.Pass, 2*time.Minute + 15*time.Second},
		"flaps":                        {steps(2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4), checks.Fail, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			res, took := scale(t, quick, tt.rule)
			want(t, res, tt.status)
			if tt.took > 0 && (took < tt.took || took > tt.took+time.Second) {
				t.Errorf("took %v, want %v to a second more", took, tt.took)
			}
		})
	}
}

// TestAutoscalerLimits: a change counts until the limit, however long the time between two
// looks is.
func TestAutoscalerLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		rise, fall time.Duration // after the begin of the load, which ends after 20 s
		slow       time.Duration // of Desired
		status     checks.Status
	}{
		"in time":             {9500 * time.Millisecond, 29500 * time.Millisecond, 0, checks.Pass},
		"rises late":          {13 * time.Second, 29 * time.Second, 0, checks.Fail},
		"falls late":          {5 * time.Second, 31 * time.Second, 0, checks.Fail},
		"falls with the load": {5 * time.Second, 19500 * time.Millisecond, 0, checks.Fail},
		"a call of 500 ms":    {10300 * time.Millisecond, 29 * time.Second, 500 * time.Millisecond, checks.Pass},
		"a call of 5 s":       {11 * time.Second, 29 * time.Second, 5 * time.Second, checks.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now().Add(tt.slow)
				res := drill.Autoscaler(drill.AutoscalerOptions{
					Rate: 1, Within: 10 * time.Second, LoadFor: 20 * time.Second, Down: 10 * time.Second, Every: 7 * time.Second,
					Send: func(context.Context, int) error { return nil },
					Desired: func(context.Context) (int, error) {
						time.Sleep(tt.slow)
						if d := time.Since(began); d >= tt.rise && d < tt.fall {
							return 3, nil
						}
						return 1, nil
					},
				}).Check(t.Context())
				want(t, res, tt.status)
			})
		})
	}
}

func TestAutoscalerUnknown(t *testing.T) {
	t.Run("no request is answered", func(t *testing.T) {
		res, _ := scale(t, func(o *drill.AutoscalerOptions) {
			o.Send = func(context.Context, int) error { return errTwin }
		}, never)
		want(t, res, checks.Unknown)
	})
	t.Run("desired fails", func(t *testing.T) {
		looks := 0
		res, _ := scale(t, func(o *drill.AutoscalerOptions) {
			o.Desired = func(context.Context) (int, error) {
				if looks++; looks == 10 {
					return 0, errTwin
				}
				return 2, nil
			}
		}, never)
		want(t, res, checks.Unknown)
		if !errors.Is(res.Err, errTwin) {
			t.Error(res.Err)
		}
	})
	t.Run("desired panics", func(t *testing.T) {
		res, _ := scale(t, func(o *drill.AutoscalerOptions) {
			o.Desired = func(context.Context) (int, error) { panic("twin") }
		}, never)
		want(t, res, checks.Unknown)
	})
	t.Run("desired is negative", func(t *testing.T) {
		res, _ := scale(t, func(o *drill.AutoscalerOptions) {
			o.Desired = func(context.Context) (int, error) { return -1, nil }
		}, never)
		want(t, res, checks.Unknown)
	})
	t.Run("context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &scaled{}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			res := drill.Autoscaler(s.options()).Check(ctx)
			want(t, res, checks.Unknown)
			if n := s.inFlight.Load(); n != 0 || !errors.Is(res.Err, context.DeadlineExceeded) {
				t.Errorf("%d requests go on; %v", n, res.Err)
			}
		})
	})
}

// TestAutoscalerLoadIsOpen: requests begin at the rate, however long they take.
func TestAutoscalerLoadIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, answered atomic.Int64
		res := drill.Autoscaler(drill.AutoscalerOptions{
			Desired: func(context.Context) (int, error) { return 1, nil }, Rate: 50, Within: 20 * time.Second, Timeout: 15 * time.Second,
			Send: func(ctx context.Context, seq int) error {
				begun.Add(1)
				if seq == 0 {
					answered.Add(1)
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
		}).Check(t.Context())
		want(t, res, checks.Fail)
		if n := begun.Load(); n < 1000 || n > 1001 {
			t.Errorf("%d requests in 20 s, want 50 a second", n)
		}
		if f := res.Evidence["failed"]; f < "240" || f > "260" {
			t.Errorf("%s requests timed out, want the requests of the first 5 s", f)
		}
	})
}

func TestAutoscalerInvalidOptions(t *testing.T) {
	s := &scaled{}
	for name, tt := range map[string]struct {
		change func(*drill.AutoscalerOptions)
		want   []string
	}{
		"zero":                      {func(o *drill.AutoscalerOptions) { *o = drill.AutoscalerOptions{} }, []string{"Desired", "Rate", "Send"}},
		"rates":                     {func(o *drill.AutoscalerOptions) { o.Rate = 1001 }, []string{"Rate"}},
		"no load":                   {func(o *drill.AutoscalerOptions) { o.Rate, o.Within = 0.4, 10*time.Second }, []string{"Rate"}},
		"tiny rate":                 {func(o *drill.AutoscalerOptions) { o.Rate = 1e-12 }, []string{"Rate"}},
		"tiny rate, with a timeout": {func(o *drill.AutoscalerOptions) { o.Rate, o.Timeout = 1e-12, time.Second }, []string{"Rate"}},
		"in flight":                 {func(o *drill.AutoscalerOptions) { o.Rate, o.Timeout = 1000, 11*time.Second }, []string{"Rate"}},
		"negative":                  {func(o *drill.AutoscalerOptions) { o.Within, o.Down, o.Every, o.Timeout, o.LoadFor = -1, -1, -1, -1, -1 }, []string{"Down", "Every", "LoadFor", "Timeout", "Within"}},
		"short load":                {func(o *drill.AutoscalerOptions) { o.LoadFor = time.Minute }, []string{"LoadFor"}},
		"looks rarely":              {func(o *drill.AutoscalerOptions) { o.Every = time.Hour }, []string{"Every"}},
		"days":                      {func(o *drill.AutoscalerOptions) { o.Down = 25 * time.Hour }, []string{"Down"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			tt.change(&o)
			for i := range tt.want {
				tt.want[i] = "AutoscalerOptions." + tt.want[i]
			}
			if got := fields(t, drill.Autoscaler(o).Check(t.Context())); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestAutoscalerConformance(t *testing.T) {
	checkstest.Exercise(t, func(*testing.T) checks.Check {
		return drill.Autoscaler(drill.AutoscalerOptions{Rate: 1000, Within: 10 * time.Millisecond, Every: time.Millisecond,
			Desired: func(context.Context) (int, error) { return 1, nil },
			Send:    func(context.Context, int) error { return nil }})
	})
	digests(t, drill.Autoscaler(drill.AutoscalerOptions{Rate: 1}), drill.Autoscaler(drill.AutoscalerOptions{Rate: 1, Within: 2 * time.Minute}),
		drill.Autoscaler(drill.AutoscalerOptions{Rate: 2}), drill.Autoscaler(drill.AutoscalerOptions{Rate: 1, Within: time.Minute}),
		drill.Autoscaler(drill.AutoscalerOptions{Rate: 1, Down: time.Minute}))
}

// ExampleAutoscaler puts load on a twin. Real limits are minutes; these are short.
func ExampleAutoscaler() {
	var asked atomic.Int64 // when the twin was asked last
	check := drill.Autoscaler(drill.AutoscalerOptions{
		// Send asks the twin.
		Send: func(context.Context, int) error {
			asked.Store(time.Now().UnixNano())
			return nil
		},
		// Desired reads what the autoscaler wants, for example the field spec.replicas of a
		// Deployment. This one wants a second replica until no request came for a second.
		Desired: func(context.Context) (int, error) {
			if time.Since(time.Unix(0, asked.Load())) < time.Second {
				return 2, nil
			}
			return 1, nil
		},
		Rate: 100, Within: 2 * time.Second, LoadFor: 2 * time.Second,
		Every: 250 * time.Millisecond, Down: 10 * time.Second,
	})
	res := check.Check(context.Background())
	fmt.Println(res.Status, res.Evidence["reversals"], "reversal")
	// Output: pass 1 reversal
}
