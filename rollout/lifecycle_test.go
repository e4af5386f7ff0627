package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// healthy serves both versions equally well, ten requests a second.
func healthy(t *testing.T, tgt *target) {
	tgt.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01}
	go tgt.serve(t.Context(), 100*time.Millisecond)
}

// quick is a plan in two stages that need no proof.
func quick() rollout.Plan {
	p := plan()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, Limit: time.Hour, DangerouslyPromoteUnproven: true}
	return p
}

func begin(t *testing.T, e *rollout.Engine, p rollout.Plan) rollout.ID {
	t.Helper()
	id, err := e.Start(t.Context(), p, ana)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func status(t *testing.T, e *rollout.Engine, id rollout.ID) rollout.Status {
	t.Helper()
	st, err := e.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// rule returns the rule of the newest event of a rollout, apart from measurements and
// takeovers.
func rule(t *testing.T, e *rollout.Engine, id rollout.ID) (rule string) {
	t.Helper()
	events, err := e.Read(t.Context(), id, 1, rollout.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		if ev.Kind != rollout.Measured && ev.Kind != rollout.Continued {
			rule = ev.Rule
		}
	}
	return rule
}

func TestFourEyes(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		p := quick()
		p.Strategy = strategies.Canary{
			Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true,
			Approve: &strategies.Approval{FourEyes: true, Roles: []string{"sre"}, MFA: 5 * time.Minute},
		}
		id := begin(t, e, p)
		time.Sleep(2 * time.Minute)
		if st := status(t, e, id); st.Phase != strategies.Approving || st.Stage != 1 || st.Split.Weight("1.5.0") != 2500 {
			t.Fatalf("phase %v, stage %d, split %v; want to wait for approval at 25 %%", st.Phase, st.Stage, st.Split.Arms)
		}
		sre := func(name string) rollout.Actor {
			return rollout.Actor{Name: name, Roles: []string{"sre"}, Proved: time.Now()}
		}
		stale := sre("ben")
		stale.Proved = time.Now().Add(-time.Hour)
		for why, by := range map[string]rollout.Actor{
			"four eyes":     sre("ana"),
			"none of the":   {Name: "ben", Proved: time.Now()},
			"has not prove": {Name: "ben", Roles: []string{"sre"}},
			"1h0m0s ago":    stale,
		} {
			var refused *rollout.RefusedError
			if err := e.Do(t.Context(), id, strategies.Approve, by); !errors.As(err, &refused) || !strings.Contains(err.Error(), why) {
				t.Errorf("approval by %+v = %v, want a refusal that says %q", by, err, why)
			}
		}
		var conflict *rollout.ConflictError
		if err := e.Do(t.Context(), id, strategies.Approve, sre("ben"), rollout.OfPlan("another")); !errors.As(err, &conflict) {
			t.Errorf("approval of another plan = %v, want a ConflictError", err)
		}
		if err := e.Do(t.Context(), id, strategies.Promote, sre("ben")); err == nil {
			t.Error("Promote went past an approval")
		}
		if err := e.Do(t.Context(), id, strategies.Approve, sre("ben"), rollout.OfPlan(status(t, e, id).Digest), rollout.Because("looks good")); err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id)
		want := []string{
			"started, preflight, canary 25%, [{1.4.0 100%} {1.5.0 0%}], by ana",
			"phase entered, baking, canary 25%, [{1.4.0 75%} {1.5.0 25%}], by serin",
			"phase entered, approving, canary 100%, [{1.4.0 75%} {1.5.0 25%}], by serin",
			"voted, approving, canary 100%, [{1.4.0 75%} {1.5.0 25%}], by ben",
			"phase entered, baking, canary 100%, [{1.4.0 0%} {1.5.0 100%}], by serin",
			"ended, promoted, canary 100%, [{1.4.0 0%} {1.5.0 100%}], by serin",
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestApprovalEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		action strategies.Action
		reject bool
		want   strategies.Phase
		paused bool
		urgent bool
	}{
		{"held", strategies.ActionHold, false, strategies.Approving, true, false},
		{"escalated", strategies.ActionEscalate, false, strategies.Approving, true, true},
		{"rolled back", strategies.ActionRollBack, false, strategies.RolledBack, false, false},
		{"silence is consent", strategies.ActionContinue, false, strategies.Promoted, false, false},
		{"rejected", strategies.ActionHold, true, strategies.Aborted, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				healthy(t, tgt)
				cfg.Tick = 5 * time.Second
				e := open(t, cfg)
				p := quick()
				p.Strategy = strategies.Canary{
					Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true,
					Approve: &strategies.Approval{Timeout: time.Hour, OnTimeout: c.action},
				}
				id := begin(t, e, p)
				time.Sleep(30 * time.Minute)
				if c.reject {
					if err := e.Do(t.Context(), id, strategies.Reject, rollout.Actor{Name: "ben"}, rollout.Because("too late in the day")); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Hour)
				st := status(t, e, id)
				if st.Phase != c.want || st.Paused != c.paused {
					t.Fatalf("%v, paused %t (%s), want %v, paused %t", st.Phase, st.Paused, st.Reason, c.want, c.paused)
				}
				if c.reject && !strings.Contains(st.Reason, "ben: too late in the day") {
					t.Errorf("reason %q does not name who rejected it", st.Reason)
				}
				urgent := false
				for ev, err := range e.Events(t.Context(), id, 1) {
					if err != nil {
						t.Fatal(err)
					}
					if urgent = urgent || ev.Urgent; ev.Seq == st.Seq {
						break
					}
				}
				if urgent != c.urgent {
					t.Errorf("urgent %t, want %t", urgent, c.urgent)
				}
			})
		})
	}
}

