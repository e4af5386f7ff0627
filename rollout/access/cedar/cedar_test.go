package cedar_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/access/cedar"
)

func parse(t *testing.T, text string) *cedar.Policy {
	t.Helper()
	p, err := cedar.Parse("policy.cedar", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const rules = `@id("operators")
permit (principal in Role::"sre", action, resource);

permit (principal in Role::"developer", action in [Action::"start", Action::"read"], resource)
when { resource.name like "chat-*" };

@id("recent factor")
forbid (principal, action == Action::"promote-fully", resource)
unless { context has provedSecondsAgo && context.provedSecondsAgo < 300 };

@id("never from a pipeline")
forbid (principal, action == Action::"kill", resource) when { context.via == "api" };

permit (principal == User::"ci", action == Action::"read", resource);
`

func TestAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := parse(t, rules)
		time.Sleep(time.Hour)
		now := time.Now()
		sre := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
		dev := rollout.Actor{Name: "ben", Roles: []string{"developer"}}
		proved := func(ago time.Duration) rollout.Actor { a := sre; a.Proved = now.Add(-ago); return a }
		via := sre
		via.Via = "api"
		for _, tt := range []struct {
			name   string
			by     rollout.Actor
			what   rollout.Action
			target string
			want   bool
		}{
			{"a role", sre, "abort", "chat", true},
			{"no target", sre, "read-audit", "", true},
			{"a pattern that matches", dev, "start", "chat-eu", true},
			{"a pattern that does not", dev, "start", "chat", false},
			{"another action", dev, "abort", "chat-eu", false},
			{"a proof within the time", proved(299 * time.Second), "promote-fully", "chat", true},
			{"the old spelling", proved(299 * time.Second), "promote fully", "chat", true},
			{"a proof at the end of the time", proved(300 * time.Second), "promote-fully", "chat", false},
			{"a proof in the future", proved(-time.Second), "promote-fully", "chat", false},
			{"no proof", sre, "promote-fully", "chat", false},
			{"where it comes from", via, "kill", "chat", false},
			{"from elsewhere", sre, "kill", "chat", true},
			{"an unknown action", sre, "shutdown", "chat", false},
			{"no action", sre, "", "chat", false},
			{"every action", sre, "*", "chat", false},
			{"a role of another case", rollout.Actor{Name: "ana", Roles: []string{"SRE"}}, "abort", "chat", false},
			{"no role", rollout.Actor{Name: "ana"}, "read", "chat", false},
			{"a person by name", rollout.Actor{Name: " CI "}, "read", "chat", true},
			{"the name of another subject", rollout.Actor{Name: "ci", Subject: "mallory"}, "read", "chat", false},
			{"a subject", rollout.Actor{Name: "x", Subject: "ci"}, "read", "chat", true},
			{"a role like a policy", rollout.Actor{Name: "x", Roles: []string{`sre"`, `Role::"sre"`}}, "read", "chat", false},
		} {
			if err := p.Authorize(t.Context(), tt.by, tt.what, tt.target); (err == nil) != tt.want {
				t.Errorf("%s: %v, want allowed %v", tt.name, err, tt.want)
			}
			if text := p.Explain(tt.by, tt.what, tt.target); strings.Contains(text, "may not") == tt.want {
				t.Errorf("%s: %s", tt.name, text)
			}
		}
		for text, got := range map[string]string{
			"ana may abort on \"chat\": permitted by operators":                         p.Explain(sre, "abort", "chat"),
			"ana may not promote-fully on \"chat\": a policy forbids it: recent factor": p.Explain(sre, "promote-fully", "chat"),
			"ben may start on \"chat-eu\": permitted by policy.cedar:4":                 p.Explain(dev, "start", "chat-eu"),
			"ben may not start on \"chat\": no policy permits it":                       p.Explain(dev, "start", "chat"),
			"ana may not kill on \"chat\": a policy forbids it: never from a pipeline":  p.Explain(via, "kill", "chat"),
			"ana may not shutdown on \"chat\": it is not a known action":                p.Explain(sre, "shutdown", "chat"),
		} {
			if got != text {
				t.Errorf("got  %s\nwant %s", got, text)
			}
		}
	})
}

// TestNothing: a policy without rules denies everything.
func TestNothing(t *testing.T) {
	for name, p := range map[string]*cedar.Policy{"nil": nil, "zero": {}, "empty": parse(t, ""), "a comment": parse(t, "// nothing\n")} {
		for _, a := range access.Actions() {
			if err := p.Authorize(t.Context(), rollout.Actor{Name: "ana", Roles: []string{"sre"}}, a, "chat"); err == nil {
				t.Errorf("%s allows %s", name, a)
			}
		}
	}
}

