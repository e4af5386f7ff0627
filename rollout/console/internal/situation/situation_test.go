package situation_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var update = flag.Bool("update", false, "write the golden file")

var (
	now = time.Date(2026, 11, 29, 2, 58, 10, 0, time.UTC)
	ben = rollout.Actor{Name: "ben", Subject: "idp:ben", Roles: []string{"sre"}}
)

// status returns a rollout that bakes at 25 %, with everything well.
func status(t testing.TB) rollout.Status {
	t.Helper()
	p := rollout.Plan{
		Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.5.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.6.0")},
		Preflight: []string{"ready"}, Monitor: time.Hour,
	}
	var err error
	p.Stages, err = strategies.Sequence(strategies.Shadow{Bake: 10 * time.Minute}, strategies.Canary{
		Bake: 30 * time.Minute, Before: []string{"capacity"}, Approve: &strategies.Approval{Roles: []string{"sre"}, OnTimeout: strategies.ActionRollBack},
	}).Stages("1.5.0", "1.6.0")
	if err != nil {
		t.Fatal(err)
	}
	st := rollout.Status{
		ID: "chat/17", Seq: 9, Changed: 9, Plan: p, Phase: strategies.Baking, Stage: 2, Split: p.Stages[2].Split,
		Baked: 18 * time.Minute, Samples: 1204, Exposed: 1500, Reason: "the checks have passed", At: now, Starter: rollout.Actor{Name: "ana"},
		Judgement: analysis.Judgement{
			At: now, Candidate: analysis.ArmCount{Arm: "1.6.0", Requests: 1500}, Baseline: analysis.ArmCount{Arm: "1.5.0", Requests: 4500},
			Harm: analysis.Proof{E: 1.2, Now: 0.8, Limit: 20}, Needed: 2100,
			Metrics: []analysis.Finding{
				{Metric: "error rate", Kind: analysis.Rate, Baseline: .01, Candidate: .012, BaselineN: 4500, CandidateN: 1500, Harm: analysis.Proof{Now: 1, Limit: 30}},
				{Metric: "ttft", Kind: analysis.Amount, Unit: "s", Baseline: .305, Candidate: .311, BaselineN: 4400, CandidateN: 1480, Harm: analysis.Proof{Now: .8, Limit: 90}},
			},
		},
	}
	return st
}