// TestMonitor keeps a holdback after the last stage, and harm in that time still
// takes everything back.
func TestMonitor(t *testing.T) {
	for _, harm := range []bool{false, true} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			healthy(t, tgt)
			e := open(t, cfg)
			p := quick()
			p.Monitor, p.Holdback, p.Postflight = time.Hour, 500, []string{"pass"}
			id := begin(t, e, p)
			time.Sleep(3 * time.Minute)
			if st := status(t, e, id); st.Phase != strategies.Monitoring || st.Split.Weight("1.4.0") != 500 {
				t.Fatalf("%v with %v, want monitoring with a holdback of 5 %%", st.Phase, st.Split.Arms)
			}
			want := strategies.Promoted
			if harm {
				want = strategies.RolledBack
				tgt.mu.Lock()
				tgt.errorRate["1.5.0"] = 0.3
				tgt.mu.Unlock()
			}
			events := finish(t, e, id)
			if got := last(events); got.Phase != want {
				t.Errorf("harm %t: %v (%s)", harm, got.Phase, got.Reason)
			}
			if got := tgt.current().Weight("1.5.0"); got != (map[bool]strategies.Weight{true: 0, false: strategies.Full})[harm] {
				t.Errorf("harm %t: the candidate has %v in the end", harm, got)
			}
		})
	}
}

// TestMonitorWithoutHoldback finds harm that begins when there is no baseline any
// more, by what the baseline was; also after a restart in the middle.
func TestMonitorWithoutHoldback(t *testing.T) {
	for _, restart := range []bool{false, true} {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			healthy(t, tgt)
			e, err := rollout.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			p := quick()
			p.Monitor = 6 * time.Hour
			id := begin(t, e, p)
			time.Sleep(20 * time.Minute)
			tgt.mu.Lock()
			tgt.errorRate["1.5.0"] = 0.06
			tgt.mu.Unlock()
			if restart {
				time.Sleep(time.Second)
				e.Close()
				if e, err = rollout.Open(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
			}
			defer e.Close()
			end := last(finish(t, e, id))
			if end.Phase != strategies.RolledBack || end.Monitor == nil || end.Rule != "harm" {
				t.Errorf("restart %t: %v by rule %s: %s; want a rollback by monitoring", restart, end.Phase, end.Rule, end.Reason)
			}
		})
	}
}

