package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
)

// approving starts a rollout that waits for the approval a.
func approving(t *testing.T, e *rollout.Engine, a strategies.Approval) rollout.ID {
	t.Helper()
	p := quick()
	p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &a}
	id := begin(t, e, p)
	time.Sleep(2 * time.Minute)
	if st := status(t, e, id); st.Phase != strategies.Approving {
		t.Fatalf("phase %v (%s), want approving", st.Phase, st.Reason)
	}
	return id
}

// TestApprovalRules: every rule must be met, by different people, and the status says
// what is still needed.
func TestApprovalRules(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		id := approving(t, e, strategies.Approval{
			Rules: []strategies.ApprovalRule{{Need: 2, Roles: []string{"sre"}}, {Roles: []string{"privacy"}}},
			Not:   []string{"idp|7"},
		})
		var refused *rollout.RefusedError
		author := rollout.Actor{Name: "eve", Subject: "idp|7", Roles: []string{"sre"}}
		if err := e.Do(t.Context(), id, strategies.Approve, author); !errors.As(err, &refused) {
			t.Errorf("approval by the author = %v, want a RefusedError", err)
		}
		for _, c := range []struct {
			by    rollout.Actor
			needs string
		}{
			{rollout.Actor{Name: "ben", Subject: "1", Roles: []string{"sre", "privacy"}}, "1 of 3 approvals"},
			{rollout.Actor{Name: "Ben", Subject: "1", Roles: []string{"sre", "privacy"}}, "1 of 3 approvals"},
			{rollout.Actor{Name: "cy", Roles: []string{"sre"}}, "2 of 3 approvals"},
		} {
			if err := e.Do(t.Context(), id, strategies.Approve, c.by); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if st := status(t, e, id); st.Phase != strategies.Approving || !strings.Contains(st.Waiting, c.needs) || !strings.Contains(st.Waiting, "must still approve") {
				t.Errorf("after %s: %v, waiting %q, want %q", c.by.Name, st.Phase, st.Waiting, c.needs)
			}
		}
		if err := e.Do(t.Context(), id, strategies.Approve, rollout.Actor{Name: "di", Roles: []string{"sre"}}); err != nil {
			t.Fatal(err)
		}
		finish(t, e, id)
		if st := status(t, e, id); st.Phase != strategies.Promoted {
			t.Errorf("%v (%s)", st.Phase, st.Reason)
		}
	})
}

