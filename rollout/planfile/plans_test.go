package planfile_test

import (
	"fmt"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// plans generates valid plans of all kinds.
func plans() *rapid.Generator[rollout.Plan] {
	return rapid.Custom(plan).Filter(func(p rollout.Plan) bool { return p.Validate() == nil })
}

// hostile are texts that readers of YAML take for something else, or that do not show.
var hostile = []string{
	"true", "1.10", "1e3", "null", "~", "no", "2026-12-24", "a: b", "- x", "# c", "a #b", "'", `"`, "{", "[", "&a", "*a", "!t",
	"%", "@", "`", " lead", "trail ", "line\nbreak", "tab\t", "cr\r\n", "\u202eevil", "\u0000", "\x7f", "\u0085", "\u2028",
	"\ufeff", "é", "😀", "🤝🏽", "x=y", "<<", "0x1F", "0o7", "1_000", ".inf", ".nan", "=", "|", ">", "?", "-", "--- a", "...", "\\", `\u0041`,
}

func word(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.SampledFrom([]string{"ready", "sre", "error budget", "privacy"}), rapid.SampledFrom(hostile), rapid.StringN(1, 12, 40)).Draw(t, label)
}

// maybe draws a value or, as often, the zero value.
func maybe[T any](t *rapid.T, label string, f func() T) (v T) {
	if rapid.Bool().Draw(t, label+"?") {
		v = f()
	}
	return v
}

// rarely is for plans without a bake time, whose stages are forecast to validate them, which
// takes long.
func rarely(t *rapid.T) bool { return rapid.IntRange(0, 9).Draw(t, "rarely") == 9 }

func list[T any](t *rapid.T, label string, n int, f func() T) []T {
	return maybe(t, label, func() []T {
		var all []T
		for range rapid.IntRange(1, n).Draw(t, label+" n") {
			all = append(all, f())
		}
		return all
	})
}

func words(t *rapid.T, label string) []string {
	return list(t, label, 3, func() string { return word(t, label) })
}

func duration(t *rapid.T, label string) time.Duration {
	return maybe(t, label, func() time.Duration {
		return rapid.OneOf(
			rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 30 * time.Minute, time.Hour, 90 * time.Minute, 10 * time.Hour}),
			rapid.Map(rapid.Int64Range(1, int64(20*time.Hour)), func(n int64) time.Duration { return time.Duration(n) }),
		).Draw(t, label)
	})
}

func weight(t *rapid.T, label string, low, high strategies.Weight) strategies.Weight {
	return strategies.Weight(rapid.Uint32Range(uint32(low), uint32(high)).Draw(t, label))
}

func float(t *rapid.T, label string, low, high float64) float64 {
	f := rapid.Float64Range(low, high).Draw(t, label)
	if rapid.Bool().Draw(t, label+" round") {
		f = math.Max(low, math.Round(f*100)/100)
	}
	return f
}

func action(t *rapid.T, label string, all ...strategies.Action) strategies.Action {
	if all == nil {
		all = []strategies.Action{strategies.ActionHold, strategies.ActionRollBack, strategies.ActionContinue, strategies.ActionEscalate}
	}
	return rapid.SampledFrom(all).Draw(t, label)
}

