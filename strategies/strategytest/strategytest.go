// Package strategytest is a conformance test suite for implementations of
// strategies.Strategy, such as custom canary releases.
package strategytest

import (
	"encoding/json"
	"reflect"
	"sync"
	"testing"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

const baseline, candidate = "1.4.0", "1.5.0"

// Exercise runs the conformance suite: Stages is pure, its stages are valid and survive
// JSON, a rollout with good evidence is promoted, and a rollout with harm is rolled back.
func Exercise(t *testing.T, s strategies.Strategy) {
	for name, part := range map[string]func(*testing.T, strategies.Strategy){
		"Pure": pure, "Valid": valid, "JSON": survivesJSON, "Promoted": promoted, "RolledBack": rolledBack,
	} {
		t.Run(name, func(t *testing.T) { part(t, s) })
	}
}

func compile(t *testing.T, s strategies.Strategy) []strategies.Stage {
	t.Helper()
	stages, err := s.Stages(baseline, candidate)
	if err != nil {
		t.Fatalf("Stages: %v", err)
	}
	return stages
}

// pure checks that Stages gives equal results, also to concurrent callers, and after a
// caller has changed the split of its result.
func pure(t *testing.T, s strategies.Strategy) {
	first, same := compile(t, s), compile(t, s)
	for i := range same {
		for j := range same[i].Split.Arms {
			same[i].Split.Arms[j] = strategies.Arm{Name: "changed"}
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			again, err := s.Stages(baseline, candidate)
			if err != nil || !reflect.DeepEqual(first, again) {
				t.Errorf("equal names give %+v and then %+v, %v", first, again, err)
			}
		})
	}
	all.Wait()
	other, err := s.Stages("old", "new")
	if err != nil || len(other) != len(first) {
		t.Errorf("other names give %d stages, %v; want %d", len(other), err, len(first))
		return
	}
	for i, stage := range other {
		if stage.Split.Baseline() != "old" || stage.Split.Weight("new") != first[i].Split.Weight(candidate) {
			t.Errorf("stage %q with other names has the split %+v; want the weights of %+v", stage.Name, stage.Split, first[i].Split)
		}
	}
}

func valid(t *testing.T, s strategies.Strategy) {
	stages := compile(t, s)
	if err := strategies.ValidateStages(stages); err != nil {
		t.Error(err)
	}
	reached := false
	for _, stage := range stages {
		if got := stage.Split.Baseline(); got != baseline {
			t.Errorf("stage %q: the first arm is %q, want the baseline %q", stage.Name, got, baseline)
		}
		reached = reached || stage.Split.Reaches(candidate)
	}
	if !reached {
		t.Errorf("no request of any stage reaches the candidate: %+v", stages)
	}
}

func survivesJSON(t *testing.T, s strategies.Strategy) {
	stages := compile(t, s)
	text, err := json.Marshal(stages)
	if err != nil {
		t.Fatal(err)
	}
	var back []strategies.Stage
	if err := json.Unmarshal(text, &back); err != nil || strategies.ValidateStages(back) != nil {
		t.Fatalf("%s: %v, %v", text, err, strategies.ValidateStages(back))
	}
	if again, err := json.Marshal(back); err != nil || string(again) != string(text) {
		t.Errorf("%s reads back as %s, %v", text, again, err)
	}
}

// run decides a rollout whose checks pass, whose approvals are granted and whose candidates
// have the given verdict, until it has an outcome.
func run(t *testing.T, stages []strategies.Stage, verdict analysis.Verdict) strategies.Phase {
	t.Helper()
	var s strategies.State
	for range 20 * (len(stages) + 1) {
		s.Checked, s.Checks, s.Consent = s.Phase.Checking(), checks.Pass, strategies.Granted
		if s.Phase == strategies.Baking {
			stage := stages[s.Stage]
			s.Verdict = verdict
			s.Baked, s.Waited, s.Samples = stage.Bake, stage.Bake, max(stage.MinSamples, 1)
			s.Rivals = nil
			for _, arm := range stage.Split.Arms[1:] {
				if stage.Contest {
					s.Rivals = append(s.Rivals, strategies.Rival{Arm: arm.Name, Verdict: verdict, Samples: s.Samples})
				}
			}
			for i := range s.Rivals[min(1, len(s.Rivals)):] {
				s.Rivals[i+1].Dropped = verdict == analysis.Harmed // the last one decides
			}
		}
		d := strategies.Next(stages, s)
		if d.Do != strategies.DoEnter {
			t.Fatalf("the rollout does not move: %v %d: %+v", s.Phase, s.Stage, d)
		}
		s = strategies.State{Phase: d.Phase, Stage: d.Stage, Step: d.Step}
		if s.Phase.Terminal() {
			return s.Phase
		}
	}
	t.Fatalf("the rollout has no outcome; it is in %v, stage %d of %d", s.Phase, s.Stage, len(stages))
	return 0
}

func promoted(t *testing.T, s strategies.Strategy) {
	if got := run(t, compile(t, s), analysis.Safe); got != strategies.Promoted {
		t.Errorf("with good evidence the outcome is %v, want %v", got, strategies.Promoted)
	}
}

func rolledBack(t *testing.T, s strategies.Strategy) {
	if got := run(t, compile(t, s), analysis.Harmed); got != strategies.RolledBack {
		t.Errorf("with harm the outcome is %v, want %v", got, strategies.RolledBack)
	}
}
