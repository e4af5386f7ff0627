package strategies_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/strategies"
)

func TestCanary(t *testing.T) {
	stages, err := strategies.Canary{
		Weights: []strategies.Weight{1, 2500}, Bake: time.Minute, MinSamples: 7,
		OnLimit: strategies.RollBack, OnNoEvidence: strategies.Continue,
	}.Stages("1.4.0", "1.5.0")
	if err != nil {
		t.Fatal(err)
	}
	stage := func(name string, w strategies.Weight, until strategies.Until) strategies.Stage {
		return strategies.Stage{
			Name:  name,
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full - w}, {Name: "1.5.0", Weight: w}}},
			Bake:  time.Minute, MinSamples: 7, Until: until,
			OnLimit: strategies.RollBack, OnNoEvidence: strategies.Continue,
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
	if diff := cmp.Diff(strategies.DefaultWeights(), got); diff != "" {
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
		{"over full", canary(100, 10_001), []string{"Canary.Weights[1] is 10001"}},
		{"falling", canary(500, 100, 50), []string{"Canary.Weights[1] is 100", "Canary.Weights[2] is 50"}},
		{"nothing to compare with", canary(strategies.Full), []string{"Canary.Weights is [100%]", "DangerouslyPromoteUnproven"}},
		{"no weights", strategies.Canary{Weights: []strategies.Weight{}}, []string{"Canary.Weights is [100%]"}},
		{"bake", strategies.Canary{Bake: -time.Second}, []string{"Stages[0].Bake is -1s", "Stages[3].Bake"}},
		{"limit", strategies.Canary{Bake: time.Hour, Limit: time.Minute}, []string{"Stages[0].Limit is 1m0s"}},
		{"samples", strategies.Canary{MinSamples: -1}, []string{"Stages[0].MinSamples is -1"}},
		{"action", strategies.Canary{OnLimit: 9, OnNoEvidence: -1}, []string{"OnLimit is 9", "OnNoEvidence is -1"}},
		{"empty sequence", strategies.Sequence(), []string{"at least one stage"}},
		{"nil in sequence", strategies.Sequence(canary(5), nil), []string{"Sequence[1]"}},
		{"same names", strategies.Sequence(canary(5), canary(5)), []string{"Stages[2].Name is canary 0.05%"}},
		{"bad part", strategies.Sequence(canary(5), canary(0)), []string{"part 1 of the sequence", "Canary.Weights[0]"}},
	} {
		_, err := c.strategy.Stages("a", "b")
		var invalid *strategies.InvalidError
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

func TestStagesAsJSON(t *testing.T) {
	stages, err := strategies.Canary{Bake: time.Minute, OnLimit: strategies.RollBack}.Stages("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(stages)
	if err != nil {
		t.Fatal(err)
	}
	var back []strategies.Stage
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stages, back); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`[{"until":"tomorrow"}]`), &back); err == nil || !strings.Contains(err.Error(), `"tomorrow"`) {
		t.Errorf("unknown word: %v; want an error that repeats it", err)
	}
}
