package strategies_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// stages are: 5 % with checks on both sides and ten samples, 50 % until safe,
// 100 %.
func stages(t interface{ Fatal(...any) }) []strategies.Stage {
	list, err := strategies.Canary{
		Weights: []strategies.Weight{500, 5000}, Bake: time.Minute, Limit: time.Hour,
		OnLimit: strategies.RollBack, OnNoEvidence: strategies.Hold,
	}.Stages("old", "new")
	if err != nil {
		t.Fatal(err)
	}
	list[0].MinSamples = 10
	list[0].Before, list[0].After = []string{"smoke"}, []string{"review"}
	return list
}

func TestNext(t *testing.T) {
	const (
		stay    = strategies.Stay
		enter   = strategies.Enter
		pause   = strategies.SetPause
		resume  = strategies.SetResume
		refuse  = strategies.Refuse
		baking  = strategies.Baking
		harmed  = analysis.Harmed
		passed  = checks.Pass
		minute  = time.Minute
		tooLong = time.Hour
	)
	type state = strategies.State
	type to struct {
		do    strategies.Do
		phase strategies.Phase
		stage int
	}
	for _, c := range []struct {
		name string
		in   state
		want to
	}{
		{"preflight runs", state{}, to{do: stay}},
		{"preflight passes", state{Checked: true, Checks: passed}, to{enter, strategies.Before, 0}},
		{"preflight warns", state{Checked: true, Checks: checks.Warn}, to{enter, strategies.Before, 0}},
		{"preflight fails", state{Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"preflight unknown", state{Checked: true}, to{enter, strategies.Failed, 0}},
		{"preflight passes, paused", state{Paused: true, Checked: true, Checks: passed}, to{do: stay}},
		{"preflight fails, paused", state{Paused: true, Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"before the first stage fails", state{Phase: strategies.Before, Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"before a later stage fails", state{Phase: strategies.Before, Stage: 1, Checked: true, Checks: checks.Fail}, to{enter, strategies.RolledBack, 1}},
		{"before passes", state{Phase: strategies.Before, Checked: true, Checks: passed}, to{enter, baking, 0}},

		{"bake not over", state{Phase: baking, Baked: minute - 1, Samples: 99}, to{do: stay}},
		{"samples missing", state{Phase: baking, Baked: minute, Waited: minute, Samples: 9}, to{do: stay}},
		{"baked", state{Phase: baking, Baked: minute, Samples: 10}, to{enter, strategies.After, 0}},
		{"baked, paused", state{Phase: baking, Paused: true, Baked: minute, Samples: 10}, to{do: stay}},
		{"not proven", state{Phase: baking, Stage: 1, Baked: minute, Waited: minute}, to{do: stay}},
		{"proven too early", state{Phase: baking, Stage: 1, Baked: 1, Verdict: analysis.Safe}, to{do: stay}},
		{"proven", state{Phase: baking, Stage: 1, Baked: minute, Verdict: analysis.Safe}, to{enter, baking, 2}},
		{"limit", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong}, to{enter, strategies.RolledBack, 1}},
		{"limit, no evidence", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong, Verdict: analysis.NoEvidence}, to{pause, baking, 1}},
		{"limit, unmeasurable", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong, Verdict: analysis.Unmeasurable}, to{pause, baking, 1}},
		{"resumed after the limit", state{Phase: baking, Stage: 1, Baked: 2 * tooLong, Waited: minute}, to{do: stay}},
		{"last stage", state{Phase: baking, Stage: 2, Baked: minute}, to{enter, strategies.Promoted, 2}},
		{"last stage, postflight", state{Phase: baking, Stage: 2, Baked: minute, Postflight: true}, to{enter, strategies.Postflight, 2}},
		{"after passes", state{Phase: strategies.After, Checked: true, Checks: passed}, to{enter, baking, 1}},
		{"after fails", state{Phase: strategies.After, Checked: true, Checks: checks.Fail}, to{enter, strategies.RolledBack, 0}},
		{"postflight passes", state{Phase: strategies.Postflight, Stage: 2, Checked: true, Checks: passed}, to{enter, strategies.Promoted, 2}},
		{"postflight unknown", state{Phase: strategies.Postflight, Stage: 2, Checked: true}, to{enter, strategies.RolledBack, 2}},

		{"harm", state{Phase: baking, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"harm beats promote", state{Phase: baking, Verdict: harmed, Command: strategies.Promote}, to{enter, strategies.RolledBack, 0}},
		{"harm while paused", state{Phase: baking, Paused: true, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"harm during checks", state{Phase: strategies.After, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"abort beats everything", state{Phase: baking, Verdict: harmed, Command: strategies.Abort}, to{enter, strategies.Aborted, 0}},
		{"supersede", state{Phase: baking, Command: strategies.Supersede}, to{enter, strategies.Superseded, 0}},
		{"split refused", state{Phase: baking, SplitError: "no backend"}, to{enter, strategies.RolledBack, 0}},

		{"pause", state{Phase: baking, Command: strategies.Pause}, to{pause, baking, 0}},
		{"pause twice", state{Phase: baking, Paused: true, Command: strategies.Pause}, to{refuse, baking, 0}},
		{"resume", state{Phase: baking, Paused: true, Command: strategies.Resume}, to{resume, baking, 0}},
		{"resume what runs", state{Phase: baking, Command: strategies.Resume}, to{refuse, baking, 0}},
		{"promote", state{Phase: baking, Stage: 1, Command: strategies.Promote}, to{enter, baking, 2}},
		{"promote keeps the checks", state{Phase: baking, Command: strategies.Promote}, to{enter, strategies.After, 0}},
		{"promote during checks", state{Command: strategies.Promote}, to{refuse, strategies.Preflight, 0}},
		{"promote what is over", state{Phase: strategies.Promoted, Command: strategies.Promote}, to{refuse, strategies.Promoted, 0}},
		{"over", state{Phase: strategies.RolledBack, Verdict: analysis.Safe}, to{do: stay}},
		{"no such stage", state{Phase: baking, Stage: 3}, to{do: refuse}},
		{"no such phase", state{Phase: -1}, to{do: refuse}},
	} {
		got := strategies.Next(stages(t), c.in)
		if (to{got.Do, got.Phase, got.Stage}) != c.want {
			t.Errorf("%s: Next = %+v, want %+v", c.name, got, c.want)
		}
		if got.Reason == "" {
			t.Errorf("%s: the decision gives no reason", c.name)
		}
	}
}

func drawState(t *rapid.T) strategies.State {
	phase := strategies.Phase(rapid.IntRange(0, int(strategies.Failed)).Draw(t, "phase"))
	stage := rapid.IntRange(0, 2).Draw(t, "stage")
	if phase == strategies.Preflight {
		stage = 0
	}
	return strategies.State{
		Phase: phase, Stage: stage,
		Paused:  rapid.Bool().Draw(t, "paused"),
		Baked:   time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "baked")),
		Waited:  time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "waited")),
		Samples: rapid.IntRange(0, 20).Draw(t, "samples"),
		Verdict: analysis.Verdict(rapid.IntRange(0, int(analysis.Unmeasurable)).Draw(t, "verdict")),
		Checked: rapid.Bool().Draw(t, "checked"), Postflight: rapid.Bool().Draw(t, "postflight"),
		Checks:  checks.Status(rapid.IntRange(0, int(checks.Fail)).Draw(t, "checks")),
		Command: strategies.Command(rapid.IntRange(0, int(strategies.Supersede)).Draw(t, "command")),
	}
}

