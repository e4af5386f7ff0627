package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// lines gives the story of a rollout without its evidence.
func lines(events []rollout.Event) []string {
	var out []string
	for _, ev := range events {
		if ev.Kind != rollout.Measured {
			out = append(out, fmt.Sprintf("%s, %s, %s, %v, by %s", ev.Kind, ev.Phase, ev.Name, ev.Split.Arms, ev.By.Name))
		}
	}
	return out
}

func run(t *testing.T, f func(t *testing.T, tgt *target, cfg rollout.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tgt := &target{}
		f(t, tgt, rollout.Config{
			Store:   new(memstore.Store),
			Targets: map[string]rollout.Splitter{"chat": tgt},
			// Storing the evidence is most of what a rollout of hours costs.
			Checkpoint: time.Minute,
			Checks: map[string]checks.Check{
				"pass": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Pass} }),
				"fail": checks.Func(func(context.Context) checks.Result { return checks.Result{Status: checks.Fail} }),
				"hang": checks.Func(func(ctx context.Context) checks.Result { <-ctx.Done(); return checks.Result{} }),
			},
		})
	})
}

func TestPromoted(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		tgt.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01}
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		p := plan()
		p.Preflight, p.Postflight = []string{"pass"}, []string{"pass"}
		id, err := e.Start(t.Context(), p, ana)
		if err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id)
		want := []string{
			"started, preflight, canary 5%, [{1.4.0 100%} {1.5.0 0%}], by ana",
			"phase entered, baking, canary 5%, [{1.4.0 95%} {1.5.0 5%}], by serin",
			"phase entered, baking, canary 25%, [{1.4.0 75%} {1.5.0 25%}], by serin",
			"phase entered, baking, canary 50%, [{1.4.0 50%} {1.5.0 50%}], by serin",
			"phase entered, baking, canary 100%, [{1.4.0 0%} {1.5.0 100%}], by serin",
			"phase entered, postflight, canary 100%, [{1.4.0 0%} {1.5.0 100%}], by serin",
			"ended, promoted, canary 100%, [{1.4.0 0%} {1.5.0 100%}], by serin",
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if got := tgt.current(); got.Weight("1.5.0") != strategies.Full {
			t.Errorf("the split in force is %v", got)
		}
		st, err := e.Status(t.Context(), id)
		if err != nil || st.Phase != strategies.Promoted || st.Seq != last(events).Seq {
			t.Errorf("Status = %v #%d, %v; want promoted, #%d", st.Phase, st.Seq, err, last(events).Seq)
		}
	})
}

func TestHarmRollsBack(t *testing.T) {
	for name, make := range map[string]func(*target){
		"errors": func(tgt *target) { tgt.errorRate = map[string]float64{"1.5.0": 0.1} },
		"ttft":   func(tgt *target) { tgt.ttft = map[string]time.Duration{"1.5.0": 320 * time.Millisecond} },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				make(tgt)
				e := open(t, cfg)
				go tgt.serve(t.Context(), 5*time.Millisecond)
				id, err := e.Start(t.Context(), plan(), ana)
				if err != nil {
					t.Fatal(err)
				}
				end := last(finish(t, e, id))
				if end.Phase != strategies.RolledBack || end.Judgement == nil {
					t.Fatalf("ended with %v, want a rollback with its judgement", end)
				}
				if !strings.Contains(end.Reason, "error") && !strings.Contains(end.Reason, "latency") {
					t.Errorf("reason %q names no metric", end.Reason)
				}
				before := tgt.count("1.5.0")
				time.Sleep(time.Hour)
				if after := tgt.count("1.5.0"); after != before || before == 0 {
					t.Errorf("the candidate served %d requests before the rollback and %d after it", before, after-before)
				}
			})
		})
	}
}

func TestPreflightKeepsTrafficAway(t *testing.T) {
	for name, status := range map[string]checks.Status{"fail": checks.Fail, "hang": checks.Unknown} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				go tgt.serve(t.Context(), 100*time.Millisecond)
				p := plan()
				p.Preflight = []string{"pass", name}
				id, err := e.Start(t.Context(), p, ana)
				if err != nil {
					t.Fatal(err)
				}
				end := last(finish(t, e, id))
				if end.Phase != strategies.Failed || end.Checks == nil || end.Checks.Status != status {
					t.Errorf("ended with %v, checks %v; want failed with %v", end, end.Checks, status)
				}
				if n := tgt.count("1.5.0"); n != 0 {
					t.Errorf("%d requests reached the candidate", n)
				}
			})
		})
	}
}

