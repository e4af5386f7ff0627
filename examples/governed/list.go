package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checklist/packs"
	"github.com/serin-go/serin/checks/people"
	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/strategies"
)

const day = 24 * time.Hour

// item is an item that a check verifies, and vouched one that people vouch for.
func item(id, owner string, c checks.Check, valid time.Duration, controls ...string) checklist.Item {
	return checklist.Item{ID: id, Owner: owner, Check: c, Valid: valid, Controls: controls}
}

func vouched(id, owner string, a checklist.Attest, controls ...string) checklist.Item {
	return checklist.Item{ID: id, Owner: owner, Attest: &a, Controls: controls}
}

// deployment is the checklist of a release of a language model: 34 items.
func deployment(tw *twin, led *ledger.Ledger) (*checklist.List, error) {
	candidate := probe.Endpoint{URL: tw.models["1.5.0"].url, Model: "chat"}
	anyone, privacy := checklist.Attest{}, checklist.Attest{Rules: checklist.By("privacy"), Others: true}
	should := func(i checklist.Item) checklist.Item { i.Level = checklist.Should; return i }
	firm := func(i checklist.Item) checklist.Item { i.Firm = true; return i }
	standing := func(i checklist.Item) checklist.Item { i.Scope = checklist.OfOrganisation; return i }

	security := checklist.Section{Name: "security", Items: []checklist.Item{
		item("data-protection", "eve", drill.Planted(tw.vault.planted()), 7*day, "gdpr:25", "gdpr:32"),
		item("access-control", "eve", drill.Roles(drill.RolesOptions{Declared: declared, Call: tw.command}), 7*day, "soc2:CC6.1", "gdpr:32", "house:3"),
		firm(item("encryption", "eve", checks.All(
			checks.Named("at rest", checks.Cached(time.Hour, drill.Encrypted(tw.vault.atRest()))),
			checks.Named("in transit", probe.TLS(probe.TLSOptions{Addr: tw.edge.addr, Name: "localhost", Min: tls.VersionTLS12, Roots: tw.edge.roots}))), 0, "gdpr:32", "soc2:CC6.7", "house:1")),
		vouched("compliance", "pia", checklist.Attest{Rules: checklist.By("privacy"), Others: true, Proof: true}, "gdpr:35", "house:2"),
	}}
	rules, err := checklist.New("rules", security)
	if err != nil {
		return nil, err
	}

	return checklist.New("deployment",
		checklist.Section{Name: "infrastructure", Items: []checklist.Item{
			item("autoscaling", "ana", drill.Autoscaler(drill.AutoscalerOptions{
				Send: tw.scaled.send, Desired: tw.scaled.want, Rate: 100, Within: 4 * time.Second, LoadFor: 5 * time.Second, Down: 20 * time.Second, Every: 100 * time.Millisecond}), 7*day),
			item("load-balancers", "ana", checks.All(
				checks.Named("weights", drill.Balance(drill.BalanceOptions{Send: tw.assign, Weights: map[string]int{"1.4.0": 3, "1.5.0": 1}})),
				checks.Named("dead replica", drill.DeadReplica(drill.DeadReplicaOptions{
					Server: "r1", Stop: tw.pool.stop, Start: tw.pool.start, Send: tw.pool.send, Within: 2 * time.Second}))), 7*day),
			item("caching", "ana", drill.CacheLeaks(drill.CacheLeaksOptions{Front: tw.front, Forget: tw.forget, TTL: time.Second}), 7*day),
		}},
		security,
		checklist.Section{Name: "testing", Items: []checklist.Item{
			vouched("rigorous-testing", "ben", anyone),
			vouched("staging", "ben", anyone),
			item("performance", "ben", loadtest.Gate(loadtest.Plan{Target: candidate.URL, Model: candidate.Model, Pacer: pace.Constant(20), Duration: 2 * time.Second, LagBound: time.Second, Prompts: prompts},
				analysis.Threshold{Metric: "error rate", Statistic: "mean"}), day),
		}},
		checklist.Section{Name: "documentation", Items: []checklist.Item{
			item("versioning", "ben", newer(plan(tw)), 0),
			vouched("documentation", "ben", anyone),
			item("training", "lea", people.Trained(trained()), 0),
		}},
		checklist.Section{Name: "deployment", Items: []checklist.Item{
			item("canary", "ana", gradual(plan(tw)), 0),
			item("blue-green", "ana", drill.WarmBaseline(tw.warm()), 0),
			should(vouched("ab-testing", "ana", anyone)),
			item("monitoring", "ana", checks.All(checks.Named("budget", tw.budget), checks.Named("candidate", probe.Completion(candidate, probe.CompletionOptions{Stream: true}))), 0),
			vouched("alerts", "ana", anyone),
			firm(vouched("rollback-plan", "ana", checklist.Attest{Valid: 30 * day})),
		}},
		checklist.Section{Name: "after", Items: []checklist.Item{
			vouched("metrics-analysis", "ben", anyone),
			vouched("feedback-loop", "ben", anyone),
			item("audit-logs", "eve", led.Reviewed(30*day), 0, "soc2:CC7.2"),
			item("compliance-check", "pia", packs.Check(led, rules, house), 0),
			vouched("release-notes", "ben", anyone),
			vouched("changelog", "ben", anyone),
		}},
		checklist.Section{Name: "ongoing", Items: []checklist.Item{
			vouched("version-control", "ben", anyone),
			vouched("regular-testing", "ben", anyone),
			should(vouched("documentation-updates", "ben", anyone)),
			item("security-monitoring", "eve", led.Intact(), 0),
			standing(vouched("compliance-audits", "pia", checklist.Attest{Rules: privacy.Rules, Valid: 365 * day, Proof: true})),
			vouched("model-tuning", "ben", privacy),
			vouched("resource-management", "ana", anyone),
			standing(vouched("training-sessions", "lea", checklist.Attest{Valid: 180 * day})),
			item("support", "lea", people.Awake(people.AwakeOptions{Roster: roster, Roles: []string{"sre"}, For: day}), 0),
		}},
	)
}