// TestNextLaws checks what holds in every state.
func TestNextLaws(t *testing.T) {
	list := stages(t)
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		d := strategies.Next(list, s)
		moves := d.Do == strategies.Enter
		switch {
		case d != strategies.Next(list, s):
			t.Fatal("equal states give different decisions")
		case s.Phase.Terminal() && (moves || d.Do == strategies.SetPause || d.Do == strategies.SetResume):
			t.Fatalf("an outcome is left: %+v", d)
		case s.Phase.Terminal():
		case s.Command == strategies.Abort && d.Phase != strategies.Aborted:
			t.Fatalf("an abort is not carried out: %+v", d)
		case s.Verdict == analysis.Harmed && !(moves && d.Phase.Terminal() && d.Phase != strategies.Promoted):
			t.Fatalf("harm does not end the rollout: %+v", d)
		case moves && !d.Phase.Terminal() && (d.Stage < s.Stage || d.Stage > s.Stage+1):
			t.Fatalf("a stage is skipped or repeated: %+v", d)
		case moves && s.Phase.Checking() && !d.Phase.Terminal() && !(s.Checked && (s.Checks == checks.Pass || s.Checks == checks.Warn)):
			t.Fatalf("a gate is passed without its checks: %+v", d)
		case moves && s.Paused && !d.Phase.Terminal() && s.Command == strategies.None:
			t.Fatalf("a paused rollout moves forward by itself: %+v", d)
		case d.Phase == strategies.Promoted && moves && (s.Stage != 2 && s.Phase != strategies.Postflight || s.Postflight && s.Phase != strategies.Postflight):
			t.Fatalf("promoted before the last stage, or without its postflight checks: %+v", d)
		}
	})
}
