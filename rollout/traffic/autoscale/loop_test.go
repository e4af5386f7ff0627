package autoscale_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/traffic/autoscale"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// cluster runs replicas that take a minute to start, in virtual time.
type cluster struct {
	mu      sync.Mutex
	load    map[string]float64 // by arm
	desired map[string]int
	ready   map[string]int
	least   map[string]int // of ready, since the last look
	failing error
}

func newCluster(replicas map[string]int) *cluster {
	c := &cluster{load: make(map[string]float64), desired: make(map[string]int), ready: make(map[string]int), least: make(map[string]int)}
	for arm, n := range replicas {
		c.desired[arm], c.ready[arm], c.least[arm] = n, n, n
	}
	return c
}

func (c *cluster) Measure(_ context.Context, arm string) (autoscale.Input, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing != nil {
		return autoscale.Input{}, c.failing
	}
	return autoscale.Input{
		Ready: c.ready[arm], Starting: max(0, c.desired[arm]-c.ready[arm]), Desired: c.desired[arm],
		Signals: []autoscale.Signal{{Name: "requests", Sum: c.load[arm], Known: max(1, c.ready[arm]), Target: 10}},
	}, nil
}

func (c *cluster) Scale(_ context.Context, arm string, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desired[arm] = n
	if n < c.ready[arm] {
		c.ready[arm] = n
		c.least[arm] = min(c.least[arm], n)
		return nil
	}
	time.AfterFunc(time.Minute, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ready[arm] = max(c.ready[arm], min(n, c.desired[arm]))
	})
	return nil
}

func (c *cluster) set(arm string, load float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load[arm] = load
}

func (c *cluster) count(arm string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready[arm]
}

func newLoop(t *testing.T, cfg autoscale.Config) *autoscale.Loop {
	t.Helper()
	l, err := autoscale.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	return l
}

// TestLoop follows the load, and without Act only says what it would do.
func TestLoop(t *testing.T) {
	for _, act := range []bool{true, false} {
		t.Run(fmt.Sprintf("act %t", act), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(map[string]int{"a": 2})
				c.set("a", 80)
				l := newLoop(t, autoscale.Config{Source: c, Actuator: c, Arms: []string{"a"}, Act: act})
				time.Sleep(5 * time.Minute)
				want := 8
				if !act {
					want = 2
				}
				if n := c.count("a"); n != want {
					t.Errorf("%d replicas, want %d", n, want)
				}
				r := l.Reports()
				if len(r) != 1 || act && r[0].Decision.Replicas != 8 || !act && r[0].Decision.Replicas != 6 {
					t.Errorf("reports %+v", r)
				}
				if s := l.Check().Check(t.Context()); s.Status != checks.Pass {
					t.Errorf("check: %+v", s)
				}
			})
		})
	}
}

// TestLoopWithoutMeasurements keeps the replicas through an outage of the source, warns
// once, and goes on afterwards.
func TestLoopWithoutMeasurements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(map[string]int{"a": 8})
		c.set("a", 80)
		var lines bytes.Buffer
		l := newLoop(t, autoscale.Config{Source: c, Actuator: c, Arms: []string{"a"}, Act: true, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		time.Sleep(time.Minute)
		c.mu.Lock()
		c.failing = errors.New("connection refused")
		c.load["a"] = 0
		c.mu.Unlock()
		time.Sleep(time.Hour)
		if n := c.count("a"); n != 8 {
			t.Errorf("%d replicas during the outage, want 8", n)
		}
		if s := l.Check().Check(t.Context()); s.Status != checks.Warn {
			t.Errorf("check: %+v", s)
		}
		if n := strings.Count(lines.String(), "WARN"); n > 2 {
			t.Errorf("%d warnings in an hour:\n%s", n, lines.String())
		}
		c.mu.Lock()
		c.failing = nil
		c.mu.Unlock()
		time.Sleep(20 * time.Minute)
		if n := c.count("a"); n != 1 {
			t.Errorf("%d replicas after the outage, want 1", n)
		}
	})
}