// plan is the plan of the rollout. The list is a condition before it, during it and at its
// end.
func plan(tw *twin) rollout.Plan {
	return rollout.Plan{Target: "chat", Baseline: tw.release("1.4.0"), Candidate: tw.release("1.5.0"),
		Preflight: []string{"ready"}, Standing: []rollout.Standing{{Check: "ready", Every: time.Second}}, Postflight: []string{"reviewed"},
		Strategy: strategies.Canary{Weights: []strategies.Weight{strategies.Percent(5), strategies.Percent(50)}, Bake: 3 * time.Second, Limit: time.Minute, DangerouslyPromoteUnproven: true,
			Approve: &strategies.Approval{FourEyes: true, MFA: 5 * time.Minute, // before the last stage
				Rules: []strategies.ApprovalRule{{Need: 1, Roles: []string{"sre"}}, {Need: 1, Roles: []string{"privacy"}}}}}}
}

// newer is a check that the candidate is a newer version with a digest.
func newer(p rollout.Plan) checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		if p.Baseline.Version.Compare(p.Candidate.Version) >= 0 || p.Candidate.Digest == "" {
			return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("%v is not a newer release than %v with a digest", p.Candidate, p.Baseline)}
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%v after %v", p.Candidate.Version, p.Baseline.Version)}
	})
}

// gradual is a check that the plan begins with at most 5 %.
func gradual(p rollout.Plan) checks.Check {
	return checks.Func(func(context.Context) checks.Result {
		stages, err := p.Strategy.Stages(p.Baseline.Arm(), p.Candidate.Arm())
		if err != nil {
			return checks.Result{Err: err}
		}
		for _, a := range stages[0].Split.Arms {
			if a.Name == p.Candidate.Arm() && a.Weight > strategies.Percent(5) {
				return checks.Result{Status: checks.Fail, Summary: fmt.Sprintf("the first stage gives the candidate %v, want at most 5 %%", a.Weight)}
			}
		}
		return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d stages, the first with 5 %%", len(stages))}
	})
}
