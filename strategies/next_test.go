package strategies_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/strategies"
)

// stages are: 5 % with checks on both sides and ten samples, 50 % until safe,
// 100 %.
func stages(t interface{ Fatal(...any) }) []strategies.Stage {
	list, err := strategies.Canary{
		Weights: []strategies.Weight{500, 5000}, Bake: time.Minute, Limit: time.Hour,
		OnLimit: strategies.ActionRollBack, OnNoEvidence: strategies.ActionHold,
	}.Stages("old", "new")
	if err != nil {
		t.Fatal(err)
	}
	list[0].MinSamples = 10
	list[0].Before, list[0].After = []string{"smoke"}, []string{"review"}
	return list
}

// TestApprovalsAreNotPassedOver: no command goes past a stage that asks for an approval to
// one that asks for none.
func TestApprovalsAreNotPassedOver(t *testing.T) {
	list := stages(t)
	list[1].Approve = &strategies.Approval{}
	for _, s := range []strategies.State{
		{Phase: strategies.Approving, Stage: 1, Command: strategies.Skip},
		{Phase: strategies.Baking, Stage: 0, Command: strategies.PromoteFully},
	} {
		if d := strategies.Next(list, s); d.Do != strategies.DoRefuse || !strings.Contains(d.Reason, "approval") {
			t.Errorf("%v: %+v", s.Command, d)
		}
	}
	list[2].Approve = &strategies.Approval{}
	for _, s := range []strategies.State{
		{Phase: strategies.Approving, Stage: 1, Command: strategies.Skip},
		{Phase: strategies.BeforeStage, Stage: 1, Command: strategies.Skip},
		{Phase: strategies.Baking, Stage: 0, Command: strategies.PromoteFully},
		{Phase: strategies.Baking, Stage: 1, Command: strategies.PromoteFully},
	} {
		if d := strategies.Next(list, s); d.Do != strategies.DoEnter || d.Phase != strategies.Approving || d.Stage != 2 {
			t.Errorf("%v, where the last stage asks for an approval: %+v", s.Command, d)
		}
	}
}