func TestRampDown(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		p := plan()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{4000}, Bake: time.Hour, Limit: 2 * time.Hour, DangerouslyPromoteUnproven: true}
		p.RampDown = []strategies.RampStep{{Weight: 5000, For: time.Minute}, {Weight: 1000, For: time.Minute}}
		id := begin(t, e, p)
		time.Sleep(time.Minute)
		if err := e.Do(t.Context(), id, strategies.RampDown, ana, rollout.Because("costs too much")); err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id)
		want := []string{
			"started, preflight, canary 40%, [{1.4.0 100%} {1.5.0 0%}], by ana",
			"phase entered, baking, canary 40%, [{1.4.0 60%} {1.5.0 40%}], by serin",
			"phase entered, ramping down, canary 40%, [{1.4.0 60%} {1.5.0 40%}], by ana", // never up
			"phase entered, ramping down, canary 40%, [{1.4.0 90%} {1.5.0 10%}], by serin",
			"ended, aborted, canary 40%, [{1.4.0 100%} {1.5.0 0%}], by serin",
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestReturn goes back to the version before without its stages, and only as
// long as it is known to be good.
func TestReturn(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		finish(t, e, begin(t, e, quick()))

		back := quick()
		back.Baseline, back.Candidate = back.Candidate, back.Baseline
		back.RollbackWindow, back.Preflight = time.Hour, []string{"pass"}
		events := finish(t, e, begin(t, e, back))
		want := []string{
			"started, preflight, return, [{1.5.0 100%} {1.4.0 0%}], by ana",
			"phase entered, baking, return, [{1.5.0 0%} {1.4.0 100%}], by serin",
			"ended, promoted, return, [{1.5.0 0%} {1.4.0 100%}], by serin",
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Hour)
		again := quick()
		again.RollbackWindow = time.Hour
		if events := finish(t, e, begin(t, e, again)); events[0].Name != "canary 25%" {
			t.Errorf("two hours later it begins with %q, want all stages", events[0].Name)
		}
	})
}

func TestSupersedeAndRetry(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		first := begin(t, e, plan())
		time.Sleep(30 * time.Second)
		p := quick()
		p.Candidate = release("1.6.0")
		var busy *rollout.BusyError
		if _, err := e.Start(t.Context(), p, ana); !errors.As(err, &busy) || busy.Active != first {
			t.Fatalf("Start = %v, want a BusyError about %s", err, first)
		}
		p.Supersede = true
		second := begin(t, e, p)
		if st := status(t, e, first); st.Phase != strategies.Superseded {
			t.Errorf("the first is %v, want superseded", st.Phase)
		}
		if tgt.current().Reaches("1.5.0") {
			t.Error("the superseded candidate still has traffic")
		}
		if _, err := e.Retry(t.Context(), second, ana); !errors.As(err, &busy) {
			t.Errorf("Retry of what runs = %v, want a BusyError", err)
		}
		if err := e.Do(t.Context(), second, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		third, err := e.Retry(t.Context(), second, ana)
		if err != nil || third != "chat/3" {
			t.Fatalf("Retry = %q, %v", third, err)
		}
		if end := last(finish(t, e, third)); end.Phase != strategies.Promoted || !end.Split.Reaches("1.6.0") {
			t.Errorf("the retried rollout ended %v with %v", end.Phase, end.Split.Arms)
		}
		var refused *rollout.RefusedError
		if _, err := e.Retry(t.Context(), third, ana); !errors.As(err, &refused) {
			t.Errorf("Retry of what was promoted = %v, want a RefusedError", err)
		}
	})
}