// TestLoopSurvivesPanics of its source and its actuator.
func TestLoopSurvivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(map[string]int{"a": 1})
		c.set("a", 50)
		l := newLoop(t, autoscale.Config{
			Source: autoscale.SourceFunc(func(ctx context.Context, arm string) (autoscale.Input, error) {
				if arm == "b" {
					panic("no such arm")
				}
				return c.Measure(ctx, arm)
			}),
			Actuator: autoscale.ActuatorFunc(func(context.Context, string, int) error { panic("no cluster") }),
			Arms:     []string{"b", "a"}, Act: true,
		})
		time.Sleep(time.Minute)
		for _, r := range l.Reports() {
			if !strings.Contains(r.Error, "panic") {
				t.Errorf("%s: error %q", r.Arm, r.Error)
			}
		}
		if n := len(l.Reports()); n != 2 {
			t.Errorf("%d reports", n)
		}
	})
}

func TestRoom(t *testing.T) {
	split := strategies.Split{Arms: []strategies.Arm{{Name: "a", Weight: 5000}, {Name: "b", Weight: 5000}}}
	of := func(context.Context) (strategies.Split, bool) { return split, true }
	c := newCluster(map[string]int{"a": 10, "b": 1})
	for _, tt := range []struct {
		name     string
		load     func() float64
		capacity map[string]float64
		of       func(context.Context) (strategies.Split, bool)
		want     checks.Status
	}{
		{"too few", func() float64 { return 60 }, map[string]float64{"a": 10, "b": 10}, of, checks.Fail},
		{"enough", func() float64 { return 20 }, map[string]float64{"a": 10, "b": 10}, of, checks.Pass},
		{"capacity of one arm is missing", func() float64 { return 20 }, map[string]float64{"a": 10}, of, checks.Unknown},
		{"no load", nil, map[string]float64{"a": 10, "b": 10}, of, checks.Unknown},
		{"no split", func() float64 { return 20 }, nil, func(context.Context) (strategies.Split, bool) { return split, false }, checks.Unknown},
	} {
		l, err := autoscale.New(autoscale.Config{Source: c, Arms: []string{"a", "b"}, Load: tt.load, Capacity: tt.capacity})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if tt.want == checks.Fail {
			cancel()
		}
		r := l.Room(tt.of).Check(ctx)
		cancel()
		if r.Status != tt.want {
			t.Errorf("%s: %+v, want %v", tt.name, r, tt.want)
		}
	}
}

