package rollout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// briskly is a plan that brings the candidate to 100 % within seconds.
func briskly(baseline, candidate string) rollout.Plan {
	return rollout.Plan{
		Target: "chat", Baseline: release(baseline), Candidate: release(candidate),
		Strategy: strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Second, Limit: time.Hour, MinSamples: 20, DangerouslyPromoteUnproven: true},
	}
}

// serving carries out a plan until it is promoted.
func serving(t *testing.T, e *rollout.Engine, p rollout.Plan) {
	t.Helper()
	if end := last(finish(t, e, begin(t, e, p))); end.Phase != strategies.Promoted {
		t.Fatalf("ended with %v", end)
	}
}

// TestBaselineIsWhatServes: a plan whose baseline does not serve is refused by Start and
// by Retry, and names what serves.
func TestBaselineIsWhatServes(t *testing.T) {
	other := release("1.5.0")
	other.Digest = "sha256:b"
	same := release("1.5.0")
	same.Digest = "sha256:a"
	for name, tt := range map[string]struct {
		change func(*rollout.Plan)
		stale  bool
	}{
		"what serves":                             {func(p *rollout.Plan) {}, false},
		"what serves, with its digest":            {func(p *rollout.Plan) { p.Baseline = same }, false},
		"another build of it":                     {func(p *rollout.Plan) { p.Baseline = other }, true},
		"what served before":                      {func(p *rollout.Plan) { p.Baseline = release("1.4.0") }, true},
		"another, and what serves is named":       {func(p *rollout.Plan) { p.Baseline, p.DangerouslyReplaceServing = release("1.4.0"), "1.5.0" }, false},
		"another build, and it is named":          {func(p *rollout.Plan) { p.Baseline, p.DangerouslyReplaceServing = other, "1.5.0" }, false},
		"another, and something else is named":    {func(p *rollout.Plan) { p.Baseline, p.DangerouslyReplaceServing = release("1.4.0"), "1.4.0" }, true},
		"what served before, against what serves": {func(p *rollout.Plan) { p.Baseline, p.Candidate = release("1.4.0"), release("1.5.0") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				first := briskly("1.4.0", "1.5.0")
				first.Candidate.Digest = "sha256:a"
				serving(t, e, first)
				p := briskly("1.5.0", "1.6.0")
				tt.change(&p)
				_, err := e.Start(t.Context(), p, ana)
				var stale *rollout.StaleBaselineError
				if errors.As(err, &stale) != tt.stale || !tt.stale && err != nil {
					t.Fatalf("Start: %v", err)
				}
				if tt.stale && (stale.Target != "chat" || stale.Serving != first.Candidate || stale.Plan != p.Baseline) {
					t.Errorf("it says %+v", stale)
				}
				if share := tgt.current().Weight("1.5.0"); share != strategies.Full && tt.stale {
					t.Errorf("what serves has %v", share)
				}
			})
		})
	}
}

// TestRetryOfAnOldRollout: what was rolled back before another version was promoted is
// refused, since its baseline serves no more.
func TestRetryOfAnOldRollout(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		old := begin(t, e, briskly("1.4.0", "1.5.0"))
		time.Sleep(2 * time.Second)
		if err := e.Do(t.Context(), old, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		serving(t, e, briskly("1.4.0", "1.6.0"))
		var stale *rollout.StaleBaselineError
		if _, err := e.Retry(t.Context(), old, ana); !errors.As(err, &stale) {
			t.Errorf("Retry: %v", err)
		}
		if share := tgt.current().Weight("1.6.0"); share != strategies.Full {
			t.Errorf("what serves has %v", share)
		}
	})
}

// TestNothingMovesBeforeTheFirstGate: a plan that replaces what serves moves nothing
// before its checks, its freeze and its first approval, and nothing if it ends there.
func TestNothingMovesBeforeTheFirstGate(t *testing.T) {
	for name, gate := range map[string]func(*rollout.Plan){
		"preflight that fails": func(p *rollout.Plan) { p.Preflight = []string{"fail"} },
		"preflight that hangs": func(p *rollout.Plan) { p.Preflight = []string{"hang"} },
		"freeze": func(p *rollout.Plan) {
			p.Freezes = []rollout.Freeze{{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}}
		},
		"approval": func(p *rollout.Plan) {
			p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: 10 * time.Second, Approve: &strategies.Approval{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				serving(t, e, briskly("1.4.0", "1.5.0"))
				before := len(tgt.history())
				p := briskly("0.9.0", "1.6.0")
				p.DangerouslyReplaceServing = "1.5.0"
				gate(&p)
				// An approval gates the stages after the first, or the first of a return.
				if p.Stages == nil {
					stages, err := p.Strategy.Stages("0.9.0", "1.6.0")
					if err != nil {
						t.Fatal(err)
					}
					if name == "approval" {
						stages[0].Approve = &strategies.Approval{FourEyes: true}
					}
					p.Stages = stages
				}
				id := begin(t, e, p)
				time.Sleep(time.Minute)
				st, err := e.Status(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if !st.Phase.Terminal() {
					if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
						t.Fatal(err)
					}
				}
				for _, s := range tgt.history()[before:] {
					if s.Weight("1.5.0") != strategies.Full {
						t.Errorf("the split became %v", s.Arms)
					}
				}
				// What serves is still what served, and a rollout from there can begin.
				var stale *rollout.StaleBaselineError
				if _, err := e.Start(t.Context(), briskly("0.9.0", "1.6.0"), ana); !errors.As(err, &stale) || stale.Serving.Arm() != "1.5.0" {
					t.Errorf("the next one with the same baseline: %v", err)
				}
				serving(t, e, briskly("1.5.0", "1.6.0"))
			})
		})
	}
}