func plan(t *rapid.T) rollout.Plan {
	versions := rapid.Permutation([]string{"1.5.0", "1.6.0", "2.0.0-rc.1+b5", "0.0.1", "10.20.30", "1.6.0+build"}).Draw(t, "versions")
	release := func(i int) versioning.Release {
		return versioning.Release{
			Model:   maybe(t, "model", func() string { return word(t, "model") }),
			Version: versioning.MustParse(versions[i]),
			Digest:  maybe(t, "digest", func() string { return "sha256:" + rapid.StringMatching("[0-9a-f]{8}").Draw(t, "digest") }),
		}
	}
	p := rollout.Plan{
		Target: rapid.StringMatching(`[a-z0-9._-]{1,12}`).Draw(t, "target"), Baseline: release(0), Candidate: release(1),
		Preflight: words(t, "preflight"), Postflight: words(t, "postflight"), Standing: standing(t),
		Analysis: analysisPlan(t), Monitor: duration(t, "monitor"), Supersede: rapid.Bool().Draw(t, "supersede"),
		RollbackWindow: duration(t, "rollback window"), RollbackFree: rapid.Bool().Draw(t, "rollback free"),
		DangerouslyReplaceServing: maybe(t, "replace", func() string { return "1.4.0" }),
		DangerouslyWithoutDemands: maybe(t, "without", func() string { return word(t, "without") }),
		Windows:                   list(t, "windows", 2, func() rollout.Window { return window(t) }),
		Freezes:                   list(t, "freezes", 2, func() rollout.Freeze { return freeze(t) }),
		RampDown:                  maybe(t, "ramp down", func() []strategies.RampStep { return strategies.RampSteps(weight(t, "from", 5, 9999), 3, time.Minute) }),
	}
	if p.Monitor > 0 {
		p.Holdback = weight(t, "holdback", 0, 500)
	}
	switch rapid.IntRange(0, 3).Draw(t, "way") {
	case 0:
		p.Stages = stages(t, versions[0], versions[1])
	case 1:
		for i := range rapid.IntRange(1, 2).Draw(t, "rivals") {
			p.Rivals = append(p.Rivals, release(2+i))
		}
		ab := strategies.AB{Rivals: versions[2 : 2+len(p.Rivals)], Share: weight(t, "share", 0, 2000), Horizon: duration(t, "horizon"),
			Bake: duration(t, "bake"), MinSamples: rapid.IntRange(0, 9).Draw(t, "samples"), OnTie: action(t, "tie"),
			Allocate: maybe(t, "allocate", func() *strategies.Allocation {
				return &strategies.Allocation{Every: duration(t, "every"), Floor: weight(t, "floor", 0, 900)}
			})}
		p.Strategy = ab
		if rapid.Bool().Draw(t, "literal") {
			p.Stages, _ = ab.Stages(versions[0], versions[1])
			p.Strategy = nil
		}
		if rapid.Bool().Draw(t, "goal") {
			p.Goal = "unanswered"
			p.Analysis.Metrics = []analysis.Metric{analysis.ErrorRate(), analysis.Unanswered()}
			p.Analysis.Breakers = nil
		}
	default:
		if !rarely(t) {
			p.Strategy = strategy(t, true)
		}
	}
	return p
}

func standing(t *rapid.T) (all []rollout.Standing) {
	for i := range rapid.IntRange(0, 2).Draw(t, "standing") {
		all = append(all, rollout.Standing{
			Check: fmt.Sprint(word(t, "check"), i), Every: duration(t, "every"), Grace: duration(t, "grace"),
			OnFail: action(t, "fail", strategies.ActionHold, strategies.ActionRollBack, strategies.ActionEscalate),
		})
	}
	return all
}

func window(t *rapid.T) rollout.Window {
	return rollout.Window{
		Days: rapid.SampledFrom([]string{"", "mon-thu", "sat", "mon-tue,thu"}).Draw(t, "days"),
		From: rapid.SampledFrom([]string{"", "09:00", "22:30"}).Draw(t, "from"), To: rapid.SampledFrom([]string{"", "16:00"}).Draw(t, "to"),
		Zone:   rapid.SampledFrom([]string{"", "UTC", "Europe/Vienna"}).Draw(t, "zone"),
		Budget: rapid.IntRange(0, 9).Draw(t, "budget"),
	}
}

func freeze(t *rapid.T) rollout.Freeze {
	zone := time.FixedZone("", 3600*rapid.IntRange(-9, 9).Draw(t, "zone"))
	from := time.Unix(rapid.Int64Range(1e9, 3e9).Draw(t, "from"), rapid.Int64Range(0, 1).Draw(t, "ns")*1500).In(zone)
	return rollout.Freeze{From: from, To: from.Add(time.Hour), Reason: maybe(t, "reason", func() string { return word(t, "reason") })}
}

func approval(t *rapid.T) *strategies.Approval {
	return maybe(t, "approve", func() *strategies.Approval {
		return &strategies.Approval{
			Need: rapid.IntRange(0, 3).Draw(t, "need"), Roles: words(t, "roles"),
			Rules: list(t, "rules", 2, func() strategies.ApprovalRule {
				return strategies.ApprovalRule{Need: rapid.IntRange(0, 3).Draw(t, "need"), Roles: words(t, "roles")}
			}),
			FourEyes: rapid.Bool().Draw(t, "eyes"), Not: words(t, "not"), MFA: duration(t, "mfa"), Timeout: duration(t, "timeout"), OnTimeout: action(t, "timeout"),
		}
	})
}

// strategy draws a strategy; in a sequence each kind may be there once.
func strategy(t *rapid.T, nested bool) strategies.Strategy {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if kind == 5 && nested {
		parts := []strategies.Strategy{strategyOf(t, 1)}
		if rapid.Bool().Draw(t, "deeper") {
			parts = append(parts, strategies.Sequence(strategyOf(t, 0)))
		} else {
			parts = append(parts, strategyOf(t, rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "last")))
		}
		return strategies.Sequence(parts...)
	}
	return strategyOf(t, kind)
}