func TestNext(t *testing.T) {
	const (
		stay    = strategies.DoStay
		enter   = strategies.DoEnter
		pause   = strategies.DoPause
		resume  = strategies.DoResume
		refuse  = strategies.DoRefuse
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
		{"preflight passes", state{Checked: true, Checks: passed}, to{enter, strategies.BeforeStage, 0}},
		{"preflight warns", state{Checked: true, Checks: checks.Warn}, to{enter, strategies.BeforeStage, 0}},
		{"preflight fails", state{Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"preflight unknown", state{Checked: true}, to{enter, strategies.Failed, 0}},
		{"preflight passes, paused", state{Paused: true, Checked: true, Checks: passed}, to{do: stay}},
		{"preflight fails, paused", state{Paused: true, Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"before the first stage fails", state{Phase: strategies.BeforeStage, Checked: true, Checks: checks.Fail}, to{enter, strategies.Failed, 0}},
		{"before a later stage fails", state{Phase: strategies.BeforeStage, Stage: 1, Checked: true, Checks: checks.Fail}, to{enter, strategies.RolledBack, 1}},
		{"before passes", state{Phase: strategies.BeforeStage, Checked: true, Checks: passed}, to{enter, baking, 0}},

		{"bake not over", state{Phase: baking, Baked: minute - 1, Samples: 99}, to{do: stay}},
		{"samples missing", state{Phase: baking, Baked: minute, Waited: minute, Samples: 9}, to{do: stay}},
		{"baked", state{Phase: baking, Baked: minute, Samples: 10}, to{enter, strategies.AfterStage, 0}},
		{"baked, no evidence", state{Phase: baking, Baked: minute, Waited: minute, Samples: 10, Verdict: analysis.NoEvidence}, to{do: stay}},
		{"baked, no evidence till the limit", state{Phase: baking, Baked: tooLong, Waited: tooLong, Samples: 10, Verdict: analysis.NoEvidence}, to{pause, baking, 0}},
		{"baked, unmeasurable", state{Phase: baking, Baked: minute, Waited: minute, Samples: 10, Verdict: analysis.Unmeasurable}, to{do: stay}},
		{"baked, unmeasurable till the limit", state{Phase: baking, Baked: tooLong, Waited: tooLong, Samples: 10, Verdict: analysis.Unmeasurable}, to{pause, baking, 0}},
		{"last stage, nothing to compare with", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Verdict: analysis.Unmeasurable}, to{enter, strategies.Promoted, 2}},
		{"last stage, no answer", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Verdict: analysis.NoEvidence}, to{do: stay}},
		{"baked, paused", state{Phase: baking, Paused: true, Baked: minute, Samples: 10}, to{do: stay}},
		{"not proven", state{Phase: baking, Stage: 1, Baked: minute, Waited: minute}, to{do: stay}},
		{"proven too early", state{Phase: baking, Stage: 1, Baked: 1, Verdict: analysis.Safe}, to{do: stay}},
		{"proven", state{Phase: baking, Stage: 1, Baked: minute, Samples: 1, Verdict: analysis.Safe}, to{enter, baking, 2}},
		{"limit", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong, Samples: 1}, to{enter, strategies.RolledBack, 1}},
		{"limit, no evidence", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong, Verdict: analysis.NoEvidence}, to{pause, baking, 1}},
		{"limit, unmeasurable", state{Phase: baking, Stage: 1, Baked: tooLong, Waited: tooLong, Verdict: analysis.Unmeasurable}, to{pause, baking, 1}},
		{"resumed after the limit", state{Phase: baking, Stage: 1, Baked: 2 * tooLong, Waited: minute}, to{do: stay}},
		{"nothing seen", state{Phase: baking, Stage: 2, Baked: minute}, to{do: stay}},
		{"nothing seen till the limit", state{Phase: baking, Stage: 2, Baked: tooLong, Waited: tooLong}, to{pause, baking, 2}},
		{"last stage", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1}, to{enter, strategies.Promoted, 2}},
		{"last stage, monitor", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Postflight: true, Monitor: minute}, to{enter, strategies.Monitoring, 2}},
		{"monitor", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute - 1, Monitor: minute}, to{do: stay}},
		{"monitor ends", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute}, to{enter, strategies.Promoted, 2}},
		{"monitor ends, postflight", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Postflight: true}, to{enter, strategies.Postflight, 2}},
		{"monitor sees harm", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Verdict: harmed}, to{enter, strategies.RolledBack, 2}},
		{"monitor sees an incident", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Verdict: analysis.Incident}, to{do: stay}},
		{"incident lasts as long again as the monitoring", state{Phase: strategies.Monitoring, Stage: 2, Waited: 2 * time.Hour, Monitor: time.Hour, Verdict: analysis.Incident}, to{pause, strategies.Monitoring, 2}},
		{"incident may end", state{Phase: strategies.Monitoring, Stage: 2, Waited: 2*time.Hour - 1, Monitor: time.Hour, Verdict: analysis.Incident}, to{do: stay}},
		{"incident after a short monitor", state{Phase: strategies.Monitoring, Stage: 2, Waited: 10 * minute, Monitor: minute, Verdict: analysis.Incident}, to{do: stay}},
		{"incident holds a stage", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Verdict: analysis.Incident}, to{do: stay}},
		{"last stage, postflight", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Postflight: true}, to{enter, strategies.Postflight, 2}},
		{"after passes", state{Phase: strategies.AfterStage, Checked: true, Checks: passed}, to{enter, baking, 1}},
		{"after fails", state{Phase: strategies.AfterStage, Checked: true, Checks: checks.Fail}, to{enter, strategies.RolledBack, 0}},
		{"postflight passes", state{Phase: strategies.Postflight, Stage: 2, Checked: true, Checks: passed}, to{enter, strategies.Promoted, 2}},
		{"postflight unknown", state{Phase: strategies.Postflight, Stage: 2, Checked: true}, to{enter, strategies.RolledBack, 2}},

		{"harm", state{Phase: baking, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"harm beats promote", state{Phase: baking, Verdict: harmed, Command: strategies.Promote}, to{enter, strategies.RolledBack, 0}},
		{"harm while paused", state{Phase: baking, Paused: true, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"harm during checks", state{Phase: strategies.AfterStage, Verdict: harmed}, to{enter, strategies.RolledBack, 0}},
		{"abort beats everything", state{Phase: baking, Verdict: harmed, Command: strategies.Abort}, to{enter, strategies.Aborted, 0}},
		{"supersede", state{Phase: baking, Command: strategies.Supersede}, to{enter, strategies.Superseded, 0}},
		{"standing check fails", state{Phase: baking, Standing: "expired"}, to{pause, baking, 0}},
		{"standing check fails while others run", state{Phase: strategies.AfterStage, Standing: "expired"}, to{pause, strategies.AfterStage, 0}},
		{"standing check fails, paused", state{Phase: baking, Paused: true, Standing: "expired"}, to{do: stay}},
		{"standing check fails, resume", state{Phase: baking, Paused: true, Standing: "expired", Command: strategies.Resume}, to{resume, baking, 0}},
		{"standing check fails, promote", state{Phase: baking, Standing: "expired", Command: strategies.Promote}, to{pause, baking, 0}},
		{"standing check fails, abort", state{Phase: baking, Standing: "expired", Command: strategies.Abort}, to{enter, strategies.Aborted, 0}},
		{"standing check rolls back", state{Phase: strategies.Monitoring, Stage: 2, Paused: true, Standing: "expired", OnStanding: strategies.ActionRollBack}, to{enter, strategies.RolledBack, 2}},
		{"standing check rolls back, promote", state{Phase: baking, Standing: "expired", OnStanding: strategies.ActionRollBack, Command: strategies.Promote}, to{enter, strategies.RolledBack, 0}},
		{"split refused", state{Phase: baking, SplitError: "no backend"}, to{enter, strategies.RolledBack, 0}},

		{"pause", state{Phase: baking, Command: strategies.Pause}, to{pause, baking, 0}},
		{"pause twice", state{Phase: baking, Paused: true, Command: strategies.Pause}, to{refuse, baking, 0}},
		{"resume", state{Phase: baking, Paused: true, Command: strategies.Resume}, to{resume, baking, 0}},
		{"resume what runs", state{Phase: baking, Command: strategies.Resume}, to{refuse, baking, 0}},
		{"promote", state{Phase: baking, Stage: 1, Command: strategies.Promote}, to{enter, baking, 2}},
		{"promote keeps the checks", state{Phase: baking, Command: strategies.Promote}, to{enter, strategies.AfterStage, 0}},
		{"promote during checks", state{Command: strategies.Promote}, to{refuse, strategies.Preflight, 0}},
		{"promote what is over", state{Phase: strategies.Promoted, Command: strategies.Promote}, to{refuse, strategies.Promoted, 0}},
		{"skip what has not begun", state{Phase: strategies.BeforeStage, Stage: 1, Command: strategies.Skip}, to{enter, baking, 2}},
		{"skip what has begun", state{Phase: baking, Stage: 1, Command: strategies.Skip}, to{refuse, baking, 1}},
		{"skip the last", state{Phase: strategies.BeforeStage, Stage: 2, Command: strategies.Skip}, to{refuse, strategies.BeforeStage, 2}},
		{"promote fully", state{Phase: baking, Command: strategies.PromoteFully}, to{enter, baking, 2}},
		{"promote fully before preflight", state{Command: strategies.PromoteFully}, to{refuse, strategies.Preflight, 0}},
		{"frozen", state{Phase: strategies.BeforeStage, Checked: true, Checks: passed, Frozen: "weekend"}, to{do: stay}},
		{"frozen, promote", state{Phase: baking, Stage: 1, Command: strategies.Promote, Frozen: "weekend"}, to{refuse, baking, 1}},
		{"frozen, promotion of what has everything", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Frozen: "weekend"}, to{enter, strategies.Promoted, 2}},
		{"frozen, promotion of what is held back", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Frozen: "weekend", HeldBack: true}, to{do: stay}},
		{"frozen, postflight before what is held back", state{Phase: strategies.Monitoring, Stage: 2, Waited: minute, Monitor: minute, Postflight: true, Frozen: "weekend", HeldBack: true}, to{enter, strategies.Postflight, 2}},
		{"frozen, postflight passes, held back", state{Phase: strategies.Postflight, Stage: 2, Checked: true, Checks: passed, Frozen: "weekend", HeldBack: true}, to{do: stay}},
		{"frozen, postflight fails, held back", state{Phase: strategies.Postflight, Stage: 2, Checked: true, Checks: checks.Fail, Frozen: "weekend", HeldBack: true}, to{enter, strategies.RolledBack, 2}},
		{"frozen, monitor raises the share", state{Phase: baking, Stage: 2, Baked: minute, Samples: 1, Monitor: minute, Frozen: "weekend", HeldBack: true}, to{do: stay}},
		{"frozen, promote what is held back", state{Phase: strategies.Monitoring, Stage: 2, Monitor: minute, Command: strategies.Promote, Frozen: "weekend", HeldBack: true}, to{refuse, strategies.Monitoring, 2}},
		{"frozen, abort what is held back", state{Phase: strategies.Monitoring, Stage: 2, Monitor: minute, Command: strategies.Abort, Frozen: "weekend", HeldBack: true}, to{enter, strategies.Aborted, 2}},
		{"frozen, harm", state{Phase: baking, Stage: 1, Verdict: harmed, Frozen: "weekend"}, to{enter, strategies.RolledBack, 1}},
		{"ramp down without a way", state{Phase: baking, Stage: 1, Command: strategies.RampDown}, to{refuse, baking, 1}},
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
	switch phase {
	case strategies.Preflight:
		stage = 0
	case strategies.Monitoring, strategies.Postflight:
		stage = 2
	}
	duration := func(name string) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, name))
	}
	return strategies.State{
		Phase: phase, Stage: stage,
		Paused: rapid.Bool().Draw(t, "paused"),
		Baked:  duration("baked"), Waited: duration("waited"), Monitor: duration("monitor"),
		Samples:  rapid.IntRange(0, 20).Draw(t, "samples"),
		Standing: rapid.SampledFrom([]string{"", "", "expired"}).Draw(t, "standing"), OnStanding: strategies.Action(rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "on standing")),
		HeldBack: rapid.Bool().Draw(t, "held back"),
		Verdict:  analysis.Verdict(rapid.IntRange(0, int(analysis.Incident)).Draw(t, "verdict")),
		Checked:  rapid.Bool().Draw(t, "checked"), Postflight: rapid.Bool().Draw(t, "postflight"),
		Checks:   checks.Status(rapid.IntRange(0, int(checks.Fail)).Draw(t, "checks")),
		Consent:  strategies.Consent(rapid.IntRange(0, int(strategies.Rejected)).Draw(t, "consent")),
		Frozen:   rapid.SampledFrom([]string{"", "weekend"}).Draw(t, "frozen"),
		RampDown: strategies.RampSteps(500, 3, time.Minute), Step: rapid.IntRange(-1, 3).Draw(t, "step"),
		Command: strategies.Command(rapid.IntRange(0, int(strategies.RampDown)).Draw(t, "command")),
	}
}

