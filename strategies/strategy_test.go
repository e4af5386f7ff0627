package strategies_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

func TestCanary(t *testing.T) {
	stages, err := strategies.Canary{
		Weights: []strategies.Weight{1, 2500}, Bake: time.Minute, MinSamples: 7,
		OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionContinue,
	}.Stages("1.4.0", "1.5.0")
	if err != nil {
		t.Fatal(err)
	}
	stage := func(name string, w strategies.Weight, until strategies.Until) strategies.Stage {
		return strategies.Stage{
			Name:  name,
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - w}, {Name: "1.5.0", Weight: w}}},
			Bake:  time.Minute, MinSamples: 7, Until: until,
			OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionContinue,
		}
	}
	want := []strategies.Stage{
		stage("canary 0.01%", 1, strategies.UntilBaked),
		stage("canary 25%", 2500, strategies.UntilSafe), // proof before everything moves
		stage("canary 100%", strategies.Full, strategies.UntilBaked),
	}
	if diff := cmp.Diff(want, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

func TestCanaryDefaults(t *testing.T) {
	stages, err := strategies.Canary{}.Stages("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	var got []strategies.Weight
	for _, s := range stages {
		got = append(got, s.Split.Weight("b"))
	}
	if diff := cmp.Diff([]strategies.Weight{500, 2500, 5000, 10_000}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	unproven, err := strategies.Canary{DangerouslyPromoteUnproven: true}.Stages("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range unproven {
		if s.Until != strategies.UntilBaked {
			t.Errorf("stage %s lasts until %v", s.Name, s.Until)
		}
	}
}

func TestBadStrategies(t *testing.T) {
	canary := func(w ...strategies.Weight) strategies.Strategy { return strategies.Canary{Weights: w} }
	for _, c := range []struct {
		name     string
		strategy strategies.Strategy
		want     []string
	}{
		{"zero weight", canary(0, 100), []string{"Canary.Weights[0] is 0"}},
		{"over full", canary(100, 10_001), []string{"Canary.Weights[1] is 100.01%"}},
		{"falling", canary(500, 100, 50), []string{"Canary.Weights[1] is 1%", "Canary.Weights[2] is 0.5%"}},
		{"nothing to compare with", canary(strategies.Full), []string{"Canary.Weights is [100%]", "DangerouslyPromoteUnproven"}},
		{"no weights", strategies.Canary{Weights: []strategies.Weight{}}, []string{"Canary.Weights is [100%]"}},
		{"bake", strategies.Canary{Bake: -time.Second}, []string{"Canary.Bake is -1s"}},
		{"limit", strategies.Canary{Bake: time.Hour, Limit: time.Minute}, []string{"Canary.Limit is 1m0s"}},
		{"samples", strategies.Canary{MinSamples: -1}, []string{"Canary.MinSamples is -1"}},
		{"action", strategies.Canary{OnLimit: 9, OnNoEvidence: -1}, []string{"OnLimit is 9", "OnNoEvidence is -1"}},
		{"proof at a weight it has not", strategies.Canary{Prove: 700}, []string{"Canary.Prove is 7%"}},
		{"proof at full weight", strategies.Canary{Prove: strategies.Full}, []string{"Canary.Prove is 100%"}},
		{"switch without a check", strategies.BlueGreen{}, []string{"BlueGreen.Smoke is empty", "DangerouslySwitchUnchecked"}},
		{"preview by nothing", strategies.BlueGreen{Smoke: []string{"x"}, Preview: strategies.Rule{Value: "1"}}, []string{"BlueGreen.Preview.Header"}},
		{"everything to B", strategies.AB{Share: strategies.Full}, []string{"AB.Share is 100%"}},
		{"horizon before bake", strategies.AB{Bake: time.Hour, Horizon: time.Minute}, []string{"AB.Horizon is 1m0s"}},
		{"one replica", strategies.Rolling{Replicas: 1}, []string{"Rolling.Replicas is 1"}},
		{"all replicas at once", strategies.Rolling{Replicas: 3, Batch: 3}, []string{"Rolling.Batch is 3"}},
		{"copies over full", strategies.Shadow{Share: 10_001}, []string{"Shadow.Share is 100.01%"}},
		{"a stage that is not there", strategies.Adjust(canary(5), "canary 7%", func(*strategies.Stage) {}), []string{"Adjust.stage", "canary 0.05%"}},
		{"adjusted badly", strategies.Adjust(canary(5), "canary 0.05%", func(s *strategies.Stage) { s.MinSamples = -1 }), []string{"MinSamples is -1"}},
		{"approval", strategies.Canary{Approve: &strategies.Approval{Need: 11, MFA: -1, Timeout: -1, OnTimeout: 9}}, []string{"Approve.Need", "Approve.MFA", "Approve.Timeout", "Approve.OnTimeout"}},
		{"approval rules", strategies.Canary{Approve: &strategies.Approval{
			Roles: []string{"sre", ""}, Rules: []strategies.ApprovalRule{{Need: 10, Roles: []string{"sre"}}, {Need: -1}, {Need: 11, Roles: []string{""}}},
		}}, []string{"Approve.Roles[1]", "Approve.Rules[1].Need is -1", "Approve.Rules[2].Need is 11", "Approve.Rules[2].Roles[0]"}},
		{"too many approval rules", strategies.Canary{Approve: &strategies.Approval{
			Rules: make([]strategies.ApprovalRule, 11), Not: make([]string, 101),
		}}, []string{"Approve.Rules is 11", "Approve.Not is 101"}},
		{"approvers left out", strategies.Canary{Approve: &strategies.Approval{
			Not: []string{"idp|7", " ", strings.Repeat("a", 256)},
		}}, []string{"Approve.Not[1]", "Approve.Not[2]"}},
		{"evidence limit", strategies.Adjust(canary(5), "canary 0.05%", func(s *strategies.Stage) { s.EvidenceLimit = 25 * time.Hour }), []string{"EvidenceLimit is 25h"}},
		{"empty sequence", strategies.Sequence(), []string{"at least one stage"}},
		{"nil in sequence", strategies.Sequence(canary(5), nil), []string{"Sequence[1]"}},
		{"same names", strategies.Sequence(canary(5), canary(5)), []string{"Stages[2].Name is canary 0.05%"}},
		{"bad part", strategies.Sequence(canary(5), canary(0)), []string{"Sequence[1].Weights[0]"}},
	} {
		_, err := c.strategy.Stages("a", "b")
		var invalid *checks.InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: Stages = %v, want an InvalidError", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", c.name, err, want)
			}
		}
	}
	if _, err := (strategies.Canary{}).Stages("same", "same"); err == nil {
		t.Error("a canary of a version with itself was accepted")
	}
}