func strategyOf(t *rapid.T, kind int) strategies.Strategy {
	bake, limit, samples := duration(t, "bake"), time.Duration(0), rapid.IntRange(0, 500).Draw(t, "samples")
	if rapid.Bool().Draw(t, "limited") {
		limit = bake + time.Hour
	}
	switch kind {
	case 0:
		if bake == 0 && !rarely(t) {
			bake = time.Minute
		}
		c := strategies.Canary{
			Approve: approval(t), Before: words(t, "before"), Bake: bake, Limit: limit, MinSamples: samples,
			OnLimit: action(t, "limit"), OnNoEvidence: action(t, "evidence"), DangerouslyPromoteUnproven: rapid.Bool().Draw(t, "unproven"),
		}
		if rapid.Bool().Draw(t, "weights") {
			c.Weights = rapid.SliceOfNDistinct(rapid.Map(rapid.Uint32Range(1, 9999), func(w uint32) strategies.Weight { return strategies.Weight(w) }), 1, 6, rapid.ID).Draw(t, "weights")
			slices.Sort(c.Weights)
			c.Prove = maybe(t, "prove", func() strategies.Weight { return c.Weights[0] })
		}
		return c
	case 1:
		return strategies.Shadow{Share: weight(t, "share", 0, strategies.Full), Bake: bake, Limit: limit, MinSamples: samples,
			OnLimit: action(t, "limit"), OnNoEvidence: action(t, "evidence"), Until: rapid.SampledFrom([]strategies.Until{strategies.UntilSafe, strategies.UntilBaked}).Draw(t, "until")}
	case 2:
		b := strategies.BlueGreen{Warm: bake, Smoke: words(t, "smoke"), Approve: approval(t), Keep: duration(t, "keep"), DangerouslySwitchUnchecked: rapid.Bool().Draw(t, "unchecked")}
		b.Preview = maybe(t, "preview", func() strategies.Rule { return rule(t, "") })
		return b
	case 3:
		return strategies.AB{Share: weight(t, "share", 0, 9000), Horizon: limit, Bake: bake, MinSamples: samples, OnTie: action(t, "tie")}
	}
	return strategies.Rolling{Replicas: rapid.IntRange(5, 20).Draw(t, "replicas"), Batch: rapid.IntRange(0, 4).Draw(t, "batch"), Ready: words(t, "ready"),
		Bake: bake, Limit: limit, MinSamples: samples, OnLimit: action(t, "limit")}
}

func rule(t *rapid.T, arm string) strategies.Rule {
	r := strategies.Rule{Arm: arm}
	switch name := word(t, "name"); rapid.IntRange(0, 3).Draw(t, "rule") {
	case 0:
		r.Header, r.Value = name, word(t, "value")
	case 1:
		r.Cookie = name
	case 2:
		r.Query = name
	default:
		r.Unit = name
	}
	return r
}

// stages draws literal stages, as a plan has them that was started.
func stages(t *rapid.T, baseline, candidate string) (all []strategies.Stage) {
	for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
		w := weight(t, "weight", 0, strategies.Full)
		s := strategies.Split{
			Arms: []strategies.Arm{{Name: baseline, Weight: strategies.Full - w}, {Name: candidate, Weight: w}},
			Salt: maybe(t, "salt", func() string { return word(t, "salt") }), Generation: rapid.Uint64().Draw(t, "generation"),
			Hash:  rapid.SampledFrom([]strategies.Hash{"", strategies.Flagd2, strategies.GrowthBook2}).Draw(t, "hash"),
			Rules: list(t, "rules", 2, func() strategies.Rule { return rule(t, candidate) }),
			Mirrors: list(t, "mirrors", 1, func() strategies.Mirror {
				return strategies.Mirror{Arm: candidate, Share: weight(t, "share", 1, 10000)}
			}),
		}
		if w > 0 && w < strategies.Full && rapid.Bool().Draw(t, "table") {
			s.Table = []strategies.Run{{Arm: 1, Slots: w}, {Arm: 0, Slots: strategies.Full - w}}
		}
		bake := duration(t, "bake")
		all = append(all, strategies.Stage{
			Name: fmt.Sprint(word(t, "name"), i), Split: s, Bake: bake, Limit: bake + duration(t, "limit"), MinSamples: rapid.IntRange(0, 9).Draw(t, "samples"),
			Until:   rapid.SampledFrom([]strategies.Until{strategies.UntilSafe, strategies.UntilBaked}).Draw(t, "until"),
			OnLimit: action(t, "limit"), OnNoEvidence: action(t, "evidence"), OnUnmeasurable: action(t, "unmeasurable"),
			EvidenceLimit: maybe(t, "evidence limit", func() time.Duration { return time.Second }), Before: words(t, "before"), After: words(t, "after"),
			Contest: rapid.Bool().Draw(t, "contest"), Approve: approval(t),
		})
	}
	return all
}

