package rollout_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// The cards are what the controllers of Kubernetes do, or should do, in named
// situations, in our own words: C for canaries and B for blue-green as
// argo-rollouts has them, P for its hooks, F for flagger's loop, K for kruise's
// changes of a plan, W for windows and weights, X for what none of them has.
// Cards that other tests are about stand in otherCards; those that do not apply
// here say why.
var cards = []struct {
	id, what string
	test     func(t *testing.T, c *card)
}{
	{"C1", "a first version is no rollout", func(t *testing.T, c *card) {
		if _, err := c.e.Newest(t.Context(), "chat"); !errors.Is(err, rollout.ErrNotFound) || len(c.tgt.splits) != 0 {
			t.Errorf("Newest = %v after %d splits, want nothing to have happened", err, len(c.tgt.splits))
		}
	}},
	{"C3", "promote twice, abort, begin again, promote fully", func(t *testing.T, c *card) {
		id := c.start(steps(24*time.Hour, 2500, 5000, 7500))
		c.do(id, strategies.Promote)
		c.do(id, strategies.Promote)
		c.at(id, strategies.Baking, 2)
		c.do(id, strategies.Abort)
		c.ends(id, strategies.Aborted)
		id = c.retry(id)
		c.at(id, strategies.Baking, 0)
		c.do(id, strategies.PromoteFully)
		c.do(id, strategies.Promote)
		c.ends(id, strategies.Promoted)
	}},
	{"C5", "back to the version that still serves, at once", func(t *testing.T, c *card) {
		id := c.start(steps(time.Hour, 5000))
		c.do(id, strategies.Pause)
		c.do(id, strategies.Abort)
		c.ends(id, strategies.Aborted)
		c.serves("1.4.0", strategies.Full)
	}},
	{"C7", "outside the window of return all stages run again", func(t *testing.T, c *card) {
		c.ends(c.start(steps(time.Minute, 5000)), strategies.Promoted)
		time.Sleep(2 * time.Hour)
		p := steps(time.Minute, 5000)
		p.Baseline, p.Candidate, p.RollbackWindow = p.Candidate, p.Baseline, time.Hour
		id := c.start(p)
		if got := len(status(t, c.e, id).Plan.Stages); got != 2 {
			t.Errorf("%d stages, want both", got)
		}
	}},
	{"C9", "timed stages alone: promoted, and nobody was waited for", func(t *testing.T, c *card) {
		id := c.start(steps(time.Minute, 5000))
		c.ends(id, strategies.Promoted)
		if got := status(t, c.e, id).Held; got != 0 {
			t.Errorf("held for %v, want not at all", got)
		}
	}},
	{"C11", "promote fully at the first pause", func(t *testing.T, c *card) {
		id := c.start(steps(time.Minute, 2500, 5000, 7500))
		c.do(id, strategies.Pause)
		time.Sleep(10 * time.Minute)
		c.do(id, strategies.PromoteFully)
		c.at(id, strategies.Baking, 3)
		c.ends(id, strategies.Promoted)
		if got := status(t, c.e, id).Held; got < 10*time.Minute || got > 11*time.Minute {
			t.Errorf("held for %v, want ten minutes", got)
		}
	}},
	{"C13", "a newer candidate supersedes", func(t *testing.T, c *card) {
		first := c.start(steps(time.Hour, 5000))
		c.do(first, strategies.Pause)
		p := steps(time.Minute, 5000)
		p.Candidate, p.Supersede = release("1.6.0"), true
		second := c.start(p)
		c.ends(first, strategies.Superseded)
		c.ends(second, strategies.Promoted)
	}},
	{"C15", "promoted while it is paused, with evidence", func(t *testing.T, c *card) {
		id := c.start(steps(time.Minute, 5000))
		c.do(id, strategies.Pause)
		time.Sleep(time.Minute)
		c.do(id, strategies.Promote)
		c.ends(id, strategies.Promoted)
		if got := status(t, c.e, id).Exposed; got == 0 {
			t.Error("promoted without a request") // which upstream allows
		}
	}},
	{"C17", "a check after the stage fails, although it was promoted by hand", func(t *testing.T, c *card) {
		p := steps(time.Hour, 5000)
		p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) { s.After = []string{"fail"} })
		id := c.start(p)
		c.do(id, strategies.Promote)
		c.ends(id, strategies.RolledBack)
		c.serves("1.4.0", strategies.Full)
	}},
	{"C19", "a check that never starts is no success", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) { s.After = []string{"hang"} })
		c.ends(c.start(p), strategies.RolledBack)
	}},
	{"C21", "time in a pause is not held against a limit", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) {
			s.Limit, s.MinSamples, s.OnLimit = 2*time.Minute, 1<<20, strategies.ActionRollBack
		})
		id := c.start(p)
		c.do(id, strategies.Pause)
		time.Sleep(20 * time.Minute)
		c.at(id, strategies.Baking, 0)
		c.do(id, strategies.Resume)
		c.ends(id, strategies.RolledBack)
	}},
	{"C23", "good, bad, good: the newest good one gets there", func(t *testing.T, c *card) {
		c.tgt.errorRate["1.5.1"] = 0.5
		p := steps(time.Minute, 5000)
		p.Candidate = release("1.5.1")
		c.ends(c.start(p), strategies.RolledBack)
		c.ends(c.start(p), strategies.RolledBack) // and bad again
		p.Candidate = release("1.5.2")
		c.ends(c.start(p), strategies.Promoted)
		c.serves("1.5.2", strategies.Full)
	}},
	{"C25", "a header route of one stage is gone in the next", func(t *testing.T, c *card) {
		p := steps(time.Minute, 2000, 4000)
		rule := strategies.Rule{Arm: "1.5.0", Header: "Version", Value: "new"}
		p.Strategy = strategies.Adjust(p.Strategy, "canary 20%", func(s *strategies.Stage) { s.Split.Rules = []strategies.Rule{rule} })
		id := c.start(p)
		if got := c.tgt.current(); len(got.Rules) != 1 || got.Weight("1.5.0") != 2000 {
			t.Errorf("the first stage splits %+v, want 20 %% and the rule", got)
		}
		c.do(id, strategies.Promote)
		if got := c.tgt.current(); len(got.Rules) != 0 || got.Weight("1.5.0") != 4000 {
			t.Errorf("the second stage splits %+v, want 40 %% and no rule", got)
		}
		c.do(id, strategies.PromoteFully)
		c.serves("1.5.0", strategies.Full)
	}},
	{"C27", "another plan for the same candidate begins from the start", func(t *testing.T, c *card) {
		first := c.start(steps(time.Hour, 2500, 5000))
		c.do(first, strategies.Promote)
		p := steps(time.Hour, 1000, 5000)
		p.Supersede = true
		second := c.start(p)
		c.at(second, strategies.Baking, 0)
		c.serves("1.5.0", 1000)
	}},
	{"C29", "bad plans are refused before they begin, and the field is named", func(t *testing.T, c *card) {
		for want, change := range map[string]func(*rollout.Plan){
			"Plan.Strategy.Weights[0]": func(p *rollout.Plan) { p.Strategy = strategies.Canary{Weights: []strategies.Weight{10_001}} },
			"Plan.Strategy.Bake":       func(p *rollout.Plan) { p.Strategy = strategies.Canary{Bake: -time.Second} },
			"Plan.Candidate.Version":   func(p *rollout.Plan) { p.Candidate = p.Baseline },
			"Plan.Preflight[1]":        func(p *rollout.Plan) { p.Preflight = []string{"pass", "of no one"} },
			"Plan.Strategy.Stages[0].Split.Rules[0].Arm": func(p *rollout.Plan) {
				p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) {
					s.Split.Rules = []strategies.Rule{{Arm: "1.9.0", Header: "x"}}
				})
			},
		} {
			p := steps(time.Minute, 5000)
			change(&p)
			if _, err := c.e.Start(t.Context(), p, ana); !slices.Contains(invalidFields(err), want) {
				t.Errorf("Start = %v, want to hear of %s", err, want)
			}
		}
	}},

	{"P1", "two checks before a stage pass, and both are on record", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) { s.Before = []string{"pass", "pass2"} })
		id := c.start(p)
		var names []string
		for _, ev := range c.ends(id, strategies.Promoted) {
			if ev.Checks != nil && ev.Phase == strategies.Baking {
				for _, r := range ev.Checks.Results {
					names = append(names, r.Name+" "+r.Status.String())
				}
			}
		}
		if diff := cmp.Diff([]string{"pass pass", "pass2 pass"}, names); diff != "" {
			t.Errorf("on record (-want +got):\n%s", diff)
		}
	}},
	{"P3", "an abort ends the checks that run", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Preflight = []string{"hang"}
		id := c.start(p)
		c.do(id, strategies.Abort)
		c.ends(id, strategies.Aborted)
		if time.Sleep(time.Second); c.hanging() != 0 {
			t.Errorf("%d checks still run", c.hanging())
		}
	}},
	{"P5", "promote fully does not skip a check that runs, as it does upstream", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Preflight = []string{"hang"}
		id := c.start(p)
		var refused *rollout.RefusedError
		if err := c.e.Do(t.Context(), id, strategies.PromoteFully, ana); !errors.As(err, &refused) {
			t.Errorf("PromoteFully = %v, want a RefusedError", err)
		}
	}},
	{"P7", "a check with an invalid result opens nothing", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Preflight = []string{"nonsense"}
		c.ends(c.start(p), strategies.Failed)
		if c.tgt.count("1.5.0") != 0 {
			t.Error("the candidate had traffic")
		}
	}},

	{"B1", "the smoke check fails: nothing moves; begun again it runs again", func(t *testing.T, c *card) {
		p := blueGreen("flaky")
		id := c.start(p)
		c.ends(id, strategies.RolledBack)
		if c.tgt.count("1.5.0") != 0 {
			t.Error("the candidate had traffic")
		}
		id = c.retry(id)
		c.ends(id, strategies.Promoted)
		c.serves("1.5.0", strategies.Full)
	}},
	{"B3", "the check after the switch fails: the old colour is back", func(t *testing.T, c *card) {
		p := blueGreen("pass")
		p.Postflight = []string{"fail"}
		id := c.start(p)
		time.Sleep(2 * time.Minute)
		c.serves("1.5.0", strategies.Full)
		c.ends(id, strategies.RolledBack)
		c.serves("1.4.0", strategies.Full)
	}},
	{"B5", "after an abort a new version begins clean", func(t *testing.T, c *card) {
		id := c.start(blueGreen("pass"))
		c.do(id, strategies.Abort)
		p := blueGreen("pass")
		p.Candidate = release("1.6.0")
		c.ends(c.start(p), strategies.Promoted)
		if c.tgt.current().Reaches("1.5.0") {
			t.Error("the aborted candidate is in the split")
		}
	}},
	{"B7", "a smoke check without a result does not switch", func(t *testing.T, c *card) {
		id := c.start(blueGreen("hang"))
		c.ends(id, strategies.RolledBack) // upstream pauses; what is not known opens nothing, and nothing waits for nothing
		c.serves("1.4.0", strategies.Full)
	}},

	{"F1", "steps of 20 %", func(t *testing.T, c *card) {
		c.ends(c.start(steps(time.Minute, strategies.Linear(6000, 3)...)), strategies.Promoted)
		c.went(0, 2000, 4000, 6000, strategies.Full)
	}},
	{"F3", "explicit steps", func(t *testing.T, c *card) {
		c.ends(c.start(steps(time.Minute, 100, 200, 1000, 8000)), strategies.Promoted)
		c.went(0, 100, 200, 1000, 8000, strategies.Full)
	}},
	{"F5", "proof early, then a ramp of the promotion", func(t *testing.T, c *card) {
		p := steps(0, 1000, 4000, 7000)
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{1000, 4000, 7000}, Prove: 4000, Limit: 24 * time.Hour}
		c.ends(c.start(p), strategies.Promoted)
		c.went(0, 1000, 4000, 7000, strategies.Full)
	}},
	{"F7", "all requests that match, and none that do not", func(t *testing.T, c *card) {
		p := blueGreen("pass")
		id := c.start(p)
		if got := c.tgt.current(); len(got.Rules) != 1 || got.Weight("1.5.0") != 0 {
			t.Errorf("the preview splits %+v", got)
		}
		c.ends(id, strategies.Promoted)
	}},
	{"F9", "a new revision at 10 %: the old candidate has nothing any more", func(t *testing.T, c *card) {
		c.start(steps(time.Hour, 1000))
		p := steps(time.Hour, 1000)
		p.Candidate, p.Supersede = release("1.6.0"), true
		id := c.start(p)
		c.at(id, strategies.Baking, 0)
		if c.tgt.current().Reaches("1.5.0") {
			t.Error("the old candidate still has traffic")
		}
	}},
	{"F11", "without proof, because the plan says so", func(t *testing.T, c *card) {
		p := steps(0)
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{strategies.Full}, DangerouslyPromoteUnproven: true}
		c.ends(c.start(p), strategies.Promoted)
	}},
	{"F15", "checks and guards go on while a person is waited for", func(t *testing.T, c *card) {
		p := steps(time.Minute, 5000)
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{5000}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{}}
		id := c.start(p)
		time.Sleep(5 * time.Minute)
		c.at(id, strategies.Approving, 1)
		c.tgt.mu.Lock()
		c.tgt.errorRate["1.5.0"] = 0.5
		c.tgt.mu.Unlock()
		c.ends(id, strategies.RolledBack)
	}},
	{"F17", "rolled back on demand, in every phase", func(t *testing.T, c *card) {
		for _, strategy := range []strategies.Strategy{
			strategies.Adjust(strategies.Canary{}, "canary 5%", func(s *strategies.Stage) { s.Before = []string{"hang"} }),
			strategies.Adjust(strategies.Canary{}, "canary 5%", func(s *strategies.Stage) { s.Approve = &strategies.Approval{} }),
			strategies.Canary{Bake: time.Hour},
		} {
			p := plan()
			p.Strategy = strategy
			id := c.start(p)
			c.do(id, strategies.Abort)
			c.ends(id, strategies.Aborted)
			c.serves("1.4.0", strategies.Full)
		}
	}},
	{"F19", "two stages of one weight: the place is an index, not a weight", func(t *testing.T, c *card) {
		p := steps(0)
		p.Strategy = nil
		for i, w := range []strategies.Weight{1000, 1000, 3000, strategies.Full} {
			p.Stages = append(p.Stages, strategies.Stage{Name: string(rune('a' + i)), Split: split2(strategies.Full-w, w), Bake: time.Minute, Until: strategies.UntilBaked})
		}
		c.ends(c.start(p), strategies.Promoted)
	}},

	{"K9", "a bad one at 20 % is replaced by a good one", func(t *testing.T, c *card) {
		c.tgt.errorRate["1.5.0"] = 0.02 // bad, but not enough to be found out
		c.start(steps(time.Hour, 2000))
		p := steps(time.Minute, 2000)
		p.Candidate, p.Supersede = release("1.6.0"), true
		c.ends(c.start(p), strategies.Promoted)
		c.serves("1.6.0", strategies.Full)
	}},

	{"W7", "a weight of an arm that is not of the plan", func(t *testing.T, c *card) {
		p := steps(0)
		p.Strategy = nil
		p.Stages = []strategies.Stage{{Name: "a", Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 9000}, {Name: "stray", Weight: 1000}}}}}
		if _, err := c.e.Start(t.Context(), p, ana); !slices.Contains(invalidFields(err), "Plan.Stages[0].Split.Arms") {
			t.Errorf("Start = %v, want to hear of the stray arm", err)
		}
	}},

	{"X3", "an outage of both versions is no reason to roll back", func(t *testing.T, c *card) {
		id := c.start(steps(3*time.Hour, 5000))
		time.Sleep(20 * time.Minute)
		c.tgt.mu.Lock()
		c.tgt.errorRate["1.4.0"], c.tgt.errorRate["1.5.0"] = 0.1, 0.1
		c.tgt.mu.Unlock()
		time.Sleep(20 * time.Minute)
		c.at(id, strategies.Baking, 0)
	}},
	{"X4", "no traffic for a whole stage is no evidence, and never a promotion", func(t *testing.T, c *card) {
		c.quiet()
		p := steps(time.Minute, 5000)
		p.Strategy = strategies.Adjust(p.Strategy, "canary 50%", func(s *strategies.Stage) { s.EvidenceLimit = 20 * time.Minute })
		id := c.start(p)
		time.Sleep(time.Hour)
		if st := status(t, c.e, id); !st.Paused || st.Phase != strategies.Baking || rule(t, c.e, id) != "no evidence" {
			t.Errorf("%v, paused %t: %s; want held for want of evidence", st.Phase, st.Paused, st.Reason)
		}
	}},
}