// TestWindows holds a rollout over a weekend with its guards on (cards W1, W3,
// X9). The bubble's clock begins on Saturday, 1 January 2000.
func TestWindows(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		go tgt.serve(t.Context(), 10*time.Second)
		cfg.Tick = 30 * time.Second
		e := open(t, cfg)
		p := quick()
		p.Windows = []rollout.Window{{Days: "mon-fri", From: "09:00", To: "16:00", Budget: 1}}
		id := begin(t, e, p)
		time.Sleep(time.Hour)
		st := status(t, e, id)
		if st.Phase != strategies.Preflight || !strings.Contains(st.Waiting, "2000-01-03T09:00:00Z") {
			t.Fatalf("%v, waiting for %q; want the window on Monday", st.Phase, st.Waiting)
		}
		if end := last(finish(t, e, id)); end.At.Weekday() != time.Monday || end.At.Hour() != 9 {
			t.Errorf("ended at %v, want Monday at nine", end.At)
		}
		// The day's budget is spent; the next is for Tuesday, and a freeze
		// that opens in the middle of it holds it, but not its way back.
		p.Candidate = release("1.6.0")
		p.Baseline = release("1.5.0")
		p.Freezes = []rollout.Freeze{{From: time.Date(2000, 1, 4, 9, 0, 30, 0, time.UTC), To: time.Date(2000, 1, 5, 0, 0, 0, 0, time.UTC), Reason: "audit"}}
		id = begin(t, e, p)
		if time.Sleep(time.Hour); !strings.Contains(status(t, e, id).Waiting, "budget of 1 rollouts is spent") {
			t.Errorf("waiting for %q, want to hear of the budget", status(t, e, id).Waiting)
		}
		time.Sleep(24 * time.Hour)
		st = status(t, e, id)
		if st.Stage != 0 || st.Phase != strategies.Baking || !strings.Contains(st.Waiting, "frozen until 2000-01-05T00:00:00Z: audit") {
			t.Errorf("%v, stage %d, waiting for %q; want to be held in the first stage", st.Phase, st.Stage, st.Waiting)
		}
		var refused *rollout.RefusedError
		if err := e.Do(t.Context(), id, strategies.Promote, ana); !errors.As(err, &refused) {
			t.Errorf("Promote in a freeze = %v, want a RefusedError", err)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Errorf("Abort in a freeze = %v", err)
		}
	})
}

func TestOptionsOfCommands(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		cfg.Authorize = rollout.Roles{"lead": {"*"}, "dev": {rollout.ActionStart, "pause", "resume"}}.Authorize
		e := open(t, cfg)
		lead, dev := rollout.Actor{Name: "lea", Roles: []string{"lead"}}, rollout.Actor{Name: "dan", Roles: []string{"dev"}}
		var forbidden *rollout.ForbiddenError
		if _, err := e.Start(t.Context(), plan(), ana); !errors.As(err, &forbidden) || forbidden.Actor != "ana" {
			t.Errorf("Start without a role = %v, want a ForbiddenError", err)
		}
		id, err := e.Start(t.Context(), plan(), dev)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Do(t.Context(), id, strategies.Promote, dev); !errors.As(err, &forbidden) {
			t.Errorf("Promote by a dev = %v, want a ForbiddenError", err)
		}
		time.Sleep(10 * time.Second)
		seen := status(t, e, id).Changed
		for range 3 {
			if err := e.Do(t.Context(), id, strategies.Pause, dev, rollout.Key("k1")); err != nil {
				t.Fatal(err) // the repetition is no second pause, which would be refused
			}
		}
		// Both saw the same state; the pause was first.
		var conflict *rollout.ConflictError
		if err := e.Do(t.Context(), id, strategies.Promote, lead, rollout.IfSeq(seen)); !errors.As(err, &conflict) || !errors.Is(err, rollout.ErrConflict) {
			t.Errorf("Promote on an old state = %v, want a ConflictError", err)
		}
		time.Sleep(time.Minute) // checkpoints do not count as changes
		if err := e.Do(t.Context(), id, strategies.Promote, lead, rollout.IfSeq(status(t, e, id).Changed)); err != nil {
			t.Error(err)
		}
	})
}

// TestOneWins is card X2: promote and abort at once, both about the state that
// both have seen. One wins, the other gets a typed conflict.
func TestOneWins(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		id := begin(t, e, plan())
		time.Sleep(10 * time.Second)
		seen := status(t, e, id).Changed
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, c := range []strategies.Command{strategies.Promote, strategies.Abort} {
			wg.Go(func() { errs[i] = e.Do(t.Context(), id, c, ana, rollout.IfSeq(seen)) })
		}
		wg.Wait()
		var conflict *rollout.ConflictError
		if (errs[0] == nil) == (errs[1] == nil) || !errors.As(errors.Join(errs...), &conflict) {
			t.Errorf("promote: %v, abort: %v; want one to win and a ConflictError for the other", errs[0], errs[1])
		}
	})
}

