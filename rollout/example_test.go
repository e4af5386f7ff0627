package rollout_test

import (
	"context"
	"fmt"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// gateway stands for what divides the traffic: a traffic.Router, usually.
type gateway struct{}

func (gateway) SetSplit(context.Context, strategies.Split) error { return nil }

// A candidate whose preflight check fails receives no traffic.
func ExampleEngine() {
	ctx := context.Background()
	engine, err := rollout.Open(ctx, rollout.Config{
		Store:   new(memstore.Store),
		Targets: map[string]rollout.Splitter{"chat": gateway{}},
		Checks: map[string]checks.Check{
			"evaluation": checks.Func(func(context.Context) checks.Result {
				return checks.Result{Status: checks.Fail, Summary: "quality fell from 0.81 to 0.64"}
			}),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	id, err := engine.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
		Preflight: []string{"evaluation"},
	}, rollout.Actor{Name: "ana"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range engine.Events(ctx, id, 1) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Rollout, event.Seq, event.Kind, event.Phase, event.Split.Arms)
		if event.Checks != nil {
			fmt.Println(event.Checks.Results[0].Name, event.Checks.Status, event.Checks.Results[0].Summary)
		}
	}
	// Output:
	// chat/1 1 started preflight [{1.4.0 100%} {1.5.0 0%}]
	// chat/1 2 ended failed [{1.4.0 100%} {1.5.0 0%}]
	// evaluation fail quality fell from 0.81 to 0.64
}

// A listing shows the newest rollouts first, and what happened to each so far.
func ExampleEngine_Rollouts() {
	ctx := context.Background()
	engine, err := rollout.Open(ctx, rollout.Config{
		Store:   new(memstore.Store),
		Targets: map[string]rollout.Splitter{"chat": gateway{}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	ana := rollout.Actor{Name: "ana"}
	for _, version := range []string{"1.5.0", "1.6.0", "1.7.0"} {
		id, err := engine.Start(ctx, rollout.Plan{
			Target:    "chat",
			Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
			Candidate: versioning.Release{Version: versioning.MustParse(version)},
		}, ana)
		if err == nil {
			err = engine.Do(ctx, id, strategies.Abort, ana)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, target := range engine.Targets() {
		page, err := engine.Rollouts(ctx, target, "", 2)
		if err != nil {
			fmt.Println(err)
		}
		for _, st := range page {
			fmt.Println(st.ID, st.Plan.Candidate, st.Phase)
		}
		next, err := engine.Rollouts(ctx, target, page[len(page)-1].ID, 2)
		if err != nil {
			fmt.Println(err)
		}
		for _, st := range next {
			first, err := engine.Read(ctx, st.ID, 1, 1)
			fmt.Println("older:", st.ID, first[0].Kind, err)
		}
	}
	// Output:
	// chat/3 1.7.0 aborted
	// chat/2 1.6.0 aborted
	// older: chat/1 started <nil>
}

// A command-line tool looks at the store of a service, and gives a command. It has no
// target of its own, so it cannot take one away from the service.
func ExampleCommander() {
	ctx := context.Background()
	store := new(memstore.Store)
	service, err := rollout.Open(ctx, rollout.Config{
		Store: store, Replica: "service-1",
		Targets: map[string]rollout.Splitter{"chat": gateway{}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Close()

	ana := rollout.Actor{Name: "ana"}
	id, err := service.Start(ctx, rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
	}, ana)
	if err != nil {
		fmt.Println(err)
		return
	}

	// In another program:
	commander, err := rollout.Commander(store, rollout.Config{})
	if err == nil {
		err = commander.Do(ctx, id, strategies.Abort, ana, rollout.Because("not on a Friday"))
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	st, err := rollout.Reader(store).Newest(ctx, "chat")
	fmt.Println(st.ID, st.Phase, st.Reason, err)
	// Output: chat/1 aborted aborted: not on a Friday <nil>
}

// What is wrong with a plan is told all at once, before anything happens.
func ExamplePlan_Validate() {
	err := rollout.Plan{
		Target:    "Chat Service",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.4.0")},
		Stages: []strategies.Stage{{
			Name:  "everything",
			Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 9000}}},
		}},
	}.Validate()
	fmt.Println(err)
	// Output:
	// rollout: Plan.Target is "Chat Service", want a name that matches ^[a-z0-9._-]{1,64}$
	// rollout: Plan.Candidate.Version is 1.4.0, want another version than the baseline's
	// rollout: Plan.Stages[0].Split.Arms is 90% in all, want weights that add up to 100%
}

// A target demands an approval and a small first stage of every plan.
func ExampleDemand() {
	demand := rollout.Demand{
		Approve:  &strategies.Approval{Need: 2, Roles: []string{"sre"}},
		UpTo:     strategies.Percent(10),
		MaxFirst: strategies.Percent(5),
	}
	plan := rollout.Plan{
		Target:    "chat",
		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
		Strategy:  strategies.Canary{Weights: []strategies.Weight{strategies.Percent(50)}},
	}
	fmt.Println(demand.Check(plan))

	plan, err := demand.Apply(plan)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, stage := range plan.Stages {
		fmt.Println(stage.Name, stage.Approve != nil)
	}
	// Output:
	// rollout: chat demands more of a plan: Plan.Stages[0].Split is 50%, want at most 5%; Plan.Stages[0].Approve is no approval, want 2 of sre, within 24h0m0s, then hold
	// demanded 5% false
	// canary 50% true
	// canary 100% false
}