func TestBadConfigs(t *testing.T) {
	_, err := autoscale.New(autoscale.Config{
		Scaler: autoscale.Scaler{Min: 20}, Scalers: map[string]autoscale.Scaler{"a": {Max: -1}},
		Arms: []string{"a", "", "a"}, Act: true, Every: -1, Capacity: map[string]float64{"a": 0},
	})
	var got []string
	for invalid := range checks.Invalid(err) {
		got = append(got, invalid.Field)
	}
	want := []string{"Config.Scaler.Min", `Config.Scalers["a"].Max`, "Config.Arms[1]", "Config.Arms[2]", "Config.Source", "Config.Actuator", "Config.Every", `Config.Capacity["a"]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// router is live traffic in virtual time that the replicas of the cluster serve.
type router struct {
	cluster *cluster
	mu      sync.Mutex
	split   strategies.Split
	rec     *analysis.Recorder
	bad     bool // the candidate fails
	short   int  // moments in which the replicas of an arm did not suffice for its share
}

func (r *router) SetSplit(_ context.Context, s strategies.Split) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.split = s
	return nil
}

func (r *router) Measure(rec *analysis.Recorder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec = rec
}

// load is the number of requests a second; one replica serves 10.
const load = 60

func (r *router) serve(ctx context.Context) {
	rng := rand.New(rand.NewPCG(5, 6))
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		<-ticker.C
		r.mu.Lock()
		for _, a := range r.split.Arms {
			need := float64(load) * float64(a.Weight) / float64(strategies.Full)
			r.cluster.set(a.Name, need)
			if float64(10*r.cluster.count(a.Name)) < need {
				r.short++
			}
		}
		if len(r.split.Arms) > 0 && r.rec != nil {
			arm := r.split.Arms[r.split.Slots()[rng.IntN(int(strategies.Full))]].Name
			o := analysis.Observation{
				Class: analysis.OK, At: time.Now(), Arm: arm, Generation: r.split.Generation,
				TTFT: 200 * time.Millisecond, ITL: 20 * time.Millisecond, Latency: time.Second, InputTokens: 100, OutputTokens: 50,
			}
			if r.bad && arm == "1.5.0" {
				o.Class = analysis.Error
			}
			r.rec.Record(o)
		}
		r.mu.Unlock()
	}
}

// gated has each stage wait for the check "replicas".
type gated struct{ strategies.Canary }

func (g gated) Stages(baseline, candidate string) ([]strategies.Stage, error) {
	stages, err := g.Canary.Stages(baseline, candidate)
	for i := range stages {
		stages[i].Before = []string{"replicas"}
	}
	return stages, err
}

// TestRollout runs a rollout over autoscaled arms. Each stage waits for the candidate's
// replicas. The baseline keeps its own until the monitoring has ended. An abort at any
// moment finds room for all traffic.
func TestRollout(t *testing.T) {
	for _, abort := range []time.Duration{0, 3 * time.Minute, 17 * time.Minute, 33 * time.Minute} {
		t.Run(fmt.Sprintf("abort after %v", abort), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				c := newCluster(map[string]int{"1.4.0": 6, "1.5.0": 0})
				r := &router{cluster: c}
				var served sync.WaitGroup
				served.Go(func() { r.serve(ctx) })
				l := newLoop(t, autoscale.Config{
					Scaler: autoscale.Scaler{Max: 20}, Source: c, Actuator: c, Arms: []string{"1.4.0", "1.5.0"}, Act: true,
					Load: func() float64 { return load }, Capacity: map[string]float64{"1.4.0": 10, "1.5.0": 10},
				})
				defer func() { cancel(); served.Wait() }()
				e, err := rollout.Open(ctx, rollout.Config{
					Store: new(memstore.Store), Targets: map[string]rollout.Splitter{"chat": r},
					Checks: map[string]checks.Check{"replicas": l.Room(rollout.SplitOf)},
					Observer: rollout.ObserverFunc(func(_ context.Context, ev rollout.Event) {
						l.Expect(ev.Split, !ev.Phase.Terminal())
					}),
					Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				id, err := e.Start(ctx, rollout.Plan{
					Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
					Strategy: gated{strategies.Canary{
						Weights: []strategies.Weight{1000, 5000}, Bake: 5 * time.Minute, DangerouslyPromoteUnproven: true,
					}},
					Monitor: 10 * time.Minute,
				}, rollout.Actor{Name: "ana"})
				if err != nil {
					t.Fatal(err)
				}
				least := func() {
					if n := c.count("1.4.0"); n < 6 {
						t.Errorf("the baseline has %d replicas, want 6 until the end", n)
					}
				}
				end := abort
				if end == 0 {
					end = 3 * time.Hour
				}
				var st rollout.Status
				for began := time.Now(); time.Since(began) < end; time.Sleep(5 * time.Second) {
					if st, err = e.Status(ctx, id); err != nil {
						t.Fatal(err)
					}
					if st.Phase.Terminal() {
						break
					}
					least()
				}
				if abort > 0 && !st.Phase.Terminal() {
					if err := e.Do(ctx, id, strategies.Abort, rollout.Actor{Name: "ana"}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				} else if st.Phase != strategies.Promoted {
					t.Errorf("ended as %v: %s", st.Phase, st.Reason)
				}
				r.mu.Lock()
				short := r.short
				r.mu.Unlock()
				if short > 0 {
					t.Errorf("%d moments without enough replicas", short)
				}
				if abort == 0 {
					time.Sleep(30 * time.Minute)
					if a, b := c.count("1.4.0"), c.count("1.5.0"); a > 1 || b < 6 {
						t.Errorf("%d and %d replicas half an hour after the promotion", a, b)
					}
				}
			})
		})
	}
}