// cases yields each situation by name.
func cases(t testing.TB) map[string]situation.Situation {
	all := make(map[string]situation.Situation)
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, change func(st *rollout.Status, ev *rollout.Event)) {
		st := status(t)
		ev := rollout.Event{Rollout: st.ID, Seq: st.Changed, At: now.Add(-11 * time.Minute), Kind: rollout.PhaseEntered, By: rollout.Actor{Name: "serin"}, Rule: "checks"}
		change(&st, &ev)
		st.State.Phase, st.State.Stage, st.State.Paused, st.State.Baked = st.Phase, st.Stage, st.Paused, st.Baked
		st.State.Samples, st.State.Monitor, st.State.Verdict, st.State.VerdictReason = st.Samples, st.Plan.Monitor, st.Judgement.Verdict, st.Judgement.Reason
		if st.State.Waited == 0 {
			st.State.Waited = st.Baked
		}
		all[name] = situation.Of(st, situation.Facts{Now: now, Zone: vienna, Changed: ev})
	}
	harm := func(st *rollout.Status, e float64) {
		st.Judgement.Harm = analysis.Proof{E: e, Now: e, Limit: 20}
		st.Judgement.Metrics[0].Candidate, st.Judgement.Metrics[0].Harm.Now = .041, e*1.2
	}
	command := func(ev *rollout.Event, kind rollout.Kind) { ev.Kind, ev.Rule, ev.By = kind, "command", ben }
	all["idle"] = situation.Never("chat")
	all["away"] = situation.Unread("chat", errors.New("connection refused"), rollout.Status{}, situation.Facts{Now: now})
	all["away, seen before"] = situation.Unread("chat", errors.New("connection refused"), status(t), situation.Facts{Now: now.Add(90 * time.Second)})
	add("quiet", func(*rollout.Status, *rollout.Event) {})
	add("quiet, baked", func(st *rollout.Status, _ *rollout.Event) {
		st.Baked = 31 * time.Minute
		st.Stage = 3
		st.Split = st.Plan.Stages[3].Split
	})
	add("quiet, samples missing", func(st *rollout.Status, _ *rollout.Event) {
		st.Baked, st.Samples, st.Plan.Stages[2].MinSamples = 31*time.Minute, 200, 500
	})
	add("shadow", func(st *rollout.Status, _ *rollout.Event) {
		st.Stage, st.Split, st.Baked = 0, st.Plan.Stages[0].Split, 4*time.Minute
	})
	add("shadow, worse", func(st *rollout.Status, _ *rollout.Event) {
		st.Stage, st.Split = 0, st.Plan.Stages[0].Split
		harm(st, 12)
	})
	add("harming", func(st *rollout.Status, _ *rollout.Event) { harm(st, 14) })
	add("harmed", func(st *rollout.Status, _ *rollout.Event) {
		harm(st, 22)
		st.Judgement.Verdict, st.Judgement.Reason = analysis.Harmed, "error rate 4.1 % against 1 %"
	})
	add("incident", func(st *rollout.Status, _ *rollout.Event) {
		st.Judgement.Verdict = analysis.Incident
		st.Judgement.Metrics[0].Baseline, st.Judgement.Metrics[0].Candidate = .31, .3
	})
	add("blind", func(st *rollout.Status, _ *rollout.Event) {
		st.Baked = 35 * time.Minute
		st.Judgement.Verdict, st.Judgement.Reason = analysis.Unmeasurable, "traffic is not split as intended"
	})
	add("paused", func(st *rollout.Status, ev *rollout.Event) {
		st.Paused, st.Reason = true, "paused: ticket 4711"
		command(ev, rollout.Paused)
	})
	add("held", func(st *rollout.Status, ev *rollout.Event) {
		st.Paused, st.Reason, ev.Kind, ev.Rule = true, "ready: certificate expired; a person must resume, promote or abort", rollout.Paused, "standing"
	})
	add("approval", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Stage, st.Split = strategies.Approving, 4, st.Plan.Stages[3].Split
		st.State.ConsentReason, st.State.Waited = "1 of sre is needed", time.Hour
	})
	add("window", func(st *rollout.Status, _ *rollout.Event) {
		st.Phase, st.Stage, st.Split = strategies.BeforeStage, 2, st.Plan.Stages[1].Split
		st.State.Checked, st.State.Checks, st.State.Frozen = true, 1, "the next window opens at 2026-11-30T09:00:00+01:00"
	})
	add("checking", func(st *rollout.Status, _ *rollout.Event) {
		st.Phase, st.Stage, st.Split = strategies.BeforeStage, 4, st.Plan.Stages[3].Split
	})
	add("preflight", func(st *rollout.Status, _ *rollout.Event) {
		st.Phase, st.Stage, st.Split = strategies.Preflight, 0, st.Plan.Stages[0].Split.RollBack()
	})
	add("ramping down", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase = strategies.RampingDown
		command(ev, rollout.PhaseEntered)
	})
	add("monitoring", func(st *rollout.Status, _ *rollout.Event) {
		st.Phase, st.Stage, st.Split, st.State.Waited = strategies.Monitoring, 4, st.Plan.Stages[4].Split, 20*time.Minute
	})
	add("promoted", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Stage, st.Split, st.Reason = strategies.Promoted, 4, st.Plan.Stages[4].Split, "all stages are complete, no harm seen"
		st.SettledBy = ev.At.Add(4 * time.Second)
	})
	add("rolled back", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Split, st.Reason = strategies.RolledBack, st.Split.RollBack(), "error rate 4.1 % against 1 %"
		ev.Kind, ev.Rule, st.SettledBy = rollout.Ended, "harm", ev.At.Add(4*time.Second)
	})
	add("rolled back, not settled", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Split, st.SettledBy = strategies.RolledBack, st.Split.RollBack(), now.Add(3*time.Second)
	})
	add("aborted", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Split, st.Reason = strategies.Aborted, st.Split.RollBack(), "aborted: users complain"
		command(ev, rollout.Ended)
	})
	add("rejected", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Split, st.Reason, ev.Kind, ev.Rule = strategies.Aborted, st.Split.RollBack(), "rejected by ben", rollout.Ended, "approval"
	})
	add("superseded", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Split = strategies.Superseded, st.Split.RollBack()
		command(ev, rollout.Ended)
	})
	add("shut", func(st *rollout.Status, ev *rollout.Event) {
		st.Phase, st.Stage, st.Split, st.Reason, ev.Kind = strategies.Failed, 0, st.Split.RollBack(), "preflight checks: fail: ready: compliance-audits lacks a vote of privacy", rollout.Ended
	})
	add("lowered here", func(st *rollout.Status, _ *rollout.Event) {
		st.Split, st.Lowered = st.Split.RollBack(), "not stored yet: connection refused"
	})
	return all
}