// TestFieldsOfStrategies: a mistake in a generated stage is named by the field of the
// strategy that it comes from.
func TestFieldsOfStrategies(t *testing.T) {
	many := make([]strategies.Weight, strategies.MaxStages+1)
	for i := range many {
		many[i] = strategies.Weight(i + 1)
	}
	approve := &strategies.Approval{Need: 11}
	for name, tt := range map[string]struct {
		strategy strategies.Strategy
		want     []string
	}{
		"canary":       {strategies.Canary{Bake: -1, MinSamples: -1, Approve: approve}, []string{"Canary.Bake", "Canary.MinSamples", "Canary.Approve.Need"}},
		"many weights": {strategies.Canary{Weights: many}, []string{"Canary.Weights"}},
		"a/b":          {strategies.AB{Bake: -1, MinSamples: -1, Horizon: -1, OnTie: 9, Allocate: new(strategies.Allocation)}, []string{"AB.Bake", "AB.Horizon", "AB.MinSamples", "AB.OnTie", "AB.Allocate"}},
		"a/b/n":        {strategies.AB{Rivals: []string{"c", "", "b", "a"}, Allocate: &strategies.Allocation{Every: -1, Floor: strategies.Full}}, []string{"AB.Rivals[1]", "AB.Rivals[2]", "AB.Rivals[3]", "AB.Allocate.Every", "AB.Allocate.Floor"}},
		"blue-green":   {strategies.BlueGreen{Approve: approve, Warm: -1, Keep: -1, Preview: strategies.Rule{Value: "1"}}, []string{"BlueGreen.Preview.Header", "BlueGreen.Warm", "BlueGreen.Keep", "BlueGreen.Approve.Need"}},
		"shadow":       {strategies.Shadow{Share: 10_001, Bake: -1, Limit: -1, MinSamples: -1, OnLimit: 9, OnNoEvidence: 9, Until: 9}, []string{"Shadow.Share", "Shadow.Bake", "Shadow.Limit", "Shadow.MinSamples", "Shadow.Until", "Shadow.OnLimit", "Shadow.OnNoEvidence"}},
		"rolling":      {strategies.Rolling{Replicas: 3, Bake: -1, OnLimit: 9}, []string{"Rolling.Bake", "Rolling.OnLimit"}},
		"many batches": {strategies.Rolling{Replicas: 1000}, []string{"Rolling.Batch"}},
	} {
		_, err := tt.strategy.Stages("a", "b")
		if got := fieldsOf(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	for _, s := range []strategies.Strategy{strategies.Canary{}, strategies.AB{}, strategies.BlueGreen{Approve: new(strategies.Approval)}, strategies.Shadow{}, strategies.Rolling{Replicas: 3}} {
		_, err := s.Stages("same", "same")
		if got := fieldsOf(err); !slices.Equal(got, []string{"candidate"}) {
			t.Errorf("%T of a version with itself: %q, want candidate", s, got)
		}
	}
}

// fieldsOf returns the fields of all InvalidErrors in err.
func fieldsOf(err error) (all []string) {
	for invalid := range checks.Invalid(err) {
		all = append(all, invalid.Field)
	}
	return all
}

func TestSequence(t *testing.T) {
	first := strategies.Canary{Weights: []strategies.Weight{100, strategies.Full}}
	second := strategies.Canary{Weights: []strategies.Weight{200, 300}}
	got, err := strategies.Sequence(second).Stages("a", "b")
	if err != nil || len(got) != 3 {
		t.Fatalf("Sequence of one = %d stages, %v; want 3", len(got), err)
	}
	a, _ := first.Stages("a", "b")
	if _, err := strategies.Sequence(first, second).Stages("a", "b"); err == nil {
		t.Error("two canaries to 100% have two stages of one name; want an error")
	}
	if len(a) != 2 {
		t.Errorf("Full was appended to weights that end with it: %d stages", len(a))
	}
}

func TestStageWithAnUnknownWord(t *testing.T) {
	var stages []strategies.Stage
	var invalid *checks.InvalidError
	if err := json.Unmarshal([]byte(`[{"until":"tomorrow"}]`), &stages); !errors.As(err, &invalid) || invalid.Value != `"tomorrow"` {
		t.Errorf("%v, want an error about the word", err)
	}
}

func TestOtherStrategies(t *testing.T) {
	type row struct {
		Name   string
		Weight strategies.Weight
		Until  strategies.Until
	}
	for _, c := range []struct {
		name     string
		strategy strategies.Strategy
		want     []row
	}{
		{"a/b", strategies.AB{}, []row{{"a/b 50%", 5000, strategies.UntilSafe}, {"winner", strategies.Full, strategies.UntilBaked}}},
		{"rolling", strategies.Rolling{Replicas: 5, Batch: 2}, []row{
			{"replica 2/5", 4000, strategies.UntilBaked}, {"replica 4/5", 8000, strategies.UntilSafe}, {"replica 5/5", strategies.Full, strategies.UntilBaked},
		}},
		{"promotion ramp", strategies.Canary{Weights: []strategies.Weight{500, 2500, 5000, 7500}, Prove: 500}, []row{
			{"canary 5%", 500, strategies.UntilSafe}, {"canary 25%", 2500, strategies.UntilBaked}, {"canary 50%", 5000, strategies.UntilBaked},
			{"canary 75%", 7500, strategies.UntilBaked}, {"canary 100%", strategies.Full, strategies.UntilBaked},
		}},
		{"shadow", strategies.Shadow{Until: strategies.UntilBaked}, []row{{"shadow 10%", 0, strategies.UntilBaked}}},
	} {
		stages, err := c.strategy.Stages("old", "new")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []row
		for _, s := range stages {
			got = append(got, row{s.Name, s.Split.Weight("new"), s.Until})
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRamps(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []strategies.Weight
	}{
		{"linear", strategies.Linear(strategies.Percent(50), 5), []strategies.Weight{1000, 2000, 3000, 4000, 5000}},
		{"linear that does not divide", strategies.Linear(strategies.Full, 3), []strategies.Weight{3333, 6667, 10_000}},
		{"linear by the smallest step", strategies.Linear(3, 3), []strategies.Weight{1, 2, 3}},
		{"linear by less than that", strategies.Linear(3, 4), nil},
		{"linear in no steps", strategies.Linear(3, 0), nil},
		{"exponential", strategies.Exponential(1, 10), []strategies.Weight{1, 10, 100, 1000, 10_000}},
		{"exponential that rounds", strategies.Exponential(1, 1.2)[:4], []strategies.Weight{1, 2, 3, 4}},
		{"exponential that falls", strategies.Exponential(5, 0.5), nil},
		{"exponential from nothing", strategies.Exponential(0, 2), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	down := strategies.RampSteps(strategies.Percent(50), 3, time.Minute)
	want := []strategies.RampStep{{Weight: 3333, For: time.Minute}, {Weight: 1667, For: time.Minute}}
	if diff := cmp.Diff(want, down); diff != "" {
		t.Errorf("down (-want +got):\n%s", diff)
	}
	if err := strategies.ValidateRampSteps(down); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]strategies.RampStep{{{Weight: strategies.Full, For: 1}}, {{Weight: 5, For: 1}, {Weight: 5, For: 1}}, {{Weight: 5}}, make([]strategies.RampStep, 101)} {
		if err := strategies.ValidateRampSteps(bad); err == nil {
			t.Errorf("a way down over %v was accepted", bad)
		}
	}
}

func TestRulesAndMirrors(t *testing.T) {
	split := strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}, {Name: "new"}}}
	split.Rules = []strategies.Rule{{Arm: "new", Header: "Preview"}, {Arm: "newer", Cookie: "a", Query: "b"}, {Arm: "new", Unit: "ana", Value: "x"}}
	split.Mirrors = []strategies.Mirror{{Arm: "new", Share: 1}, {Arm: "old", Share: 0}}
	err := split.Validate()
	for _, want := range []string{`Rules[1].Arm is "newer"`, "Rules[1].Header", "Rules[2].Value", `Mirrors[1].Arm is "old"`, "Mirrors[1].Share is 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, does not say %q", err, want)
		}
	}
	if !split.Reaches("new") || split.Plain().Reaches("new") || split.RollBack().Reaches("new") || !split.RollBack().Reaches("old") {
		t.Error("Reaches does not follow rules and mirrors")
	}
	if split.Equal(split.Plain()) || !split.Plain().Equal(split.RollBack()) {
		t.Error("Equal does not see rules and mirrors")
	}
}

// TestPhaseOfEarlierVersions reads a phase by the name that it had before.
func TestPhaseOfEarlierVersions(t *testing.T) {
	for name, want := range map[string]strategies.Phase{"watching": strategies.Monitoring, "monitoring": strategies.Monitoring} {
		var p strategies.Phase
		if err := p.UnmarshalText([]byte(name)); err != nil || p != want {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}
