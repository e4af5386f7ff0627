package main

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/checks/checklist/packs"
	"github.com/serin-go/serin/checks/drift"
	"github.com/serin-go/serin/checks/people"
	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/checks/release"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/report"
	"github.com/serin-go/serin/rollout/traffic/cost"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

const day = 24 * time.Hour

// candidateVersion is the version that is rolled out.
var candidateVersion = versioning.MustParse("1.5.0")

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
			item("rigorous-testing", "ben", release.Tests(release.TestsOptions{Open: tw.papers.run, Commit: commit, MaxAge: day, MaxSkips: 5}), 0),
			item("staging", "ben", release.Promoted(release.PromotedOptions{Builds: tw.builds, Model: "chat", Alias: "staging", Within: 2 * day}), 0),
			item("performance", "ben", loadtest.Gate(loadtest.Plan{Target: candidate.URL, Model: candidate.Model, Pacer: pace.Constant(20), Duration: 2 * time.Second, LagBound: time.Second, Prompts: prompts},
				analysis.Threshold{Metric: "error rate", Statistic: "mean"}), day),
		}},
		checklist.Section{Name: "documentation", Items: []checklist.Item{
			item("versioning", "ben", release.Bump(tw.papers.manifests), 0),
			item("documentation", "ben", release.Docs(release.DocsOptions{FS: tw.papers, Rules: []release.DocRule{release.ModelCard("MODEL.md"), {Path: "guide.md"}}}), 0),
			item("training", "lea", people.Trained(trained(&tw.fault)), 0),
		}},
		checklist.Section{Name: "deployment", Items: []checklist.Item{
			item("canary", "ana", drill.Gradual(tw.plan, strategies.Percent(5), 3), 0),
			item("blue-green", "ana", drill.WarmBaseline(tw.warm()), 0),
			should(item("ab-testing", "ana", drill.Conclusive(drill.ConclusiveOptions{Plans: tw.plan, Traffic: tw.traffic}), 0)),
			item("monitoring", "ana", checks.All(checks.Named("budget", tw.budget), checks.Named("candidate", probe.Completion(candidate, probe.CompletionOptions{Stream: true}))), 0),
			item("alerts", "ana", drill.AlertPath(drill.ManagerPath(tw.alerts)), 7*day),
			firm(item("rollback-plan", "ana", drill.Rollback(tw.rehearsal.drill()), 30*day)),
		}},
		checklist.Section{Name: "after", Items: []checklist.Item{
			item("metrics-analysis", "ben", checks.Func(func(ctx context.Context) checks.Result {
				return report.Written(tw.engine, "chat", day, tw.isKept).Check(ctx)
			}), 0),
			item("feedback-loop", "ben", drill.FeedbackJoined(drill.FeedbackOptions{Answers: tw.papers.countAnswers, Rated: tw.papers.countRated, Lost: none}), 0),
			item("audit-logs", "eve", tw.either("audit-logs", led.Reviewed(30*day), led.Reviewed(time.Nanosecond)), 0, "soc2:CC7.2"),
			item("compliance-check", "pia", tw.either("compliance-check", packs.Check(led, rules, house), packs.Check(led, rules, house, stricter)), 0),
			item("release-notes", "ben", release.Notes(tw.papers.readNotes, candidateVersion), 0),
			item("changelog", "ben", release.Changelog(tw.papers.readChangelog, candidateVersion), 0),
		}},
		checklist.Section{Name: "ongoing", Items: []checklist.Item{
			item("version-control", "ben", release.CleanBuild(release.BuildOptions{Revision: commit, Info: tw.papers.info}), 0),
			item("regular-testing", "ben", release.Tests(release.TestsOptions{Open: tw.papers.nightly, AnyCommit: true, MaxAge: 7 * day, MaxSkips: 5}), 0),
			should(item("documentation-updates", "ben", release.Docs(release.DocsOptions{FS: tw.papers, Rules: []release.DocRule{{Path: "handbook.md"}}, Since: release.ReleasedAt(tw.papers.readChangelog)}), 0)),
			item("security-monitoring", "eve", led.Intact(), 0),
			standing(vouched("compliance-audits", "pia", checklist.Attest{Rules: checklist.By("privacy"), Valid: 365 * day, Proof: true})),
			item("model-tuning", "ben", drift.Check(drift.Options{Reference: tw.papers.reference, Current: tw.papers.current, Owner: "ben", Since: tw.papers.since}), 0),
			item("resource-management", "ana", tw.either("resource-management", tw.spent.Check(cost.Budget{Limit: 50_000_000}), tw.spent.Check(cost.Budget{Limit: 1})), 0),
			standing(vouched("training-sessions", "lea", checklist.Attest{Valid: 180 * day})),
			item("support", "lea", people.Awake(people.AwakeOptions{Roster: roster(&tw.fault), Roles: []string{"sre"}, For: day}), 0),
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