// lawful says which law the decision d in state s breaks, "" if none.
func lawful(list []strategies.Stage, s strategies.State, d strategies.Decision) string {
	moves := d.Do == strategies.DoEnter
	changes := moves || d.Do == strategies.DoPause || d.Do == strategies.DoResume || d.Do == strategies.DoTakeVote
	onward := moves && !d.Phase.Terminal() && d.Phase != strategies.RampingDown
	byHand := s.Command == strategies.Promote || s.Command == strategies.PromoteFully || s.Command == strategies.Skip
	switch {
	case d.Reason == "" || d.Rule == "":
		return "a decision without a reason or a rule"
	case s.Phase.Terminal():
		if changes {
			return "an outcome is left"
		}
	case s.Command == strategies.Abort:
		if !moves || d.Phase != strategies.Aborted {
			return "an abort is not carried out"
		}
	case s.Command == strategies.Supersede:
		if !moves || d.Phase != strategies.Superseded {
			return "a supersede is not carried out"
		}
	case s.Verdict == analysis.Harmed:
		if !moves || !d.Phase.Terminal() || d.Phase == strategies.Promoted {
			return "harm does not end the rollout"
		}
	case onward && d.Stage < s.Stage:
		return "a stage is repeated"
	case onward && d.Stage > s.Stage+1 && s.Command != strategies.PromoteFully:
		return "a stage is skipped"
	case onward && s.Phase.Checking() && s.Command != strategies.Skip && !(s.Checked && (s.Checks == checks.Pass || s.Checks == checks.Warn)):
		return "a gate is passed without its checks"
	case onward && d.Phase == strategies.Baking && s.Frozen != "":
		return "a stage begins in a freeze"
	case moves && (d.Phase == strategies.Monitoring || d.Phase == strategies.Promoted) && s.HeldBack && s.Frozen != "":
		return "what is held back moves in a freeze"
	case s.Standing != "" && s.OnStanding == strategies.ActionRollBack && s.Phase != strategies.RampingDown:
		if !moves || d.Phase != strategies.RolledBack {
			return "a standing check does not roll back"
		}
	case s.Standing != "" && s.Phase != strategies.RampingDown && onward && !byHand:
		return "it moves forward although a standing check fails"
	case s.Standing != "" && s.Phase != strategies.RampingDown && !s.Paused && moves && !d.Phase.Terminal() && d.Phase != strategies.RampingDown:
		return "a person moves it forward past a standing check that has not paused it yet"
	case onward && s.Paused && !byHand:
		return "a paused rollout moves forward by itself"
	case onward && d.Phase == strategies.Baking && list[d.Stage].Approve != nil && s.Phase != strategies.BeforeStage &&
		!(s.Phase == strategies.Approving && s.Consent == strategies.Granted):
		return "a stage begins without its approval"
	case onward && d.Phase == strategies.Baking && len(list[d.Stage].Before) > 0 && s.Phase != strategies.BeforeStage:
		return "a stage begins without its checks"
	case onward && s.Phase == strategies.RampingDown:
		return "the way down leads up again"
	case moves && d.Phase == strategies.Promoted:
		switch {
		case s.Stage != len(list)-1:
			return "promoted before the last stage"
		case s.Postflight && s.Phase != strategies.Postflight:
			return "promoted without the postflight checks"
		case s.Monitor > 0 && s.Phase != strategies.Postflight && s.Phase != strategies.Monitoring:
			return "promoted without the monitoring"
		}
	}
	return ""
}