// TestEvaluationThatFails: Cedar skips a policy that cannot be evaluated, also one that
// forbids.
func TestEvaluationThatFails(t *testing.T) {
	p := parse(t, `permit (principal, action, resource);
forbid (principal, action, resource) when { context has provedSecondsAgo && context.provedSecondsAgo * 9223372036854775807 > 0 };`)
	by := rollout.Actor{Name: "ana", Proved: time.Now().Add(-time.Hour)}
	if err := p.Authorize(t.Context(), by, "abort", "chat"); err == nil {
		t.Error("a policy that forbids and overflows is passed over")
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"an action that does not exist":             `permit (principal, action == Action::"shutdown", resource);`,
		"an action among others":                    `permit (principal, action in [Action::"start", Action::"shutdown"], resource);`,
		"a type that does not exist":                `permit (principal in Group::"sre", action, resource);`,
		"an attribute that does not exist":          `permit (principal, action, resource) when { resource.owner == "ana" };`,
		"a part of the context that may be missing": `forbid (principal, action, resource) when { context.provedSecondsAgo > 300 };`,
		"a misspelt part of the context":            `forbid (principal, action, resource) when { context has provedSecondAgo };`,
		"has on a choice":                           `forbid (principal, action, resource) when { (if true then context else context) has foo };`,
		"has on a record":                           `forbid (principal, action, resource) when { {"a": context}.a has foo };`,
		"has on a literal":                          `forbid (principal, action, resource) when { User::"x" has email };`,
		"has on an action":                          `forbid (principal, action, resource) when { action has foo };`,
		"a condition of many parts":                 "permit (principal, action, resource) when { " + strings.Repeat("true && ", 20_000) + "true };",
		"a number for text":                         `permit (principal, action, resource) when { resource.name == 7 };`,
		"a user in the place of a role":             `permit (principal, action, resource in User::"ana");`,
		"half a policy":                             `permit (principal, action, resource`,
		"no semicolon":                              `permit (principal, action, resource)`,
		"another language":                          `p, sre, *, *`,
		"JSON":                                      `{"effect":"permit"}`,
		"a template":                                `permit (principal == ?principal, action, resource);`,
		"bytes that are no text":                    "permit (principal, action, resource) when { resource.name == \"\xff\" };",
		"a NUL byte":                                "permit (principal, action, resource);\x00",
		"conditions that never end":                 "permit (principal, action, resource) when { " + strings.Repeat("if ", 80_000),
		"two megabytes":                             strings.Repeat("//\n", 700_000),
		"brackets that are never closed":            "permit (principal, action, resource) when { " + strings.Repeat("(", 200_000),
	} {
		p, err := cedar.Parse("policy.cedar", []byte(text))
		if err == nil || p != nil {
			t.Errorf("%s is accepted", name)
		}
	}
	var invalid *checks.InvalidError
	if _, err := cedar.Parse("policy.cedar", make([]byte, 256<<10+1)); !errors.As(err, &invalid) || invalid.Field != "policy.cedar" {
		t.Error(err)
	}
	_, err := cedar.Parse("policy.cedar", []byte("permit (principal, action == Action::\"a\", resource);\n\npermit (principal, action == Action::\"b\", resource);"))
	if err == nil || !strings.Contains(err.Error(), "policy.cedar:1:") || !strings.Contains(err.Error(), "policy.cedar:3:") {
		t.Errorf("each mistake has its line: %v", err)
	}
}

// TestSameAsTable: policies that say what a table of grants says decide as it does.
func TestSameAsTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	roles, targets := []string{"sre", "developer", "privacy"}, []string{"chat", "chat-", "chat-eu", "chat-eu-1", "search", ""}
	for range 300 {
		var grants []access.Grant
		var text strings.Builder
		for range 1 + rng.IntN(5) {
			g := access.Grant{Role: pick(roles), Actions: []rollout.Action{access.Actions()[rng.IntN(25)]}, Targets: []string{pick([]string{"*", "chat", "chat-*", "chat-eu-*", "search"})}, Deny: rng.IntN(3) == 0}
			grants = append(grants, g)
			effect := "permit"
			if g.Deny {
				effect = "forbid"
			}
			fmt.Fprintf(&text, "%s (principal in Role::%q, action == Action::%q, resource) when { resource.name like %q", effect, g.Role, g.Actions[0], g.Targets[0])
			if stem, prefix := strings.CutSuffix(g.Targets[0], "-*"); prefix {
				fmt.Fprintf(&text, " && resource.name != %q", stem+"-")
			}
			text.WriteString(" };\n")
		}
		table, err := access.NewPolicy(grants...)
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, text.String())
		for _, g := range grants {
			for _, target := range targets {
				by := rollout.Actor{Name: "ana", Roles: slices.Compact([]string{pick(roles), pick(roles)})}
				want := table.Authorize(t.Context(), by, g.Actions[0], target)
				if got := p.Authorize(t.Context(), by, g.Actions[0], target); (got == nil) != (want == nil) {
					t.Fatalf("%v %s on %q: %v, the table says %v\n%s", by.Roles, g.Actions[0], target, got, want, &text)
				}
			}
		}
	}
}

// FuzzParse: no text panics, and a text that is accepted decides the same twice.
func FuzzParse(f *testing.F) {
	f.Add([]byte(rules))
	f.Add([]byte(`permit (principal, action, resource) when { ip("127.0.0.1").isLoopback() };`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := cedar.Parse("policy.cedar", text)
		if err != nil {
			return
		}
		by := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
		one, two := p.Authorize(t.Context(), by, "abort", "chat"), p.Authorize(t.Context(), by, "abort", "chat")
		if (one == nil) != (two == nil) {
			t.Errorf("%v, then %v", one, two)
		}
	})
}