// TestReturnKeepsApprovalRules: going back asks for the most that the approvals of the
// plan ask for.
func TestReturnKeepsApprovalRules(t *testing.T) {
	sre, both := []string{"sre"}, []string{"sre", "lead"}
	rules := func(list ...strategies.ApprovalRule) strategies.Approval { return strategies.Approval{Rules: list} }
	for name, c := range map[string]struct{ first, second, want strategies.Approval }{
		"short form and rules": {
			strategies.Approval{Need: 2, Roles: sre, Not: []string{"a"}},
			strategies.Approval{Rules: []strategies.ApprovalRule{{Need: 1, Roles: sre}, {Need: 1, Roles: []string{"privacy"}}}, Not: []string{"b", "a"}},
			strategies.Approval{Rules: []strategies.ApprovalRule{{Need: 2, Roles: sre}, {Need: 1, Roles: []string{"privacy"}}}, Not: []string{"a", "b"}},
		},
		"rules of one role add up": {
			rules(strategies.ApprovalRule{Need: 2, Roles: sre}),
			rules(strategies.ApprovalRule{Roles: sre}, strategies.ApprovalRule{Roles: sre}, strategies.ApprovalRule{Roles: sre}),
			rules(strategies.ApprovalRule{Need: 3, Roles: sre}),
		},
		"order of roles": {
			rules(strategies.ApprovalRule{Need: 1, Roles: both}),
			rules(strategies.ApprovalRule{Need: 3, Roles: []string{"lead", "sre"}}, strategies.ApprovalRule{}),
			rules(strategies.ApprovalRule{Need: 3, Roles: both}, strategies.ApprovalRule{Need: 1}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
				e, p, stages := returning(t, tgt, cfg)
				stages[0].Approve, stages[1].Approve = &c.first, &c.second
				p.Stages, p.RollbackWindow = stages, time.Hour
				id := begin(t, e, p)
				time.Sleep(5 * time.Second)
				st := status(t, e, id)
				if st.Phase != strategies.Approving {
					t.Fatalf("%v (%s), want approving", st.Phase, st.Reason)
				}
				if diff := cmp.Diff(&c.want, st.Plan.Stages[0].Approve); diff != "" {
					t.Errorf("it asks for (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestDisown: the votes of a person who has left no longer fill a place, once that is
// stored, and everything about it is recorded.
func TestDisown(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		cfg.Authorize = rollout.Roles{"sre": {"start", "approve"}, "lead": {rollout.ActionDisown}}.Authorize
		var refusals []rollout.Refusal
		cfg.Refused = func(_ context.Context, r rollout.Refusal) { refusals = append(refusals, r) }
		e := open(t, cfg)
		lead := rollout.Actor{Name: "lea", Roles: []string{"lead"}}
		p := quick()
		p.Strategy = strategies.Canary{Weights: []strategies.Weight{2500}, Bake: time.Minute, DangerouslyPromoteUnproven: true, Approve: &strategies.Approval{Need: 3}}
		if got, err := e.Disown(t.Context(), "idp|1", "left", lead); len(got) != 0 || err != nil {
			t.Errorf("without a rollout: %v, %v", got, err)
		}
		id, err := e.Start(t.Context(), p, rollout.Actor{Name: "ana", Roles: []string{"sre"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		sre := func(name, subject string) rollout.Actor {
			return rollout.Actor{Name: name, Subject: subject, Roles: []string{"sre"}}
		}
		approve := func(by rollout.Actor) {
			t.Helper()
			if err := e.Do(t.Context(), id, strategies.Approve, by); err != nil {
				t.Fatal(err)
			}
		}
		approve(sre("ben", "idp|1"))
		approve(sre("Cy", ""))
		voters := func() (names []string) {
			for _, v := range status(t, e, id).Votes {
				names = append(names, v.Who)
			}
			return names
		}

		var invalid *checks.InvalidError
		for _, bad := range []string{"", " ", strings.Repeat("a", 256)} {
			if _, err := e.Disown(t.Context(), bad, "left", lead); !errors.As(err, &invalid) {
				t.Errorf("Disown(%.10q) = %v, want an InvalidError", bad, err)
			}
		}
		if _, err := e.Disown(t.Context(), "idp|1", "left", rollout.Actor{}); !errors.As(err, &invalid) {
			t.Errorf("by an actor without a name = %v, want an InvalidError", err)
		}
		var forbidden *rollout.ForbiddenError
		if got, err := e.Disown(t.Context(), "idp|1", "left", sre("di", "")); len(got) != 0 || !errors.As(err, &forbidden) {
			t.Errorf("without the right: %v, %v, want a ForbiddenError", got, err)
		}
		if len(refusals) != 1 || refusals[0].Action != rollout.ActionDisown || refusals[0].Rollout != id || refusals[0].Rule != "authorize" {
			t.Errorf("refusals %+v", refusals)
		}
		for _, other := range []string{"idp|2", "IDP|1", "ben"} { // a subject is not its name, nor another spelling
			if got, err := e.Disown(t.Context(), other, "left", lead); len(got) != 0 || err != nil {
				t.Errorf("Disown(%q) = %v, %v, want nothing", other, got, err)
			}
		}
		if diff := cmp.Diff([]string{"ben", "Cy"}, voters()); diff != "" {
			t.Fatalf("votes before (-want +got):\n%s", diff)
		}
		for _, person := range []string{"idp|1", " cy"} {
			if got, err := e.Disown(t.Context(), person, "left the company", lead); err != nil || !slices.Equal(got, []rollout.ID{id}) {
				t.Errorf("Disown(%q) = %v, %v", person, got, err)
			}
		}
		if got := voters(); len(got) != 0 {
			t.Errorf("votes after: %v", got)
		}
		if got, err := e.Disown(t.Context(), "idp|1", "left", lead); len(got) != 0 || err != nil {
			t.Errorf("repeated: %v, %v", got, err)
		}
		approve(sre("di", ""))
		time.Sleep(time.Minute)
		if st := status(t, e, id); st.Phase != strategies.Approving || !strings.Contains(st.Waiting, "1 of 3") {
			t.Errorf("%v, waiting %q", st.Phase, st.Waiting)
		}
		approve(sre("eve", ""))
		approve(sre("fay", ""))
		var taken []string
		events := finish(t, e, id)
		for _, ev := range events {
			if ev.Kind == rollout.Disowned {
				taken = append(taken, ev.By.Name+": "+ev.Reason)
			}
		}
		want := []string{"lea: vote of ben taken back: left the company", "lea: vote of Cy taken back: left the company"}
		if diff := cmp.Diff(want, taken); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if _, err := rollout.Replay(events, status(t, e, id).Plan); err != nil {
			t.Errorf("replay: %v", err)
		}
	})
}

// TestDisownIsStored: a restart does not bring a vote back that was taken back, and a
// store that refuses the commit changes nothing.
func TestDisownIsStored(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		healthy(t, tgt)
		e := open(t, cfg)
		id := approving(t, e, strategies.Approval{Need: 2})
		ben := rollout.Actor{Name: "ben"}
		if err := e.Do(t.Context(), id, strategies.Approve, ben); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got, err := e.Disown(ctx, "ben", "left", ben); len(got) != 0 && err != nil || len(status(t, e, id).Votes) != 1-len(got) {
			t.Errorf("with a context that has ended: %v, %v, votes %v", got, err, status(t, e, id).Votes)
		}
		if _, err := e.Disown(t.Context(), "ben", "left", ben); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Disown(t.Context(), "ben", "left", ben); err == nil {
			t.Error("a closed engine accepted it")
		}
		e = open(t, cfg)
		if st := status(t, e, id); len(st.Votes) != 0 || st.Phase != strategies.Approving {
			t.Errorf("after a restart: %v, votes %v", st.Phase, st.Votes)
		}
	})
}

// TestDisownOnEveryReplica: each process that shares the store can take a vote back, the
// ones included that do not lead and have not read the vote yet.
func TestDisownOnEveryReplica(t *testing.T) {
	run(t, func(t *testing.T, _ *target, cfg rollout.Config) {
		store := new(memstore.Store)
		var engines []*rollout.Engine
		for i := range 2 {
			x := new(target)
			healthy(t, x)
			c := cfg
			c.Store, c.Replica, c.Targets = store, fmt.Sprint("replica-", i), map[string]rollout.Splitter{"chat": x}
			engines = append(engines, open(t, c))
		}
		id := approving(t, engines[0], strategies.Approval{Need: 2})
		for i, e := range engines {
			if err := engines[1-i].Do(t.Context(), id, strategies.Approve, rollout.Actor{Name: "ben"}); err != nil {
				t.Fatal(err)
			}
			if got, err := e.Disown(t.Context(), "ben", "left", rollout.Actor{Name: "lea"}); err != nil || len(got) != 1 {
				t.Errorf("replica %d: %v, %v", i, got, err)
			}
		}
		time.Sleep(5 * time.Second)
		for i, e := range engines {
			if st := status(t, e, id); len(st.Votes) != 0 || st.Phase != strategies.Approving {
				t.Errorf("replica %d: %v, votes %v", i, st.Phase, st.Votes)
			}
		}
	})
}

// TestVotesAreOfOneGate: an approval opens the stage that it was given for, and no other,
// also after a restart.
func TestVotesAreOfOneGate(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		e := open(t, cfg)
		go tgt.serve(t.Context(), 100*time.Millisecond)
		p := briskly("1.4.0", "1.5.0")
		stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
		if err != nil {
			t.Fatal(err)
		}
		for i := range stages {
			stages[i].Approve = &strategies.Approval{}
		}
		p.Stages = stages
		id := begin(t, e, p)
		for i := range stages {
			time.Sleep(time.Minute)
			e.Close()
			e = open(t, cfg)
			time.Sleep(10 * time.Second)
			if st := status(t, e, id); st.Phase != strategies.Approving || st.Stage != i || len(st.Votes) > 0 {
				t.Fatalf("%v of stage %d with %d votes, want approving %d", st.Phase, st.Stage, len(st.Votes), i)
			}
			if err := e.Do(t.Context(), id, strategies.Approve, ana); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if st := status(t, e, id); st.Split.Weight("1.5.0") != strategies.Full {
			t.Errorf("the candidate has %v", st.Split.Weight("1.5.0"))
		}
	})
}

// TestApprovalThatCannotBeGiven: a plan that asks for a role that no person can have is
// refused, with the stage and the role.
func TestApprovalThatCannotBeGiven(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		cfg.Roles = []string{"sre", "privacy"}
		e := open(t, cfg)
		for _, c := range []struct {
			approval strategies.Approval
			field    string // "" if it can be given
		}{
			{strategies.Approval{}, ""},
			{strategies.Approval{Roles: []string{"sre"}, Rules: []strategies.ApprovalRule{{Roles: []string{"privacy"}}}}, ""},
			{strategies.Approval{Roles: []string{"SRE"}}, "Plan.Stages[1].Approve"},
			{strategies.Approval{Rules: []strategies.ApprovalRule{{Roles: []string{"sre"}}, {Roles: []string{"privcy", "legal"}}}}, "Plan.Stages[1].Approve"},
		} {
			p := briskly("1.4.0", "1.5.0")
			stages, err := p.Strategy.Stages("1.4.0", "1.5.0")
			if err != nil {
				t.Fatal(err)
			}
			stages[1].Approve = &c.approval
			p.Stages = stages
			id, err := e.Start(t.Context(), p, ana)
			if err == nil {
				err = e.Do(t.Context(), id, strategies.Abort, ana)
			} else if c.field != "" && slices.Equal(invalidFields(err), []string{c.field}) {
				continue
			}
			if err != nil || c.field != "" {
				t.Errorf("%+v: %v, want an error about %q", c.approval, err, c.field)
			}
		}
	})
}
