package console

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/strategies"
)

// live is the content of the page of a rollout.
type live struct {
	ID, Baseline, Candidate string
	Sit                     situation.Situation
	At                      time.Time
	Bar                     template.HTML
	Arms                    []arm
	Seen                    string // what the numbers rest on
	Harm                    string // the combined evidence
	HarmBar                 template.HTML
	Tiles                   []tile
	Stages                  []stage
	Started, StageSince     time.Time
	Starter                 string
	Offers                  []offer
	OnCall, Runbook         string
	RunbookHref             string
	Over                    bool
	Retry                   *offer
	Votes                   []strategies.Vote
	Reason                  string
	Windows                 []string
	Monitor                 string
	More                    string // leads to all numbers
	Full                    bool   // the page of one rollout, with all numbers
	Shares                  chart
	Notice                  string
	Newer                   link // to a newer rollout of the target
}

// arm is the share of one version.
type arm struct{ Name, Share, Rate, Class string }

// tile is one metric in short.
type tile struct {
	Metric, Candidate, Baseline string
	Verdict, Class, Role        string
	Evidence                    string
	N                           string
	Effect, Reason, Safe        string
	Needed                      string
	Spark                       template.HTML
	Sequence                    chart
}

// stage is one stage of the plan.
type stage struct {
	Name, Share, State, Glyph, Detail string
	Here                              bool
}

// sit returns the situation of a rollout.
func (c *Console) sit(ctx context.Context, st rollout.Status) situation.Situation {
	return situation.Of(st, situation.Facts{Now: time.Now(), Zone: c.cfg.Zone, Changed: c.event(ctx, st.ID, st.Changed)})
}

// newest answers with the page of a target: its newest rollout.
func (v *visit) newest(name string) {
	st, err := v.cfg.Engine.Newest(v.r.Context(), name)
	switch {
	case err == nil:
		v.live(st, false)
	case isNotFound(err):
		s := situation.Never(name)
		v.show(200, "live", page{Title: s.Glyph + " " + name + " " + s.Short, Target: name, See: name, Crumbs: v.crumbs(name, ""), Main: live{Sit: s, Over: true}})
	default:
		v.unread(name, err)
	}
}

// rollout answers with the page of one rollout, with all numbers.
func (v *visit) rollout(st rollout.Status) { v.live(st, true) }

// pageTimeout bounds the making of a page that viewers share.
const pageTimeout = 10 * time.Second

// live answers with the page of a rollout.
func (v *visit) live(st rollout.Status, full bool) {
	v.past.add(st)
	retry := v.retry(st)
	done := v.notice()
	again := "no"
	if retry != nil {
		again = "yes " + retry.Why
	}
	key := fmt.Sprint(st.ID, v.may(actionReadAudit, st.ID.Target()) == nil, st.Seq, st.At.UnixNano(), st.Split.Generation, full, done, "\x00", v.rights(st), "\x00", again)
	r, err := v.cache.page(key, func() (*rendered, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), pageTimeout)
		defer cancel()
		all := *v // makes the page for all who share it, also after this viewer has left
		all.r = v.r.WithContext(ctx)
		return v.render("live", all.livePage(st, all.offers(st), retry, full, done))
	})
	if err != nil {
		v.fail(err)
		return
	}
	v.send(200, r)
}

// notices are what a page says after a command, by a word in its address.
var notices = map[string]string{
	"done":     "Done, and recorded.",
	"unstored": "In force in this process, and not stored yet; storing is tried again. Other processes learn of it when the store answers.",
	"vouched":  "Recorded in the ledger.",
	"proved":   "Your second factor is proved.",
	"waits":    "Recorded, but the silence has no effect until a second person agrees: it is too long or too wide for one person. Alerts go on to be sent.",
	"agreed":   "You have agreed to the silence. It is in force at its times.",
	"test":     "The test message was sent.",
}

func (v *visit) notice() string { return notices[v.r.URL.Query().Get("said")] }