// TestNextLaws checks what holds in every state.
func TestNextLaws(t *testing.T) {
	list := stages(t)
	list[1].Approve = &strategies.Approval{}
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		d := strategies.Next(list, s)
		if !cmp.Equal(d, strategies.Next(list, s)) {
			t.Fatal("equal states give different decisions")
		}
		if broken := lawful(list, s, d); broken != "" {
			t.Fatalf("%s: %+v", broken, d)
		}
	})
}

// TestContest decides between three candidates in every combination that
// matters.
func TestContest(t *testing.T) {
	list, err := strategies.AB{Rivals: []string{"b", "c"}, Bake: time.Minute, Horizon: time.Hour, MinSamples: 10, OnTie: strategies.ActionContinue}.Stages("base", "a")
	if err != nil {
		t.Fatal(err)
	}
	rival := func(arm string, v analysis.Verdict, gain float64) strategies.Rival {
		return strategies.Rival{Arm: arm, Verdict: v, Gain: gain, Samples: 10}
	}
	out := func(r strategies.Rival) strategies.Rival { r.Dropped = true; return r }
	silent := func(r strategies.Rival) strategies.Rival { r.Samples = 0; return r }
	const (
		undecided, harmed, safe = analysis.Continue, analysis.Harmed, analysis.Safe
		hour                    = time.Hour
	)
	for _, c := range []struct {
		name   string
		waited time.Duration
		rivals []strategies.Rival
		do     strategies.Do
		phase  strategies.Phase
		arm    string
	}{
		{"nothing is known", 2 * time.Minute, []strategies.Rival{rival("a", undecided, 0), rival("b", undecided, 0)}, strategies.DoStay, 0, ""},
		{"one does harm", 0, []strategies.Rival{rival("a", harmed, 0), rival("b", undecided, 0)}, strategies.DoDrop, strategies.Baking, "a"},
		{"the last one does harm", 0, []strategies.Rival{out(rival("a", harmed, 0)), rival("b", harmed, 0)}, strategies.DoEnter, strategies.RolledBack, ""},
		{"all are safe, but the bake", 0, []strategies.Rival{rival("a", safe, 1), rival("b", safe, 2)}, strategies.DoStay, 0, ""},
		{"all are safe", 2 * time.Minute, []strategies.Rival{rival("a", safe, 1), rival("b", safe, 2), rival("c", safe, 0)}, strategies.DoEnter, strategies.Baking, "b"},
		{"a draw goes by order", 2 * time.Minute, []strategies.Rival{rival("a", safe, 1), rival("b", safe, 1)}, strategies.DoEnter, strategies.Baking, "a"},
		{"one is not proven yet", 2 * time.Minute, []strategies.Rival{rival("a", safe, 1), rival("b", undecided, 2)}, strategies.DoStay, 0, ""},
		{"samples are missing", 2 * time.Minute, []strategies.Rival{rival("a", safe, 1), silent(rival("b", safe, 2))}, strategies.DoStay, 0, ""},
		{"the horizon, the proven one wins", hour, []strategies.Rival{rival("a", safe, 1), rival("b", undecided, 2)}, strategies.DoEnter, strategies.Baking, "a"},
		{"the horizon, none is proven", hour, []strategies.Rival{rival("a", undecided, 1), rival("b", undecided, 2)}, strategies.DoEnter, strategies.Baking, "b"},
		{"the horizon, one was silent", hour, []strategies.Rival{rival("a", safe, 1), silent(rival("b", undecided, 2))}, strategies.DoPause, strategies.Baking, ""},
	} {
		d := strategies.Next(list, strategies.State{Phase: strategies.Baking, Baked: c.waited, Waited: c.waited, Rivals: c.rivals})
		if d.Do != c.do || d.Do != strategies.DoStay && d.Phase != c.phase || d.Arm != c.arm || d.Reason == "" {
			t.Errorf("%s: %+v, want %v %v %q", c.name, d, c.do, c.phase, c.arm)
		}
	}
	byHand := strategies.State{Phase: strategies.Baking, Command: strategies.Promote, Rivals: []strategies.Rival{rival("a", undecided, 1), rival("b", safe, 0)}}
	if d := strategies.Next(list, byHand); d.Do != strategies.DoEnter || d.Arm != "b" {
		t.Errorf("promoted by hand: %+v, want b to win", d)
	}
	// Harm in a contest is dropped also while it is paused, and against Promote.
	for _, s := range []strategies.State{{Paused: true}, {Command: strategies.Promote}} {
		s.Phase, s.Rivals = strategies.Baking, []strategies.Rival{rival("a", harmed, 0), rival("b", undecided, 0)}
		if d := strategies.Next(list, s); d.Do != strategies.DoDrop {
			t.Errorf("%+v: %+v, want a drop", s, d)
		}
	}
}