// otherCards are tested elsewhere, or have nothing to test here.
var otherCards = map[string]string{
	"P9":  "there are no disabled hooks: a check that is not named does not run",
	"F13": "the baseline is never taken away, so there is no finalising that could fail",
	"K1":  "a plan does not change under way: another one supersedes it (C27)", "K3": "as K1", "K5": "as K1", "K7": "as K1",
	"W1": "TestWindows", "W3": "TestWindows", "W5": "rollout/traffic, TestSplit",
	"X1": "TestCrashAtEveryWrite", "X2": "TestOneWins", "X5": "rollout/traffic", "X6": "durations are monotonic: the time package subtracts no wall clocks",
	"X7": "TestSinks", "X8": "TestFourEyes", "X9": "TestWindows",
}

func TestCards(t *testing.T) {
	for _, c := range cards {
		t.Run(c.id, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				ctx, quiet := context.WithCancel(t.Context())
				tgt.errorRate = map[string]float64{"1.4.0": 0.01, "1.5.0": 0.01, "1.5.2": 0.01, "1.6.0": 0.01}
				go tgt.serve(ctx, 200*time.Millisecond)
				k := &card{t: t, tgt: tgt, quiet: quiet}
				var hanging atomic.Int64
				k.hanging = hanging.Load
				var runs atomic.Int64
				check := func(s checks.Status) checks.Check {
					return checks.Func(func(context.Context) checks.Result { return checks.Result{Status: s} })
				}
				cfg.Checks["pass2"], cfg.Checks["nonsense"] = check(checks.Pass), check(checks.Status(99))
				cfg.Checks["hang"] = checks.Func(func(ctx context.Context) checks.Result {
					hanging.Add(1)
					defer hanging.Add(-1)
					<-ctx.Done()
					return checks.Result{}
				})
				cfg.Checks["flaky"] = checks.Func(func(context.Context) checks.Result {
					if runs.Add(1) == 1 {
						return checks.Result{Status: checks.Fail}
					}
					return checks.Result{Status: checks.Pass}
				})
				k.e = open(t, cfg)
				c.test(t, k)
			})
		})
		if why, twice := otherCards[c.id]; twice {
			t.Errorf("card %s is here and elsewhere: %s", c.id, why)
		}
	}
}

