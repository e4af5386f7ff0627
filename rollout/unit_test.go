package rollout_test

import (
	"errors"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

var _ rollout.UnitAssigner = (*traffic.Router)(nil)

// assigner is a target that says how it assigns.
type assigner struct {
	*target
	units bool
}

func (a assigner) AssignsUnits() bool { return a.units }

// TestUnitOfPlans: a plan takes the unit of its target, and one that contradicts it is
// refused.
func TestUnitOfPlans(t *testing.T) {
	for name, tt := range map[string]struct {
		target  func(*target) rollout.Splitter
		unit    analysis.Unit
		want    analysis.Unit
		refused bool
	}{
		"requests, plan without a unit": {target: func(t *target) rollout.Splitter { return assigner{t, false} }},
		"requests, plan of users":       {target: func(t *target) rollout.Splitter { return assigner{t, false} }, unit: analysis.PerUser, refused: true},
		"requests, plan of sessions":    {target: func(t *target) rollout.Splitter { return assigner{t, false} }, unit: analysis.PerSession, refused: true},
		"units, plan without a unit":    {target: func(t *target) rollout.Splitter { return assigner{t, true} }, want: analysis.PerUser},
		"units, plan of users":          {target: func(t *target) rollout.Splitter { return assigner{t, true} }, unit: analysis.PerUser, want: analysis.PerUser},
		"units, plan of sessions":       {target: func(t *target) rollout.Splitter { return assigner{t, true} }, unit: analysis.PerSession, want: analysis.PerSession},
		"silent, plan without a unit":   {target: func(t *target) rollout.Splitter { return t }},
		"silent, plan of users":         {target: func(t *target) rollout.Splitter { return t }, unit: analysis.PerUser, want: analysis.PerUser},
		"group, plan without a unit":    {target: func(t *target) rollout.Splitter { return rollout.Group(assigner{t, true}, t) }, want: analysis.PerUser},
		"group, plan of users":          {target: func(t *target) rollout.Splitter { return rollout.Group(assigner{t, false}, t) }, unit: analysis.PerUser, refused: true},
		"group, the second is silent":   {target: func(t *target) rollout.Splitter { return rollout.Group(t, assigner{t, false}) }, unit: analysis.PerUser, want: analysis.PerUser},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				cfg.Targets["chat"] = tt.target(tgt)
				e := open(t, cfg)
				p := plan()
				p.Analysis.Unit = tt.unit
				id, err := e.Start(t.Context(), p, ana)
				if tt.refused {
					var invalid *checks.InvalidError
					if !errors.As(err, &invalid) || invalid.Field != "Plan.Analysis.Unit" || invalid.Value != tt.unit || invalid.Want == "" {
						t.Errorf("%v, want an error about the unit", err)
					}
					if n := len(tgt.history()); n != 0 {
						t.Errorf("%d splits were set", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got, err := e.Status(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if got.Plan.Analysis.Unit != tt.want {
					t.Errorf("the plan counts by %v, want %v", got.Plan.Analysis.Unit, tt.want)
				}
			})
		})
	}
}

// TestRoutersSayHowTheyAssign: by unit if the configuration has one.
func TestRoutersSayHowTheyAssign(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*traffic.Config)
		want   bool
	}{
		"no unit":                 {func(*traffic.Config) {}, false},
		"the header and WithUnit": {func(c *traffic.Config) { c.Unit = traffic.UnitOf }, true},
	} {
		cfg := traffic.Config{
			Arms:  map[string]traffic.Backend{"1.4.0": {URL: "http://a.invalid"}},
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
		}
		tt.change(&cfg)
		r, err := traffic.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.AssignsUnits(); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
