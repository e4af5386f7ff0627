package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/rollout"
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
			if st := status(t, e, id); st.Phase != strategies.Approving || !strings.Contains(st.Waiting, c.needs) || !strings.Contains(st.Waiting, "still needed: 1 of ") {
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
				e := open(t, cfg)
				go tgt.serve(t.Context(), 20*time.Millisecond)
				serving(t, e, briskly("1.4.0", "1.5.0"))
				p := briskly("1.5.0", "1.4.0")
				stages, err := p.Strategy.Stages("1.5.0", "1.4.0")
				if err != nil {
					t.Fatal(err)
				}
				stages[0].Approve, stages[1].Approve = &c.first, &c.second
				p.Stages, p.ReturnWindow = stages, time.Hour
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