func (v *visit) livePage(st rollout.Status, offers []offer, retry *offer, full bool, notice string) page {
	ctx := v.r.Context()
	target := st.ID.Target()
	base, cand, _ := names(st)
	points := v.past.of(st.ID)
	l := live{
		ID: string(st.ID), Baseline: base, Candidate: cand, Sit: v.sit(ctx, st), At: st.At, Bar: bar(st.Split),
		Started: v.event(ctx, st.ID, 1).At, Starter: st.Starter.Name, Over: st.Phase.Terminal(), Retry: retry, Votes: st.Votes, Reason: st.Reason, Full: full, Notice: notice,
		Tiles: v.tiles(st, points, full), Stages: stages(st),
	}
	if n := len(l.Tiles) - mostTiles; !full && n > 0 {
		l.Tiles, l.More = l.Tiles[:mostTiles], fmt.Sprintf("%d more metrics, and all numbers", n)
	}
	l.arms(st, points)
	l.evidence(st)
	if v.cfg.Call != nil {
		l.OnCall, l.Runbook = v.cfg.Call(target)
		if u, err := url.Parse(l.Runbook); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			l.RunbookHref = l.Runbook
		}
	}
	for _, w := range st.Plan.Windows {
		l.Windows = append(l.Windows, fmt.Sprintf("%s %s to %s %s", orElse(w.Days, "every day"), orElse(w.From, "00:00"), orElse(w.To, "24:00"), orElse(w.Zone, "UTC")))
	}
	if st.Plan.Monitor > 0 {
		l.Monitor = situation.Span(st.Plan.Monitor) + " after the last stage"
	}
	see := target
	if full {
		see = string(st.ID)
		events := v.trail(ctx, st)
		end := st.At
		if l.Over && len(events) > 0 {
			end = events[len(events)-1].At
		}
		l.Shares = v.shares(events, end)
		if newest, err := v.cfg.Engine.Newest(ctx, target); err == nil && newest.ID != st.ID {
			l.Newer = link{Text: string(newest.ID), Href: v.cfg.Prefix + "/" + string(newest.ID)}
		}
	}
	p := page{Title: l.Sit.Glyph + " " + string(st.ID) + " " + l.Sit.Short, Target: target, See: see, At: st.At, Main: &l, Crumbs: v.crumbs(target, string(st.ID))}
	for i := range offers {
		if offers[i].Command == strategies.Abort {
			p.Abort = &offers[i]
		} else {
			l.Offers = append(l.Offers, offers[i])
		}
	}
	if l.Over {
		p.Abort = nil
	}
	return p
}

// retry returns the offer to begin a rollout again that has ended, or nil.
func (v *visit) retry(st rollout.Status) *offer {
	if !st.Phase.Terminal() || st.Phase == strategies.Promoted {
		return nil
	}
	_, cand, _ := names(st)
	o := &offer{Label: "Roll out " + cand + " again", Href: v.cfg.Prefix + "/" + string(st.ID) + "/retry",
		Effects: []string{"A new rollout with the same plan begins, from its first check. Nothing that was approved or measured before counts."}}
	if err := v.may(rollout.ActionRetry, st.ID.Target()); err != nil {
		o.Why = "you may not: " + reason(err)
	}
	return o
}

// arms words the shares and the rates.
func (l *live) arms(st rollout.Status, points []point) {
	b, c, ok := rates(points)
	for i, a := range st.Split.Arms {
		x := arm{Name: a.Name, Share: situation.Percent(a.Weight), Class: "cand"}
		if i == 0 {
			x.Class = "base"
		}
		for _, m := range st.Split.Mirrors {
			if m.Arm == a.Name {
				x.Share += " and copies of " + situation.Percent(m.Share)
			}
		}
		if ok && i == 0 {
			x.Rate = fmt.Sprintf("%.0f/min", b)
		} else if ok && a.Name == l.Candidate {
			x.Rate = fmt.Sprintf("%.0f/min", c)
		}
		l.Arms = append(l.Arms, x)
	}
}

// evidence words what all metrics together show.
func (l *live) evidence(st rollout.Status) {
	j := st.Judgement
	if j.Baseline.Arm == "" {
		return
	}
	l.Seen = fmt.Sprintf("%d requests of %s, %d of %s", j.Baseline.Requests, j.Baseline.Arm, j.Candidate.Requests, j.Candidate.Arm)
	if j.Harm.Limit > 0 {
		l.Harm = fmt.Sprintf("%s of %s", situation.Number(j.Harm.Now), situation.Number(j.Harm.Limit))
		part := min(j.Harm.Now/j.Harm.Limit, 1)
		l.HarmBar = svg("meter", 1000, 8, "evidence of harm: "+l.Harm, fmt.Sprintf(`<rect class="full" width="1000" height="8"/><rect class="harm" width="%.0f" height="8"/>`, 1000*part))
	}
}

// mostTiles is the number of metrics on the page of a target.
const mostTiles = 6