// TestSinks is card X7: a sink that is down for the whole rollout changes
// nothing, and is told of each event once it is back, under the same keys.
func TestSinks(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		var mu sync.Mutex
		var got []string
		down := true
		poison := "chat/1/3"
		cfg.Sinks = map[string]rollout.Sink{"pager": rollout.SinkFunc(func(_ context.Context, ev rollout.Event) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case down:
				return errors.New("connection refused")
			case ev.Key() == poison:
				panic("cannot read this one")
			}
			got = append(got, ev.Key())
			return nil
		})}
		e := open(t, cfg)
		id := begin(t, e, quick())
		var want []string
		for _, ev := range finish(t, e, id) {
			if ev.Kind != rollout.Measured && ev.Key() != poison {
				want = append(want, ev.Key())
			}
		}
		mu.Lock()
		if len(got) > 0 {
			t.Errorf("told of %q while it was down", got)
		}
		down = false
		mu.Unlock()
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(want) // what was tried for long is passed by what is newer
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told of (-want +got):\n%s", diff)
		}
	})
}

func TestGroup(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		second := &target{}
		cfg.Targets = map[string]rollout.Splitter{"chat": rollout.Group(tgt, second)}
		e := open(t, cfg)
		id := begin(t, e, plan())
		time.Sleep(10 * time.Second)
		if !second.current().Equal(tgt.current()) || second.current().Weight("1.5.0") != 500 {
			t.Errorf("members have %v and %v, want both at 5 %%", tgt.current().Arms, second.current().Arms)
		}
		second.mu.Lock()
		second.refuse = errors.New("no backend")
		second.mu.Unlock()
		end := last(finish(t, e, id))
		if end.Phase != strategies.RolledBack || !strings.Contains(end.Reason, "member 1 of the group: no backend") {
			t.Errorf("%v: %s; want a rollback that names the member", end.Phase, end.Reason)
		}
		if tgt.current().Reaches("1.5.0") || second.current().Reaches("1.5.0") {
			t.Errorf("members have %v and %v after the rollback", tgt.current().Arms, second.current().Arms)
		}
	})
}

// prober is a target whose plane knows no rules.
type prober struct{ *target }

var errNoRules = errors.New("this plane knows no rules")

func (prober) CanSplit(s strategies.Split) error {
	if len(s.Rules) > 0 {
		return errNoRules
	}
	return nil
}

func TestPlanesThatCannot(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Targets["chat"] = prober{tgt}
		e := open(t, cfg)
		p := plan()
		p.Strategy = strategies.BlueGreen{Smoke: []string{"pass"}}
		if _, err := e.Start(t.Context(), p, ana); !errors.Is(err, errNoRules) {
			t.Errorf("Start = %v, want to hear what the plane cannot do", err)
		}
	})
}

func TestBadPlans(t *testing.T) {
	p := plan()
	p.Monitor, p.RollbackWindow, p.Holdback = -1, -1, strategies.Full
	p.Windows = []rollout.Window{{Days: "mon-fry"}, {From: "9 o'clock"}, {To: "25:00"}, {Zone: "Nowhere/Near"}, {Budget: -1}}
	p.Freezes = []rollout.Freeze{{From: time.Unix(2, 0), To: time.Unix(1, 0)}}
	p.RampDown = []strategies.RampStep{{Weight: 5, For: 0}}
	p.Analysis = analysis.Plan{AlphaRollback: 2}
	wantFields(t, p.Validate(), "Plan.Analysis.AlphaRollback", "Plan.RampDown[0].For", "Plan.Monitor", "Plan.RollbackWindow", "Plan.Holdback",
		"Plan.Windows[0].Days", "Plan.Windows[1].From", "Plan.Windows[2].To", "Plan.Windows[3].Zone", "Plan.Windows[4].Budget", "Plan.Freezes[0].To")
}

// wantFields checks that err reports these fields of a plan, each once and no others, as
// [*checks.InvalidError] values of package rollout.
func wantFields(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	for invalid := range checks.Invalid(err) {
		got = append(got, invalid.Field)
		if invalid.Package != "rollout" {
			t.Errorf("%v is of package %s", invalid, invalid.Package)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v\nfields (-want +got):\n%s", err, diff)
	}
}