// card is what a card's test works with.
type card struct {
	t       *testing.T
	e       *rollout.Engine
	tgt     *target
	quiet   func()
	hanging func() int64
}

// steps is a plan with the given weights, and 100 %, a bake each, without proof.
func steps(bake time.Duration, weights ...strategies.Weight) rollout.Plan {
	p := plan()
	p.Strategy = strategies.Canary{Weights: weights, Bake: bake, Limit: 4*bake + 24*time.Hour, DangerouslyPromoteUnproven: true}
	return p
}

func blueGreen(smoke string) rollout.Plan {
	p := plan()
	p.Strategy = strategies.BlueGreen{Smoke: []string{smoke}, Warm: time.Minute, Keep: 10 * time.Minute}
	return p
}

func (c *card) start(p rollout.Plan) rollout.ID {
	c.t.Helper()
	id := begin(c.t, c.e, p)
	time.Sleep(2 * time.Second)
	return id
}

func (c *card) retry(id rollout.ID) rollout.ID {
	c.t.Helper()
	id, err := c.e.Retry(c.t.Context(), id, ana)
	if err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	return id
}

func (c *card) do(id rollout.ID, cmd strategies.Command) {
	c.t.Helper()
	if err := c.e.Do(c.t.Context(), id, cmd, ana); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
}