func TestStageChecks(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		p := plan()
		var err error
		if p.Stages, err = p.Strategy.Stages("1.4.0", "1.5.0"); err != nil {
			t.Fatal(err)
		}
		p.Stages[0].Before, p.Stages[0].After = []string{"pass"}, []string{"fail"}
		id, err := e.Start(t.Context(), p, ana)
		if err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id)
		want := []string{
			"started, preflight, canary 5%, [{1.4.0 100%} {1.5.0 0%}], by ana",
			"phase entered, before, canary 5%, [{1.4.0 100%} {1.5.0 0%}], by serin",
			"phase entered, baking, canary 5%, [{1.4.0 95%} {1.5.0 5%}], by serin",
			"phase entered, after, canary 5%, [{1.4.0 95%} {1.5.0 5%}], by serin",
			"ended, rolled back, canary 5%, [{1.4.0 100%} {1.5.0 0%}], by serin",
		}
		if diff := cmp.Diff(want, lines(events)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestCommands(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		do := func(c strategies.Command, by string) error {
			return e.Do(t.Context(), id, c, rollout.Actor{Name: by})
		}
		status := func() rollout.Status {
			st, err := e.Status(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		time.Sleep(30 * time.Second)
		if err := do(strategies.Pause, "ben"); err != nil {
			t.Fatal(err)
		}
		baked := status().Baked
		time.Sleep(time.Hour)
		if st := status(); !st.Paused || st.Stage != 0 || st.Baked != baked || baked < 29*time.Second {
			t.Errorf("after an hour of pause: paused %v, stage %d, baked %v; want stage 0 with %v", st.Paused, st.Stage, st.Baked, baked)
		}
		var refused *rollout.RefusedError
		if err := do(strategies.Pause, "ben"); !errors.As(err, &refused) || refused.Rollout != id {
			t.Errorf("second pause = %v, want a RefusedError", err)
		}
		if err := do(strategies.Abort, ""); err == nil {
			t.Error("an abort by nobody was accepted")
		}
		if err := do(strategies.Promote, "ben"); err != nil {
			t.Fatal(err)
		}
		if st := status(); st.Stage != 1 || st.Paused {
			t.Errorf("after promote: stage %d, paused %v; want stage 1, running", st.Stage, st.Paused)
		}
		if err := do(strategies.Abort, "dora"); err != nil {
			t.Fatal(err)
		}
		n := tgt.count("1.5.0")
		time.Sleep(time.Hour)
		if m := tgt.count("1.5.0"); m != n {
			t.Errorf("%d requests reached the candidate after Abort had returned", m-n)
		}
		if err := do(strategies.Resume, "ben"); !errors.As(err, &refused) {
			t.Errorf("resume after the end = %v, want a RefusedError", err)
		}
		want := []string{
			"started, preflight, canary 5%, [{1.4.0 100%} {1.5.0 0%}], by ana",
			"phase entered, baking, canary 5%, [{1.4.0 95%} {1.5.0 5%}], by serin",
			"paused, baking, canary 5%, [{1.4.0 95%} {1.5.0 5%}], by ben",
			"phase entered, baking, canary 25%, [{1.4.0 75%} {1.5.0 25%}], by ben",
			"ended, aborted, canary 25%, [{1.4.0 100%} {1.5.0 0%}], by dora",
		}
		if diff := cmp.Diff(want, lines(finish(t, e, id))); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestNoTrafficIsNoEvidence(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Tick = 10 * time.Second // hours have many seconds
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		st, err := e.Status(t.Context(), id)
		if err != nil || !st.Paused || st.Stage != 0 || rule(t, e, id) != "no evidence" {
			t.Errorf("after three hours without a request: stage %d, paused %v, %q, %v; want it held in the first stage by its limit", st.Stage, st.Paused, st.Reason, err)
		}
	})
}

func TestSplitThatCannotBeSet(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		tgt.refuse = errors.New("arm 1.5.0 has no backend")
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		if end := last(finish(t, e, id)); end.Phase != strategies.RolledBack || !strings.Contains(end.Reason, "no backend") {
			t.Errorf("ended with %v, want a rollback that says why", end)
		}
	})
}