// TestGolden: each situation in words.
func TestGolden(t *testing.T) {
	all := cases(t)
	var b bytes.Buffer
	var seen []situation.Kind
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		seen = append(seen, s.Kind)
		fmt.Fprintf(&b, "%s: %s, urgency %d, %s\n  %s %s\n  %s\n", name, s.Kind, s.Urgency, s.Short, s.Glyph, s.Sentence, s.Next)
		if !s.Since.IsZero() {
			fmt.Fprintf(&b, "  since %s by %s\n", s.Since.Format(time.RFC3339), s.By)
		}
		if s.Glyph == "" || s.Sentence == "" || s.Next == "" || s.Short == "" {
			t.Errorf("%s: something is not said: %+v", name, s)
		}
	}
	for _, k := range situation.Kinds() {
		if !slices.Contains(seen, k) {
			t.Errorf("no case is %q", k)
		}
	}
	file := filepath.Join("testdata", "situations.txt")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("%s differs; look at it after -update:\n%s", file, got)
	}
}

// TestHostileWords: characters that do not show are shown, wherever they come from.
func TestHostileWords(t *testing.T) {
	const evil = "a\x1b[2J\u202eb\nc"
	st := status(t)
	st.Phase, st.Reason, st.Plan.Target = strategies.Failed, evil, evil
	ev := rollout.Event{Rollout: st.ID, Seq: st.Changed, By: rollout.Actor{Name: evil}, Rule: "command"}
	st2 := status(t)
	st2.Paused, st2.Reason, ev.Kind = true, "paused: "+evil, rollout.Paused
	for _, s := range []situation.Situation{
		situation.Of(st, situation.Facts{Changed: ev}), situation.Of(st2, situation.Facts{Changed: ev}),
		situation.Never(evil), situation.Unread(evil, errors.New(evil), st, situation.Facts{}),
	} {
		if text := s.Sentence + s.Next + s.By; strings.ContainsAny(text, "\x1b\u202e\n") {
			t.Errorf("%q", text)
		}
	}
}

// TestTotal: any status has a situation, a zero one too.
func TestTotal(t *testing.T) {
	for phase := strategies.Preflight; phase <= strategies.Failed; phase++ {
		for verdict := analysis.Continue; verdict <= analysis.Incident; verdict++ {
			for _, paused := range []bool{false, true} {
				st := rollout.Status{Phase: phase, Paused: paused, Judgement: analysis.Judgement{Verdict: verdict}, Stage: 3}
				if s := situation.Of(st, situation.Facts{}); s.Sentence == "" || s.Next == "" {
					t.Errorf("%v, %v: %+v", phase, verdict, s)
				}
			}
		}
	}
}

// TestUnknownChange: a pause of which the event cannot be read is neither said to be a
// person's nor the engine's.
func TestUnknownChange(t *testing.T) {
	for reason, want := range map[string]string{
		"paused: ticket 4711": "paused: ticket 4711; 1.6.0 keeps 25 %",
		"ready: certificate expired; a person must resume, promote or abort": "paused: ready: certificate expired; 1.6.0 keeps 25 %",
		"paused": "paused; 1.6.0 keeps 25 %",
	} {
		st := status(t)
		st.Paused, st.Reason = true, reason
		s := situation.Of(st, situation.Facts{Now: now})
		if s.Kind != situation.Paused || s.Urgency != situation.Person || s.Sentence != want || s.By != "" {
			t.Errorf("%s, urgency %d: %q, want %q", s.Kind, s.Urgency, s.Sentence, want)
		}
	}
}