// tiles returns the metrics, those with the most evidence of harm first unless full is set.
func (c *Console) tiles(st rollout.Status, points []point, full bool) []tile {
	var all []tile
	order := make([]int, len(st.Judgement.Metrics))
	for i := range order {
		order[i] = i
	}
	if !full {
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Compare(st.Judgement.Metrics[b].Harm.Now, st.Judgement.Metrics[a].Harm.Now)
		})
	}
	for _, i := range order {
		f := st.Judgement.Metrics[i]
		if !full && (f.CandidateN == 0 && f.BaselineN == 0 || f.Role == analysis.Report) {
			continue
		}
		t := tile{
			Metric: f.Metric, Candidate: "none", Baseline: "none", Role: f.Role.String(), Reason: f.Reason,
			Evidence: fmt.Sprintf("%s of %s", situation.Number(f.Harm.Now), situation.Number(f.Harm.Limit)),
			N:        fmt.Sprintf("n %d / %d", f.CandidateN, f.BaselineN),
		}
		if f.CandidateN > 0 {
			t.Candidate = analysis.FormatValue(f.Candidate, f.Kind, f.Unit)
		}
		if f.BaselineN > 0 {
			t.Baseline = analysis.FormatValue(f.Baseline, f.Kind, f.Unit)
		}
		t.Verdict, t.Class = verdict(f, st.Judgement.Harm)
		if f.Effect.Known {
			t.Effect = f.Effect.String()
		}
		if f.Safe.Limit > 0 {
			t.Safe = fmt.Sprintf("%s of %s", situation.Number(f.Safe.Now), situation.Number(f.Safe.Limit))
		}
		if f.Needed > 0 {
			t.Needed = fmt.Sprintf("about %d more requests", f.Needed)
		}
		var values []float64
		for _, p := range points {
			if i < len(p.metrics) {
				values = append(values, p.metrics[i].cand)
			}
		}
		t.Spark = spark(values, f.Metric+" of the candidate lately")
		if full {
			t.Sequence = c.sequence(f.Metric, points, i, f.Harm.Limit)
		}
		all = append(all, t)
	}
	return all
}

// verdict words what a metric shows. all is the evidence of all metrics together.
func verdict(f analysis.Finding, all analysis.Proof) (text, class string) {
	limit, likely := all.Limit, all.Now >= all.Limit/2
	switch {
	case f.Verdict == analysis.Harmed || f.Attributed:
		return "✗ harm", "bad"
	case limit > 0 && likely && f.Harm.Now >= limit/2 && f.Role != analysis.Report:
		return "! harm likely", "bad"
	case f.Incident:
		return "! incident", "bad"
	case f.Verdict == analysis.Safe:
		return "✓ safe", "good"
	case f.Verdict == analysis.Continue:
		return "… no harm", "soft"
	}
	return "? " + f.Verdict.String(), "soft"
}

// stages words the stages of the plan.
func stages(st rollout.Status) []stage {
	var all []stage
	for i, s := range st.Plan.Stages {
		x := stage{Name: s.Name, Share: stageShare(st, i), Glyph: " ", State: "to come"}
		done := i < st.Stage || st.Phase == strategies.Promoted || st.Phase == strategies.Monitoring || st.Phase == strategies.Postflight || i == st.Stage && st.Phase == strategies.AfterStage
		switch {
		case done:
			x.Glyph, x.State = "✓", "done"
		case i == st.Stage && st.Phase == strategies.Baking:
			x.Glyph, x.State, x.Here = "▶", "now", true
			x.Detail = situation.Span(st.Baked)
			if s.Bake > 0 {
				x.Detail += " of " + situation.Span(s.Bake)
			}
			if s.MinSamples > 0 {
				x.Detail += fmt.Sprintf(", %d of %d requests", st.Samples, s.MinSamples)
			}
		case i == st.Stage && !st.Phase.Terminal():
			x.Glyph, x.State, x.Here = "…", "next: "+st.Phase.String(), true
		case i == st.Stage:
			x.Glyph, x.State = "■", "ended here"
		}
		if x.State == "to come" {
			x.Detail = needs(s)
		}
		all = append(all, x)
	}
	return all
}

// needs words what a stage asks for.
func needs(s strategies.Stage) string {
	var all []string
	if s.Bake > 0 {
		all = append(all, situation.Span(s.Bake))
	}
	if s.Approve != nil {
		all = append(all, "approval")
	}
	if len(s.Before) > 0 {
		all = append(all, "checks")
	}
	return strings.Join(all, ", ")
}

// crumbs are the pages of a target and of a rollout.
func (v *visit) crumbs(target, id string) []link {
	p := v.cfg.Prefix
	all := []link{{Text: target, Href: p + "/" + target}}
	if id != "" {
		all = append(all, link{Text: "All numbers of " + id, Href: p + "/" + id}, link{Text: "Events", Href: p + "/" + id + "/events"}, link{Text: "Checks", Href: p + "/" + id + "/checks"}, link{Text: "Plan", Href: p + "/" + id + "/plan"})
	}
	all = append(all, link{Text: "History", Href: p + "/" + target + "/history"})
	if v.may(actionReadAudit, target) == nil {
		all = append(all, link{Text: "Audit", Href: p + "/" + target + "/audit"})
	}
	return all
}

// trail reads up to maxTrail events of a rollout.
func (c *Console) trail(ctx context.Context, st rollout.Status) []rollout.Event {
	var all []rollout.Event
	for from := uint64(1); from <= st.Seq && len(all) < maxTrail; {
		page, err := c.cfg.Engine.Read(ctx, st.ID, from, 200)
		if err != nil || len(page) == 0 {
			return all
		}
		all = append(all, page...)
		from = page[len(page)-1].Seq + 1
	}
	return all
}

// maxTrail bounds the events that one page shows.
const maxTrail = 1000
