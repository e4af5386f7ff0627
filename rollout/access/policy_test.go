package access_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

var update = flag.Bool("update", false, "write the golden files")

// grants are the rights of a team: six roles.
var grants = []access.Grant{
	{Role: "developer", Actions: []rollout.Action{"start", "read", "attest"}, Targets: []string{"chat"}},
	{Role: "tester", Actions: []rollout.Action{"start", "abort", "read"}, Targets: []string{"chat-*"}},
	{Role: "sre", Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
	{Role: "sre", Actions: []rollout.Action{"erase", "waive"}, Targets: []string{"*"}, Deny: true},
	{Role: "privacy", Actions: []rollout.Action{"approve", "reject", "abort", "waive", "erase"}, Targets: []string{"*"}},
	{Role: "auditor", Actions: []rollout.Action{"read", "read-audit", "export", "review"}, Targets: []string{"*"}},
	{Role: "operator", Actions: []rollout.Action{"pause", "abort", "ramp-down", "promote fully"}, Targets: []string{"chat", "search"}},
	{Role: "operator", Actions: []rollout.Action{"promote-fully"}, Targets: []string{"search"}, Deny: true},
}

func policy(t testing.TB, g ...access.Grant) *access.Policy {
	t.Helper()
	p, err := access.NewPolicy(g...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func actor(roles ...string) rollout.Actor { return rollout.Actor{Name: "ana", Roles: roles} }

// TestMatrix: six roles, all actions, three targets, as a golden file.
func TestMatrix(t *testing.T) {
	roles, targets := []string{"developer", "tester", "sre", "privacy", "auditor", "operator"}, []string{"chat", "chat-eu", "search"}
	cells := policy(t, grants...).Matrix(roles, access.Actions(), targets)
	var text strings.Builder
	for _, a := range access.Actions() {
		fmt.Fprintf(&text, "%-14s", a)
		for _, r := range roles {
			text.WriteString(" ")
			for _, target := range targets {
				i := slices.IndexFunc(cells, func(c access.Cell) bool { return c.Role == r && c.Action == a && c.Target == target })
				text.WriteString(map[bool]string{true: "x", false: "."}[cells[i].Allowed])
			}
		}
		text.WriteString("\n")
	}
	const file = "testdata/matrix.txt"
	if *update {
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the matrix has changed:\n%s", text.String())
	}
}

func TestAuthorize(t *testing.T) {
	p := policy(t, grants...)
	for name, c := range map[string]struct {
		roles  []string
		action rollout.Action
		target string
		want   bool
	}{
		"allowed":                {[]string{"developer"}, "start", "chat", true},
		"another target":         {[]string{"developer"}, "start", "search", false},
		"another action":         {[]string{"developer"}, "abort", "chat", false},
		"no role":                {nil, "read", "chat", false},
		"unknown role":           {[]string{"admin"}, "read", "chat", false},
		"role in other case":     {[]string{"Developer"}, "start", "chat", false},
		"unknown action":         {[]string{"sre"}, "shutdown", "chat", false},
		"with a blank":           {[]string{"operator"}, "promote fully", "chat", true},
		"no action":              {[]string{"sre"}, "", "chat", false},
		"the star is no action":  {[]string{"sre"}, "*", "chat", false},
		"action in other case":   {[]string{"sre"}, "Start", "chat", false},
		"pattern":                {[]string{"tester"}, "start", "chat-eu", true},
		"pattern, deeper":        {[]string{"tester"}, "start", "chat-eu-1", true},
		"pattern, not its stem":  {[]string{"tester"}, "start", "chat", false},
		"pattern, nothing after": {[]string{"tester"}, "start", "chat-", false},
		"pattern, longer stem":   {[]string{"tester"}, "start", "chatter-eu", false},
		"deny wins":              {[]string{"sre"}, "waive", "chat", false},
		"deny wins over another": {[]string{"privacy", "sre"}, "waive", "chat", false},
		"in the other order":     {[]string{"sre", "privacy"}, "waive", "chat", false},
		"without the denying":    {[]string{"privacy"}, "waive", "chat", true},
		"denied on one target":   {[]string{"operator"}, "promote-fully", "search", false},
		"and not on the other":   {[]string{"operator"}, "promote-fully", "chat", true},
		"no target":              {[]string{"auditor"}, "export", "", true},
		"no target, one named":   {[]string{"developer"}, "read", "", false},
	} {
		err := p.Authorize(t.Context(), actor(c.roles...), c.action, c.target)
		if (err == nil) != c.want {
			t.Errorf("%s: %v, want allowed %v", name, err, c.want)
		}
		if text := p.Explain(actor(c.roles...), c.action, c.target); strings.Contains(text, " may not ") == c.want {
			t.Errorf("%s: %s", name, text)
		}
	}
	for name, p := range map[string]*access.Policy{"nil": nil, "zero": {}, "empty": policy(t)} {
		for _, a := range access.Actions() {
			if p.Authorize(t.Context(), actor("sre"), a, "chat") == nil {
				t.Errorf("the %s policy allows %s", name, a)
			}
		}
	}
	if got := p.Explain(actor("privacy", "sre"), "waive", "chat"); got != "ana may not waive on target chat: denied by role sre on *" {
		t.Error(got)
	}
	if got := p.Explain(actor("tester"), "start", "chat-eu"); got != "ana may start on target chat-eu: allowed by role tester on chat-*" {
		t.Error(got)
	}
}

// TestActionsAreKnown: a grant can name every action that an engine or a ledger asks about.
func TestActionsAreKnown(t *testing.T) {
	all := []rollout.Action{rollout.ActionStart, rollout.ActionRetry, rollout.ActionSupersede, rollout.ActionDisown, rollout.ActionConfigure,
		ledger.ActionAttest, ledger.ActionWaive, ledger.ActionWithdraw, ledger.ActionReview, ledger.ActionNote}
	for c := strategies.Pause; c <= strategies.RampDown; c++ {
		all = append(all, rollout.Action(c.String()))
	}
	for _, a := range all {
		if !slices.Contains(access.Actions(), a) {
			t.Errorf("a grant cannot name %q", a)
		}
	}
}

func TestBadGrants(t *testing.T) {
	_, err := access.NewPolicy(access.Grant{}, access.Grant{Role: " sre", Actions: []rollout.Action{"start", "delete", "Start"}, Targets: []string{"*-x", "a*", "**", "", "-*", "x-*"}},
		access.Grant{Role: strings.Repeat("x", 200), Actions: []rollout.Action{"*"}, Targets: []string{"*"}},
		access.Grant{Role: "e\u0301", Actions: []rollout.Action{"*"}, Targets: []string{"Prod-*", "prod eu"}, Deny: true})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	want := "grants[0].Role grants[0].Actions grants[0].Targets grants[1].Role grants[1].Actions[1] grants[1].Actions[2] " +
		"grants[1].Targets[0] grants[1].Targets[1] grants[1].Targets[2] grants[1].Targets[3] grants[1].Targets[4] grants[2].Role grants[3].Role grants[3].Targets[0] grants[3].Targets[1]"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestPolicyIsImmutable: what a caller keeps of a grant does not change the policy.
func TestPolicyIsImmutable(t *testing.T) {
	g := access.Grant{Role: "r", Actions: []rollout.Action{"read"}, Targets: []string{"a"}}
	p := policy(t, g)
	g.Actions[0], g.Targets[0] = "start", "b"
	if p.Authorize(t.Context(), actor("r"), "read", "a") != nil || p.Authorize(t.Context(), actor("r"), "start", "b") == nil {
		t.Error("the policy has changed")
	}
	access.Actions()[0] = "nothing"
	if access.Actions()[0] == "nothing" {
		t.Error("the actions have changed")
	}
}

// TestLive: a policy that cannot be read is an error at the start. Later the last good one
// stays, and a series of failures is reported once.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var grants []access.Grant
		var failure error
		var reported []bool
		set := func(g []access.Grant, err error) {
			mu.Lock()
			defer mu.Unlock()
			grants, failure = g, err
		}
		cfg := access.LiveConfig{Every: time.Minute,
			Changed: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				reported = append(reported, err == nil)
			},
			Read: func(context.Context) ([]access.Grant, error) {
				mu.Lock()
				defer mu.Unlock()
				if failure == nil && grants == nil {
					panic("no file")
				}
				return grants, failure
			}}
		for _, bad := range []error{errors.New("disk"), nil} {
			set(nil, bad)
			if _, err := access.NewLive(t.Context(), cfg); err == nil {
				t.Fatal("a policy that cannot be read is loaded")
			}
		}
		good := []access.Grant{{Role: "r", Actions: []rollout.Action{"read"}, Targets: []string{"*"}}}
		set(good, nil)
		l, err := access.NewLive(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		may := func(want bool) {
			t.Helper()
			synctest.Wait()
			if err := l.Authorize(ctx, actor("r"), "read", "chat"); (err == nil) != want {
				t.Errorf("%v, want allowed %v", err, want)
			}
		}
		may(true)
		set(good, errors.New("disk"))
		time.Sleep(5 * time.Minute)
		may(true)
		set([]access.Grant{{Role: "r", Actions: []rollout.Action{"rule"}, Targets: []string{"*"}}}, nil) // not valid
		time.Sleep(5 * time.Minute)
		may(true)
		set([]access.Grant{}, nil)
		time.Sleep(2 * time.Minute)
		may(false) // it is read, and empty
		mu.Lock()
		if !slices.Equal(reported, []bool{false, true}) {
			t.Errorf("reported %v, want one failure and its end", reported)
		}
		mu.Unlock()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	_, err := access.NewLive(t.Context(), access.LiveConfig{Every: -1})
	var fields []string
	for e := range checks.Invalid(err) {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "LiveConfig.Read LiveConfig.Every" {
		t.Error(got)
	}
}

// TestEngineAsks: the policy decides for an engine, and its reason reaches the caller.
func TestEngineAsks(t *testing.T) {
	p := policy(t, grants...)
	e, err := rollout.Open(t.Context(), rollout.Config{Store: new(memstore.Store), Authorize: p.Authorize,
		Targets: map[string]rollout.Splitter{"chat": nothing{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	plan := rollout.Plan{Target: "chat", Baseline: versioning.Release{Version: versioning.MustParse("1.4.0")}, Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
		Strategy: strategies.Canary{DangerouslyPromoteUnproven: true}}
	var forbidden *rollout.ForbiddenError
	if _, err := e.Start(t.Context(), plan, actor("auditor")); !errors.As(err, &forbidden) || forbidden.Reason == "" {
		t.Errorf("%v, want a ForbiddenError with a reason", err)
	}
	id, err := e.Start(t.Context(), plan, actor("developer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Do(t.Context(), id, strategies.Abort, actor("developer")); !errors.As(err, &forbidden) {
		t.Errorf("%v, want a ForbiddenError", err)
	}
	if err := e.Do(t.Context(), id, strategies.Abort, actor("operator")); err != nil {
		t.Error(err)
	}
}

type nothing struct{}

func (nothing) SetSplit(context.Context, strategies.Split) error { return nil }

// BenchmarkAuthorize: the rights of an actor with three roles, in policies of 10 to 10,000
// grants.
func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		var all []access.Grant
		for i := range n {
			all = append(all, access.Grant{Role: fmt.Sprintf("role-%d", i%1000), Actions: []rollout.Action{"start", "promote", "abort"}, Targets: []string{fmt.Sprintf("target-%d", i), "chat-*"}})
		}
		all = append(all, access.Grant{Role: "role-1", Actions: []rollout.Action{"promote"}, Targets: []string{"chat-eu"}, Deny: true})
		p := policy(b, all...)
		by := actor("role-0", "role-1", "role-2")
		for _, c := range []struct {
			name   string
			action rollout.Action
			target string
			want   bool
		}{{"allow", "start", "chat-eu", true}, {"deny", "promote", "chat-eu", false}, {"none", "erase", "chat-eu", false}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := p.Authorize(b.Context(), by, c.action, c.target); (err == nil) != c.want {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