func TestOneRolloutPerTarget(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		first, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		var busy *rollout.BusyError
		if _, err := e.Start(t.Context(), plan(), ana); !errors.As(err, &busy) || busy.Active != first {
			t.Errorf("second Start = %v, want a BusyError that names %s", err, first)
		}
		if err := e.Do(t.Context(), first, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		second, err := e.Start(t.Context(), plan(), ana)
		if err != nil || second == first {
			t.Fatalf("Start after the end = %s, %v; want a new rollout", second, err)
		}
		if st, err := e.Status(t.Context(), first); err != nil || st.Phase != strategies.Aborted {
			t.Errorf("the first is %v, %v; want it archived as aborted", st.Phase, err)
		}
		if n := len(finish(t, e, first)); n < 2 {
			t.Errorf("the first has %d events left, want them all", n)
		}
		if _, err := e.Status(t.Context(), "chat/99"); !errors.Is(err, rollout.ErrNotFound) {
			t.Errorf("unknown rollout: %v, want ErrNotFound", err)
		}
		var generations []uint64
		for _, s := range tgt.history() {
			generations = append(generations, s.Generation)
		}
		for i := 1; i < len(generations); i++ {
			if generations[i] < generations[i-1] {
				t.Errorf("generations %v fall", generations)
			}
		}
	})
}

func TestStartRefusesBadPlans(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		change := func(f func(*rollout.Plan)) rollout.Plan {
			p := plan()
			f(&p)
			return p
		}
		for _, c := range []struct {
			name string
			plan rollout.Plan
			want []string
		}{
			{"empty", rollout.Plan{}, []string{"Plan.Target", "Plan.Candidate.Version"}},
			{"target", change(func(p *rollout.Plan) { p.Target = "mail" }), []string{"Plan.Target"}},
			{"check", change(func(p *rollout.Plan) { p.Preflight = []string{"pass", "typo"} }), []string{"Plan.Preflight[1]"}},
			{"bake", change(func(p *rollout.Plan) { p.Strategy = strategies.Canary{Bake: -1} }), []string{"Plan.Strategy.Bake"}},
			{"foreign arm", change(func(p *rollout.Plan) {
				p.Stages = []strategies.Stage{{Name: "s", Split: strategies.Split{Arms: []strategies.Arm{{Name: "9.9.9", Weight: strategies.Full}}}}}
			}), []string{"Plan.Stages[0].Split.Arms", "Plan.Stages[0].Split.Arms[0]"}},
			{"all at once", change(func(p *rollout.Plan) {
				p.Target, p.Candidate, p.Postflight = "Ä", p.Baseline, []string{"typo"}
			}), []string{"Plan.Target", "Plan.Candidate.Version", "Plan.Postflight[0]"}},
		} {
			_, err := e.Start(t.Context(), c.plan, ana)
			if err == nil {
				t.Errorf("%s: accepted", c.name)
				continue
			}
			if got := invalidFields(err); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		var invalid *checks.InvalidError
		if _, err := e.Start(t.Context(), plan(), rollout.Actor{}); !errors.As(err, &invalid) || invalid.Field != "Actor.Name" {
			t.Errorf("Start by nobody = %v", err)
		}
		if len(tgt.splits) != 0 {
			t.Errorf("a refused plan moved traffic: %v", tgt.splits)
		}
	})
}

func TestOpenRefusesBadConfig(t *testing.T) {
	_, err := rollout.Open(t.Context(), rollout.Config{
		Targets: map[string]rollout.Splitter{"Bad Name": nil},
		Checks:  map[string]checks.Check{"x": nil},
		Tick:    -1,
	})
	if got, want := invalidFields(err), []string{"Config.Store", "Config.Targets", `Config.Targets["Bad Name"]`, `Config.Checks["x"]`, "Config.Tick"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestClosedEngineAndStore(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		if _, err := e.Start(t.Context(), plan(), ana); !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("Start after Close = %v, want ErrClosed", err)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("Do after Close = %v, want ErrClosed", err)
		}
		cfg.Store.Close()
		if _, err := rollout.Open(t.Context(), cfg); !errors.Is(err, rollout.ErrClosed) {
			t.Errorf("Open over a closed store = %v, want ErrClosed", err)
		}
	})
}