func (c *card) at(id rollout.ID, phase strategies.Phase, stage int) {
	c.t.Helper()
	if st := status(c.t, c.e, id); st.Phase != phase || st.Stage != stage {
		c.t.Fatalf("%v, stage %d (%s), want %v, stage %d", st.Phase, st.Stage, st.Reason, phase, stage)
	}
}

func (c *card) ends(id rollout.ID, outcome strategies.Phase) []rollout.Event {
	c.t.Helper()
	events := finish(c.t, c.e, id)
	if end := last(events); end.Phase != outcome {
		c.t.Fatalf("%v: %s; want %v", end.Phase, end.Reason, outcome)
	}
	return events
}

func (c *card) serves(version string, w strategies.Weight) {
	c.t.Helper()
	if got := c.tgt.current().Weight(version); got != w {
		c.t.Errorf("%s has %v, want %v", version, got, w)
	}
}

// went checks which shares the candidate 1.5.0 has had, in order.
func (c *card) went(want ...strategies.Weight) {
	c.t.Helper()
	c.tgt.mu.Lock()
	defer c.tgt.mu.Unlock()
	var got []strategies.Weight
	for _, s := range c.tgt.splits {
		if w := s.Weight("1.5.0"); len(got) == 0 || got[len(got)-1] != w {
			got = append(got, w)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("shares (-want +got):\n%s", diff)
	}
}