// analysisPlan draws a plan of the analysis, with ready-made metrics and others.
func analysisPlan(t *rapid.T) analysis.Plan {
	p := analysis.Plan{
		Unit:          rapid.SampledFrom([]analysis.Unit{analysis.PerRequest, analysis.PerUser, analysis.PerSession}).Draw(t, "unit"),
		AlphaRollback: maybe(t, "rollback", func() float64 { return float(t, "rollback", 0.001, 0.5) }),
		AlphaPromote:  maybe(t, "promote", func() float64 { return float(t, "promote", 1e-9, 0.5) }),
		AlphaSplit:    maybe(t, "split", func() float64 { return float(t, "split", 1e-9, 0.5) }),
		Persist:       rapid.SampledFrom([]time.Duration{0, -1, time.Second}).Draw(t, "persist"),
		Warm: maybe(t, "warm", func() analysis.Warm {
			return analysis.Warm{Requests: rapid.IntRange(-1, 99).Draw(t, "requests"), For: time.Second}
		}),
		Strata:         rapid.SampledFrom([][]analysis.Stratum{nil, {}, {analysis.ByRoute, analysis.ByTenant}}).Draw(t, "strata"),
		FeedbackWithin: duration(t, "feedback"), Remember: rapid.IntRange(0, 99).Draw(t, "remember"), MinSamples: rapid.IntRange(0, 99).Draw(t, "samples"),
		MonitorRunLength: maybe(t, "length", func() float64 { return float(t, "length", 10, 1e15) }), Window: duration(t, "window"),
	}
	p.Metrics = maybe(t, "metrics", func() []analysis.Metric { return metrics(t) })
	if p.Metrics == nil || p.Metrics[0].Name == analysis.ErrorRate().Name {
		p.Breakers = rapid.SampledFrom([][]analysis.Breaker{nil, {}, {{Metric: analysis.ErrorRate().Name, Above: 0.25}}, {{Metric: analysis.ErrorRate().Name}}}).Draw(t, "breakers")
	} else {
		p.DangerouslyWithoutErrors = rapid.Bool().Draw(t, "errors")
	}
	return p
}

func metrics(t *rapid.T) []analysis.Metric {
	all := []analysis.Metric{analysis.ErrorRate(), analysis.TTFT(), analysis.Satisfaction(), analysis.ThumbsUp(), analysis.OutputLength(), analysis.TokensPerSecond(),
		{Name: "judge" + word(t, "metric"), Kind: rapid.SampledFrom([]analysis.Kind{analysis.Rate, analysis.Amount, analysis.Score}).Draw(t, "of kind"),
			Unit: maybe(t, "unit", func() string { return word(t, "unit") }), Better: rapid.SampledFrom([]analysis.Direction{analysis.Lower, analysis.Higher, analysis.Same}).Draw(t, "better"),
			Of: func(o analysis.Observation) (float64, bool) { return o.Score, true }}}
	all = all[rapid.IntRange(0, len(all)-1).Draw(t, "first"):]
	for i := range all {
		m := &all[i]
		if i > 0 {
			m.Role = rapid.SampledFrom([]analysis.Role{analysis.Gate, analysis.Guard, analysis.Report}).Draw(t, "role")
		} else {
			m.Role = analysis.Gate
		}
		if rapid.Bool().Draw(t, "changed") {
			m.Weight = float(t, "weight", 0, 100)
		}
		m.Tolerance, m.Margin = margin(t, m.Kind, m.Tolerance), margin(t, m.Kind, m.Margin)
		if m.Kind == analysis.Rate {
			m.Ceiling = maybe(t, "ceiling", func() float64 { return float(t, "ceiling", 0.01, 0.9) })
		}
	}
	return all
}

func margin(t *rapid.T, k analysis.Kind, now analysis.Margin) analysis.Margin {
	switch n := rapid.IntRange(0, 4).Draw(t, "margin"); {
	case n == 0:
		return now
	case n == 1:
		return analysis.Margin{}
	case k == analysis.Amount:
		return analysis.Times(float(t, "factor", 1.01, 9))
	case k == analysis.Score:
		return analysis.Plus(float(t, "points", 0.01, 0.9))
	case n == 2:
		return analysis.Plus(float(t, "points", 0.01, 0.9))
	case n == 3:
		return analysis.Times(float(t, "factor", 1.01, 9))
	}
	return analysis.Margin{Factor: float(t, "factor", 1.01, 9), Points: float(t, "points", 0.01, 0.9), AtMost: maybe(t, "most", func() float64 { return 0.5 })}
}
