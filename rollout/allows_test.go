package rollout_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// life is a rollout to which commands are given at random.
type life struct {
	rng            *rand.Rand
	engine         *rollout.Engine
	allowed, asked map[strategies.Command]int
}

// TestAllowsIsWhatDoDoes: in the states of many rollouts, a command is allowed exactly when
// the engine carries it out, and what is not allowed is refused for the same reason.
func TestAllowsIsWhatDoDoes(t *testing.T) {
	allowed, asked := make(map[strategies.Command]int), make(map[strategies.Command]int)
	for seed := range uint64(40) {
		run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
			rng := rand.New(rand.NewPCG(seed, 1))
			wobbly := func(context.Context) checks.Result {
				if time.Now().Unix()/10%12 == int64(seed%12) {
					return checks.Result{Status: checks.Fail, Summary: "expired"}
				}
				return checks.Result{Status: checks.Pass}
			}
			slow := func(ctx context.Context) checks.Result {
				time.Sleep(20 * time.Second)
				return checks.Result{Status: checks.Pass}
			}
			cfg.Checks["wobbly"], cfg.Checks["slow"] = checks.Func(wobbly), checks.Func(slow)
			cfg.CheckValid = 15 * time.Second
			l := &life{rng: rng, engine: open(t, cfg), allowed: allowed, asked: asked}
			go tgt.serve(t.Context(), time.Second)
			l.live(t, begin(t, l.engine, l.plan(t)))
		})
	}
	for _, c := range []strategies.Command{strategies.Pause, strategies.Resume, strategies.Promote, strategies.PromoteFully, strategies.Skip, strategies.Approve, strategies.Reject, strategies.RampDown, strategies.Abort} {
		if allowed[c] == 0 || allowed[c] == asked[c] {
			t.Errorf("%v was allowed in %d of %d states; the test needs both", c, allowed[c], asked[c])
		}
	}
}

// plan has something of everything that a command may meet.
func (l *life) plan(t *testing.T) rollout.Plan {
	some := func() bool { return l.rng.IntN(3) == 0 }
	p := plan()
	stages, err := strategies.Canary{
		Weights: []strategies.Weight{1000, 3000, 6000}, Bake: 40 * time.Second, Limit: 10 * time.Minute, MinSamples: 5,
		DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{FourEyes: true, MFA: time.Minute},
	}.Stages(p.Baseline.Arm(), p.Candidate.Arm())
	if err != nil {
		t.Fatal(err)
	}
	p.Stages, p.Strategy = stages, nil
	if some() {
		p.Stages[1].Approve = &strategies.Approval{Roles: []string{"sre"}, Not: []string{"cem"}}
	}
	if some() {
		p.Stages[0].Approve = &strategies.Approval{}
	}
	if some() {
		p.Preflight = []string{"slow"}
	}
	if some() {
		p.Stages[1].Before, p.Stages[0].After = []string{"slow"}, []string{"pass"}
	}
	if some() {
		p.RampDown = strategies.RampSteps(3000, 3, time.Minute)
	}
	if some() {
		p.Standing = []rollout.Standing{{Check: "wobbly", Every: 10 * time.Second, Grace: time.Minute, OnFail: strategies.ActionHold}}
	}
	if some() {
		from := time.Now().Add(time.Duration(l.rng.IntN(120)) * time.Second)
		p.Freezes = []rollout.Freeze{{From: from, To: from.Add(2 * time.Minute), Reason: "weekend"}}
	}
	if some() {
		p.Monitor, p.Holdback = 2*time.Minute, 1000
	}
	return p
}

// live gives commands until the rollout has ended, and some afterwards.
func (l *life) live(t *testing.T, id rollout.ID) {
	people := []rollout.Actor{ana, {Name: "ben", Roles: []string{"sre"}}, {Name: "cem", Roles: []string{"sre"}}, {Name: "dora"}}
	commands := []strategies.Command{strategies.Pause, strategies.Resume, strategies.Promote, strategies.PromoteFully, strategies.Skip, strategies.Approve, strategies.Reject, strategies.RampDown, strategies.Abort}
	for after := 0; after < 10; {
		time.Sleep(time.Duration(l.rng.IntN(30_000)) * time.Millisecond)
		if err := l.engine.Tick(t.Context(), id); err != nil { // nothing is older than the status
			t.Fatal(err)
		}
		st := status(t, l.engine, id)
		if st.Phase.Terminal() {
			after++
		}
		c, by := commands[l.rng.IntN(len(commands))], people[l.rng.IntN(len(people))]
		final := c == strategies.Abort || c == strategies.Reject || c == strategies.RampDown
		if final && !st.Phase.Terminal() && l.rng.IntN(10) > 0 {
			continue // it shall live for some time
		}
		if l.rng.IntN(2) == 0 {
			by.Proved = time.Now().Add(-time.Duration(l.rng.IntN(90)) * time.Second)
		}
		allows, done := st.Allows(c, by), l.engine.Do(t.Context(), id, c, by)
		l.asked[c]++
		if allows == nil {
			l.allowed[c]++
		}
		var a, d *rollout.RefusedError
		switch {
		case (allows == nil) != (done == nil):
			t.Errorf("%v, stage %d, paused %v: %v by %s: offered: %v, done: %v", st.Phase, st.Stage, st.Paused, c, by.Name, allows, done)
		case allows != nil && (!errors.As(allows, &a) || !errors.As(done, &d) || a.Reason != d.Reason || a.Command != d.Command || a.Rollout != d.Rollout):
			t.Errorf("%v, stage %d: offered: %v, done: %v", st.Phase, st.Stage, allows, done)
		}
	}
}

// TestAllowsNothingUnknown: a status of which only the JSON is known allows to lower the
// candidate, and nothing that could give it more.
func TestAllowsNothingUnknown(t *testing.T) {
	for phase := strategies.Preflight; phase <= strategies.Failed; phase++ {
		st := rollout.Status{ID: "chat/1", Phase: phase, Plan: plan()}
		for c := strategies.NoCommand; c <= strategies.RampDown; c++ {
			var refused *rollout.RefusedError
			err := st.Allows(c, ana)
			if down := c == strategies.Abort && !phase.Terminal(); down != (err == nil) || !down && !errors.As(err, &refused) {
				t.Errorf("%v in %v: %v", c, phase, err)
			}
		}
	}
}