// TestReplaceServing: once its gates have passed, a plan that replaces what serves does.
func TestReplaceServing(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		serving(t, e, briskly("1.4.0", "1.5.0"))
		p := briskly("0.9.0", "1.6.0")
		p.DangerouslyReplaceServing = "1.5.0"
		id := begin(t, e, p)
		time.Sleep(2 * time.Second)
		if got := tgt.current(); got.Weight("0.9.0") != 5000 || got.Weight("1.6.0") != 5000 {
			t.Errorf("in its first stage the split is %v", got.Arms)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		if got := tgt.current(); got.Weight("0.9.0") != strategies.Full {
			t.Errorf("after the abort the split is %v", got.Arms)
		}
	})
}

// TestKnownGood: the last word about a version says whether it is known to be good.
func TestKnownGood(t *testing.T) {
	for name, tt := range map[string]struct {
		harm bool
		want strategies.Weight
	}{
		"promoted, and replaced":              {false, strategies.Full},
		"promoted, replaced, and rolled back": {true, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				serving(t, e, briskly("1.4.0", "1.5.0"))
				serving(t, e, briskly("1.5.0", "1.4.0"))
				if tt.harm {
					tgt.mu.Lock()
					tgt.errorRate = map[string]float64{"1.5.0": 0.5}
					tgt.mu.Unlock()
					if end := last(finish(t, e, begin(t, e, briskly("1.4.0", "1.5.0")))); end.Phase != strategies.RolledBack {
						t.Fatalf("ended with %v", end)
					}
					tgt.mu.Lock()
					tgt.errorRate = nil
					tgt.mu.Unlock()
				}
				p := briskly("1.4.0", "1.5.0")
				p.RollbackWindow = 24 * time.Hour
				begin(t, e, p)
				time.Sleep(2 * time.Second)
				if share := tgt.current().Weight("1.5.0"); share != tt.want {
					t.Errorf("in its first stage it has %v, want %v", share, tt.want)
				}
			})
		})
	}
}

// returning opens an engine whose target serves 1.5.0 after 1.4.0, and returns a plan of the
// way back, with its stages.
func returning(t *testing.T, tgt *target, cfg rollout.Config) (*rollout.Engine, rollout.Plan, []strategies.Stage) {
	t.Helper()
	e := open(t, cfg)
	go tgt.serve(t.Context(), 20*time.Millisecond)
	serving(t, e, briskly("1.4.0", "1.5.0"))
	p := briskly("1.5.0", "1.4.0")
	stages, err := p.Strategy.Stages("1.5.0", "1.4.0")
	if err != nil {
		t.Fatal(err)
	}
	return e, p, stages
}

// TestReturnKeepsItsApproval: going back asks for what the strictest approvals of the
// plan ask for, unless the plan says that going back is free.
func TestReturnKeepsItsApproval(t *testing.T) {
	for name, free := range map[string]bool{"with approval": false, "free": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e, p, stages := returning(t, tgt, cfg)
				stages[0].Approve = &strategies.Approval{Need: 2, Roles: []string{"sre"}, OnTimeout: strategies.ActionContinue, Timeout: time.Hour}
				stages[1].Approve = &strategies.Approval{FourEyes: true, MFA: time.Hour, Timeout: 2 * time.Hour}
				p.Stages, p.RollbackWindow, p.RollbackFree = stages, time.Hour, free
				id := begin(t, e, p)
				time.Sleep(5 * time.Second)
				st, err := e.Status(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if free {
					if st.Phase != strategies.Promoted || st.Plan.Stages[0].Approve != nil {
						t.Errorf("%v, %+v", st.Phase, st.Plan.Stages[0].Approve)
					}
					return
				}
				want := strategies.Approval{Need: 2, Roles: []string{"sre"}, FourEyes: true, MFA: time.Hour, Timeout: time.Hour}
				got := st.Plan.Stages[0].Approve
				if st.Phase != strategies.Approving || got == nil || got.Need != want.Need || got.FourEyes != want.FourEyes || got.MFA != want.MFA ||
					got.Timeout != want.Timeout || got.OnTimeout != want.OnTimeout || len(got.Roles) != 1 {
					t.Errorf("%v, it asks for %+v, want %+v", st.Phase, got, want)
				}
				if tgt.current().Weight("1.5.0") != strategies.Full {
					t.Errorf("before that the split is %v", tgt.current().Arms)
				}
			})
		})
	}
}

// TestSupersedeIsARight: who may start and not supersede ends no rollout of others.
func TestSupersedeIsARight(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Authorize = rollout.Roles{
			"dev":  {rollout.ActionStart, rollout.ActionRetry},
			"lead": {rollout.ActionStart, rollout.ActionSupersede},
		}.Authorize
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		dan, lea := rollout.Actor{Name: "dan", Roles: []string{"dev"}}, rollout.Actor{Name: "lea", Roles: []string{"lead"}}
		p := briskly("1.4.0", "1.5.0")
		p.Supersede = true // there is nothing to end yet
		hers, err := e.Start(t.Context(), p, dan)
		if err != nil {
			t.Fatal(err)
		}
		p.Candidate = release("1.6.0")
		var forbidden *rollout.ForbiddenError
		if _, err := e.Start(t.Context(), p, dan); !errors.As(err, &forbidden) || forbidden.Action != rollout.ActionSupersede {
			t.Errorf("Start: %v", err)
		}
		if st, err := e.Status(t.Context(), hers); err != nil || st.Phase.Terminal() {
			t.Errorf("the other is %v, %v", st.Phase, err)
		}
		if _, err := e.Start(t.Context(), p, lea); err != nil {
			t.Errorf("Start by a person with the right to: %v", err)
		}
	})
}
