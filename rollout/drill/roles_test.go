package drill_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checkstest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var teamGrants = []access.Grant{
	{Role: "developer", Actions: []rollout.Action{"start"}, Targets: []string{"chat"}},
	{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
	{Role: "sre", Actions: []rollout.Action{"supersede"}, Targets: []string{"*"}, Deny: true},
	{Role: "operator", Actions: []rollout.Action{"abort", "pause"}, Targets: []string{"chat"}},
}

// declared are the decisions of the team for the commands of an engine.
func declared(t *testing.T) []access.Cell {
	p, err := access.NewPolicy(teamGrants...)
	if err != nil {
		t.Fatal(err)
	}
	return p.Matrix([]string{"developer", "sre", "operator", "guest"}, []rollout.Action{"start", "abort", "pause", "promote", "supersede"}, []string{"chat", "search"})
}

// refused says whether an engine has refused an action, and whether that can be known.
func refused(err error, what rollout.Action, target string) (bool, error) {
	var forbidden *rollout.ForbiddenError
	if errors.As(err, &forbidden) {
		if forbidden.Action != what || forbidden.Target != target {
			return false, err // for lack of another right
		}
		return true, nil
	}
	var (
		busy  *rollout.BusyError
		state *rollout.RefusedError
	)
	if err == nil || errors.As(err, &busy) || errors.As(err, &state) || errors.Is(err, rollout.ErrNotFound) {
		return false, nil
	}
	return false, err
}

// guarded returns a Call on a real engine with an authorizer.
func guarded(t *testing.T, authorize rollout.Authorizer) func(context.Context, rollout.Actor, rollout.Action, string) (bool, error) {
	t.Helper()
	e, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Authorize: authorize,
		Targets: map[string]rollout.Splitter{"chat": nowhere{}, "search": nowhere{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	plan := func(target string, supersede bool) rollout.Plan {
		return rollout.Plan{Target: target, Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
			Strategy: strategies.Canary{DangerouslyPromoteUnproven: true}, Supersede: supersede}
	}
	commands := map[rollout.Action]strategies.Command{"abort": strategies.Abort, "pause": strategies.Pause, "promote": strategies.Promote}
	return func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) (bool, error) {
		if what == "start" || what == "supersede" {
			_, err := e.Start(ctx, plan(target, what == "supersede"), by)
			return refused(err, what, target)
		}
		return refused(e.Do(ctx, rollout.ID(target+"/1"), commands[what], by), what, target)
	}
}

type nowhere struct{}

func (nowhere) SetSplit(context.Context, strategies.Split) error { return nil }

// TestRoles: an engine with the declared policy passes, and one with a role that is too
// wide, or too narrow, or without a guard, fails and is named.
func TestRoles(t *testing.T) {
	authorize := func(change func([]access.Grant) []access.Grant) rollout.Authorizer {
		p, err := access.NewPolicy(change(append([]access.Grant{}, teamGrants...))...)
		if err != nil {
			t.Fatal(err)
		}
		return p.Authorize
	}
	for name, c := range map[string]struct {
		authorize rollout.Authorizer
		status    checks.Status
		text      string
	}{
		"as declared": {authorize(func(g []access.Grant) []access.Grant { return g }), checks.Pass, "40 of 40"},
		"too wide": {authorize(func(g []access.Grant) []access.Grant {
			return append(g, access.Grant{Role: "guest", Actions: []rollout.Action{"abort"}, Targets: []string{"*"}})
		}), checks.Fail, "guest abort"},
		"no guard":   {nil, checks.Fail, "is not refused"},
		"too narrow": {authorize(func(g []access.Grant) []access.Grant { return g[:3] }), checks.Fail, "operator abort chat is refused"},
	} {
		// A start for lack of another right is not what the matrix is about.
		var cells []access.Cell
		for _, cell := range declared(t) {
			if cell.Action != "supersede" {
				cells = append(cells, cell)
			}
		}
		res := drill.Roles(drill.RolesOptions{Declared: cells, Call: guarded(t, c.authorize)}).Check(t.Context())
		if c.text == "40 of 40" {
			c.text = fmt.Sprintf("%d of %d", len(cells), len(cells))
		}
		if res.Status != c.status || !strings.Contains(res.Summary, c.text) {
			t.Errorf("%s: %v %s %v, want %v with %q", name, res.Status, res.Summary, res.Err, c.status, c.text)
		}
	}
}

func TestRolesUnknown(t *testing.T) {
	cells := []access.Cell{{Role: "a", Action: "start", Allowed: true}, {Role: "b", Action: "start"}}
	for name, c := range map[string]func(context.Context, rollout.Actor, rollout.Action, string) (bool, error){
		"panic": func(context.Context, rollout.Actor, rollout.Action, string) (bool, error) { panic("x") },
		"error": func(context.Context, rollout.Actor, rollout.Action, string) (bool, error) {
			return false, errors.New("connection refused")
		},
		"slow": func(ctx context.Context, _ rollout.Actor, _ rollout.Action, _ string) (bool, error) {
			<-ctx.Done()
			return true, ctx.Err()
		},
	} {
		res := drill.Roles(drill.RolesOptions{Declared: cells, Call: c, Timeout: time.Millisecond}).Check(t.Context())
		if res.Status != checks.Unknown || res.Err == nil {
			t.Errorf("%s: %+v", name, res)
		}
	}
	for name, c := range map[string]struct {
		o    drill.RolesOptions
		want string
	}{
		"nothing":     {drill.RolesOptions{}, "RolesOptions.Declared RolesOptions.Call"},
		"one kind":    {drill.RolesOptions{Declared: cells[:1], Call: deny}, "RolesOptions.Declared"},
		"twice":       {drill.RolesOptions{Declared: append(cells, access.Cell{Role: "b", Action: "start", Allowed: true}), Call: deny}, "RolesOptions.Declared[2]"},
		"no action":   {drill.RolesOptions{Declared: append(cells, access.Cell{Role: "b", Action: "abrot"}), Call: deny}, "RolesOptions.Declared[2]"},
		"no role":     {drill.RolesOptions{Declared: append(cells, access.Cell{Action: "start"}), Call: deny}, "RolesOptions.Declared[2]"},
		"long limits": {drill.RolesOptions{Declared: cells, Call: deny, Timeout: -1}, "RolesOptions.Timeout"},
	} {
		var fields []string
		for e := range checks.Invalid(drill.Roles(c.o).Check(t.Context()).Err) {
			fields = append(fields, e.Field)
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func deny(_ context.Context, by rollout.Actor, _ rollout.Action, _ string) (bool, error) {
	return by.Roles[0] != "a", nil
}

func TestRolesConformance(t *testing.T) {
	cells := []access.Cell{{Role: "a", Action: "start", Allowed: true}, {Role: "b", Action: "start"}}
	checkstest.Exercise(t, func(*testing.T) checks.Check { return drill.Roles(drill.RolesOptions{Declared: cells, Call: deny}) })
}

// Each role calls each guarded command, and the decisions are compared with the declared
// ones.
func ExampleRoles() {
	policy, err := access.NewPolicy(access.Grant{Role: "sre", Actions: []rollout.Action{"abort"}, Targets: []string{"*"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	check := drill.Roles(drill.RolesOptions{
		Declared: []access.Cell{{Role: "sre", Action: "abort", Target: "chat", Allowed: true}, {Role: "guest", Action: "abort", Target: "chat"}},
		Call: func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) (bool, error) {
			return policy.Authorize(ctx, by, what, target) != nil, nil // a service calls its API
		},
	})
	fmt.Println(check.Check(context.Background()).Summary)
	// Output: 2 of 2 combinations as declared
}
