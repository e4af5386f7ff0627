package rollout_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// moves are the moves of a log, as a replay tells them.
func moves(events []rollout.Event) []string {
	var out []string
	for _, ev := range events {
		if ev.Kind == rollout.PhaseEntered || ev.Kind == rollout.Ended {
			out = append(out, fmt.Sprintf("#%d %v %d %s", ev.Seq, ev.Phase, ev.Stage, ev.Rule))
		}
	}
	return out
}

func taken(steps []rollout.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, fmt.Sprintf("#%d %v %d %s", s.Seq, s.Phase, s.Stage, s.Rule))
	}
	return out
}

// TestReplay replays recorded rollouts: under their own plan every decision is
// the recorded one, under another plan the first difference is where it should be.
func TestReplay(t *testing.T) {
	for _, c := range []struct {
		name   string
		errors float64
		change func(*rollout.Plan)
		do     strategies.Command
	}{
		{name: "promoted", errors: 0.01},
		{name: "harmed", errors: 0.2},
		{name: "aborted", errors: 0.01, do: strategies.Abort},
		{name: "pushed", errors: 0.01, do: strategies.Promote},
		{name: "paused", errors: 0.01, do: strategies.Pause},
		{name: "ramped down", errors: 0.01, do: strategies.RampDown},
		{name: "with checks, monitoring and approval", errors: 0.01, change: func(p *rollout.Plan) {
			p.Preflight, p.Postflight, p.Monitor = []string{"pass"}, []string{"pass"}, time.Minute
			p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, Limit: time.Hour,
				DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{}, Before: []string{"pass"}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				healthy(t, tgt)
				tgt.errorRate["1.5.0"] = c.errors
				e := open(t, cfg)
				p := plan()
				p.RampDown = strategies.RampSteps(500, 3, time.Minute)
				if c.change != nil {
					c.change(&p)
				}
				id := begin(t, e, p)
				if c.do != strategies.NoCommand {
					time.Sleep(30 * time.Second)
					if err := e.Do(t.Context(), id, c.do, ana); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Minute)
				if c.do == strategies.Pause {
					if err := e.Do(t.Context(), id, strategies.Resume, ana); err != nil {
						t.Fatal(err)
					}
				}
				if st := status(t, e, id); st.Phase == strategies.Approving {
					if err := e.Do(t.Context(), id, strategies.Approve, ana); err != nil {
						t.Fatal(err)
					}
				}
				events := finish(t, e, id)
				p = status(t, e, id).Plan
				steps, err := rollout.Replay(events, p)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(moves(events), taken(steps)); diff != "" {
					t.Errorf("under its own plan (-recorded +replayed):\n%s", diff)
				}
			})
		})
	}
}

func TestReplayUnderAnotherPlan(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		tgt.errorRate["1.5.0"] = 0.05
		e := open(t, cfg)
		p := plan()
		p.Analysis = analysis.Plan{Breakers: []analysis.Breaker{}}
		id := begin(t, e, p)
		events := finish(t, e, id)
		if last(events).Phase != strategies.RolledBack {
			t.Fatalf("5 %% errors ended %v", last(events).Phase)
		}
		p = status(t, e, id).Plan
		lax := p
		lax.Analysis.AlphaRollback = 1e-9
		steps, err := rollout.Replay(events, lax)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.Phase == strategies.RolledBack {
				t.Errorf("with alpha 1e-9 it is still rolled back: %+v", s)
			}
		}
		asks := p
		asks.Preflight = []string{"a check nobody ran"}
		if _, err := rollout.Replay(events, asks); err == nil || !strings.Contains(err.Error(), "a check nobody ran") {
			t.Errorf("Replay = %v, want to hear of the check that the log has no result of", err)
		}
		forged := append([]rollout.Event(nil), events...)
		forged[1].Reason = "all is well"
		if _, err := rollout.Replay(forged, p); err == nil {
			t.Error("an altered log was replayed")
		}
		var invalid *checks.InvalidError
		if _, err := rollout.Replay(events, rollout.Plan{}); !errors.As(err, &invalid) {
			t.Errorf("Replay under no plan = %v", err)
		}
	})
}

func TestExplain(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		tgt.errorRate["1.5.0"] = 0.5
		e := open(t, cfg)
		p := plan()
		p.Preflight = []string{"pass"}
		events := finish(t, e, begin(t, e, p))
		for i, wants := range [][]string{
			{"chat/1 event 1", "by ana, rule: command", "then: preflight"},
			{"rule: checks", "pass: pass", "1.4.0 95%, 1.5.0 5%"},
		} {
			for _, want := range wants {
				if got := events[i].Explain(); !strings.Contains(got, want) {
					t.Errorf("event %d is explained without %q:\n%s", i+1, want, got)
				}
			}
		}
		for _, want := range []string{"by serin, rule: harm", "verdict: harmed", "limit 20", "requests of 1.5.0", "error rate: ", "then: rolled back"} {
			if got := last(events).Explain(); !strings.Contains(got, want) {
				t.Errorf("the rollback is explained without %q:\n%s", want, got)
			}
		}
	})
}

func TestForecast(t *testing.T) {
	p := plan()
	f, err := p.Forecast(analysis.Traffic{PerSecond: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Stages) != 4 || f.Stages[0].Begins != 0 || f.Stages[0].Requests != 300 || f.Stages[0].Lasts != time.Minute {
		t.Errorf("first stage: %+v", f.Stages[0])
	}
	if s := f.Stages[2]; s.Needed < 500 || s.Needed > 10_000 || len(s.Detects) == 0 {
		t.Errorf("the stage that asks for proof needs %d requests, detects %v", s.Needed, s.Detects)
	}
	if f.Longest != 4*time.Hour || f.Expected < 4*time.Minute || f.Expected > time.Hour {
		t.Errorf("expected %v, longest %v", f.Expected, f.Longest)
	}

	// A site without traffic, and a plan that does not mean what it says.
	p.Strategy = nil
	p.Stages = []strategies.Stage{
		{Name: "wait", Split: split2(10_000, 0), Until: strategies.UntilSafe, MinSamples: 5, OnLimit: strategies.ActionContinue},
		{Name: "some", Split: split2(5000, 5000), Until: strategies.UntilSafe, MinSamples: 1e6, Limit: time.Minute, Approve: &strategies.Approval{OnTimeout: strategies.ActionContinue}},
		{Name: "less", Split: split2(9000, 1000), Until: strategies.UntilBaked},
	}
	f, err = p.Forecast(analysis.Traffic{PerSecond: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"wait: it waits for proof, but there are not two versions", "wait: it waits for 5 samples, but the candidate gets no requests",
		"wait: it goes on without the proof", "some: 1000000 samples take", "some: it begins without approval", "less gives the candidate less",
		"no check runs before",
	} {
		if !strings.Contains(f.String(), want) {
			t.Errorf("no warning says %q:\n%s", want, f)
		}
	}
	if _, err := p.Forecast(analysis.Traffic{PerSecond: -1}); err == nil {
		t.Error("negative traffic was accepted")
	}
	if _, err := (rollout.Plan{}).Forecast(analysis.Traffic{PerSecond: 1}); err == nil {
		t.Error("an empty plan was accepted")
	}
}

func split2(baseline, candidate strategies.Weight) strategies.Split {
	return strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: baseline}, {Name: "1.5.0", Weight: candidate}}}
}
