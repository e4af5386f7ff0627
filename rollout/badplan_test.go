package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

func invalidFields(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

// TestPointerToAStrategy: a pointer means what it points to, and nil is refused.
func TestPointerToAStrategy(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		p := plan()
		p.Strategy = &strategies.Canary{}
		st := status(t, e, begin(t, e, p))
		if first := st.Plan.Stages[0]; first.Bake == 0 || first.MinSamples < 20 {
			t.Errorf("the first stage lasts %v and %d requests", first.Bake, first.MinSamples)
		}
	})
	p := plan()
	p.Strategy = (*strategies.Canary)(nil)
	if got := invalidFields(p.Validate()); !slices.Equal(got, []string{"Plan.Strategy"}) {
		t.Errorf("a nil pointer: %q", got)
	}
	p.Strategy = &strategies.Canary{Weights: []strategies.Weight{0}}
	if got := invalidFields(p.Validate()); !slices.Equal(got, []string{"Plan.Strategy.Weights[0]"}) {
		t.Errorf("a pointer to a bad strategy: %q", got)
	}
}

// TestMetricOfNoKind: a metric whose kind is not known is reported.
func TestMetricOfNoKind(t *testing.T) {
	p := plan()
	p.Analysis.Metrics = []analysis.Metric{{Name: "x", Kind: 99}}
	if got := invalidFields(p.Validate()); !slices.Contains(got, "Plan.Analysis.Metrics[0].Kind") {
		t.Errorf("%q", got)
	}
}

// TestBadDemand: a demand that is not valid demands nothing in silence.
func TestBadDemand(t *testing.T) {
	for want, d := range map[string]rollout.Demand{
		"Demand.Approve.Need": {Approve: &strategies.Approval{Need: 99}},
		"Demand.Never[0]":     {Never: []string{"supersedes"}},
		"Demand.MinStages":    {MinStages: -1},
		"Demand.Preflight[0]": {Preflight: []string{""}},
	} {
		if got := invalidFields(d.Validate()); !slices.Contains(got, want) {
			t.Errorf("Validate: %q, want %s", got, want)
		}
		if got := invalidFields(d.Check(plan())); !slices.Contains(got, want) {
			t.Errorf("Check: %q, want %s", got, want)
		}
	}
}

// TestSupersedeIsNoCommandOfPeople: only a newer rollout supersedes one.
func TestSupersedeIsNoCommandOfPeople(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		id := begin(t, e, lastingPlan())
		var invalid *checks.InvalidError
		if err := e.Do(t.Context(), id, strategies.Supersede, ana); !errors.As(err, &invalid) || invalid.Field != "Command" {
			t.Errorf("Do = %v", err)
		}
		if st := status(t, e, id); st.Phase.Terminal() {
			t.Errorf("%v: %s", st.Phase, st.Reason)
		}
	})
}

// TestConfigFromVariables reads the fields of a Config that a variable can hold.
func TestConfigFromVariables(t *testing.T) {
	var cfg rollout.Config
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{Target: &cfg, Lookuper: envconfig.MapLookuper(map[string]string{
		"TICK": "2s", "LEASE": "7s", "REPLICA": "a", "ROLES": "sre,dev", "RETAIN_ROLLOUTS": "9",
	})})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Tick != 2*time.Second || cfg.Lease != 7*time.Second || cfg.Replica != "a" || len(cfg.Roles) != 2 || cfg.Retain.Rollouts != 9 || cfg.Logger != nil {
		t.Errorf("%+v", cfg)
	}
}

// TestPlanFieldsOfJSON: what a plan in JSON gets wrong is named.
func TestPlanFieldsOfJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"target": 7}`:                        "Plan.target",
		`{"monitor_ns": "1h"}`:                 "Plan.monitor_ns",
		`{"stages": [{"bake_ns": "1h"}]}`:      "Plan.stages.bake_ns",
		`{"foo": 1}`:                           "Plan",
		`{"stages": [{"until": "nope"}]}`:      "Until",
		`{"stages": [{"on_limit": "abort!"}]}`: "Action",
	} {
		var p rollout.Plan
		if got := invalidFields(json.Unmarshal([]byte(text), &p)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
	}
}

// TestPlansThatPromiseTooMuch: what a plan names must be there when it is needed.
func TestPlansThatPromiseTooMuch(t *testing.T) {
	for want, change := range map[string]func(*rollout.Plan){
		"Plan.Goal":            func(p *rollout.Plan) { p.Goal = "nope" },
		"Plan.Windows[0].Zone": func(p *rollout.Plan) { p.Windows = []rollout.Window{{Zone: "Local"}} },
		"Plan.RampDown":        func(p *rollout.Plan) { p.RampDown = strategies.RampSteps(strategies.Percent(50), -1, time.Minute) },
	} {
		p := plan()
		change(&p)
		if got := invalidFields(p.Validate()); !slices.Equal(got, []string{want}) {
			t.Errorf("%q, want %s", got, want)
		}
	}
}

// TestConfigErrorsAreSorted: the errors of a Config come in the same order each time.
func TestConfigErrorsAreSorted(t *testing.T) {
	cfg := rollout.Config{
		Store:   new(memstore.Store),
		Targets: map[string]rollout.Splitter{"b": nil, "a": nil, "c": nil},
		Checks:  map[string]checks.Check{"e": nil, "d": nil, "f": nil},
		Sinks:   map[string]rollout.Sink{"h": nil, "g": nil, "i": nil},
	}
	want := []string{
		`Config.Targets["a"]`, `Config.Targets["b"]`, `Config.Targets["c"]`, `Config.Checks["d"]`, `Config.Checks["e"]`, `Config.Checks["f"]`,
		`Config.Sinks["g"]`, `Config.Sinks["h"]`, `Config.Sinks["i"]`,
	}
	for range 20 {
		if got := invalidFields(cfg.Validate()); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

// TestLeaseBelowPoll: a leader that looks less often than its lease lasts would lose it.
func TestLeaseBelowPoll(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rollout.Config)
		want   []string
	}{
		"lease below poll":                {func(c *rollout.Config) { c.Lease, c.Poll = time.Second, 2*time.Second }, []string{"Config.Lease"}},
		"lease below the default of poll": {func(c *rollout.Config) { c.Lease = 400 * time.Millisecond }, []string{"Config.Lease"}},
		"poll above the default of lease": {func(c *rollout.Config) { c.Poll = 6 * time.Second }, []string{"Config.Lease"}},
		"poll as long as the lease":       {func(c *rollout.Config) { c.Lease, c.Poll = time.Second, time.Second }, nil},
		"negative":                        {func(c *rollout.Config) { c.Lease = -1 }, []string{"Config.Lease"}},
		"no other process uses the store": {func(c *rollout.Config) { c.Replica, c.Poll = "", time.Minute }, nil},
		"the defaults":                    {func(*rollout.Config) {}, nil},
	} {
		cfg := rollout.Config{Store: new(memstore.Store), Replica: "a"}
		tt.change(&cfg)
		if got := invalidFields(cfg.Validate()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
