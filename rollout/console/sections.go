package console

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
)

// sections is the content of most pages: texts, tables and forms.
type sections struct {
	Notice string
	List   []section
}

type section struct {
	Title string
	Text  []string
	Head  []string
	Rows  [][]cell
	Pre   string
	Diff  []diffLine
	Form  *form
	Links []link
}

// cell is one place of a table. The first of a row is its heading.
type cell struct {
	Text, Href, Class string
	At                time.Time
}

// form is a form that is sent by POST.
type form struct {
	Action, Button string
	Fields         []field
	Why            string // why it cannot be sent
	Get            bool   // it has no effect: its fields are in the address of its answer
}

// Key returns a new key, so that the form has its effect once.
func (f *form) Key() string { return newKey() }

type field struct {
	Name, Label, Value, Type string
	Hidden, Optional         bool
	Options                  []string
}

func text(s string) cell           { return cell{Text: s} }
func to(s, href string) cell       { return cell{Text: s, Href: href} }
func at(t time.Time) cell          { return cell{At: t} }
func classed(s, class string) cell { return cell{Text: s, Class: class} }
func (v *visit) path(s ...string) string {
	for i := range s {
		s[i] = url.PathEscape(s[i])
	}
	return v.cfg.Prefix + "/" + strings.Join(s, "/")
}

// sections answers with a page of sections.
func (v *visit) sections(p page, list ...section) {
	p.Main = sections{Notice: v.notice(), List: list}
	v.show(200, "sections", p)
}

// about returns a page about a rollout, with its abort.
func (v *visit) about(st rollout.Status, title string) page {
	p := page{Title: title + " of " + string(st.ID), Target: st.ID.Target(), Crumbs: v.crumbs(st.ID.Target(), string(st.ID))}
	if !st.Phase.Terminal() {
		o := v.offer(st, strategies.Abort)
		p.Abort = &o
	}
	return p
}

// listEvents answers with the trail of a rollout.
func (v *visit) listEvents(st rollout.Status) {
	s := section{Title: "Events", Head: []string{"event", "time", "kind", "by", "rule", "reason"}}
	for _, ev := range v.trail(v.r.Context(), st) {
		class := ""
		if ev.Urgent {
			class = "bad"
		}
		n := strconv.FormatUint(ev.Seq, 10)
		s.Rows = append(s.Rows, []cell{to(n, v.cfg.Prefix+"/"+string(st.ID)+"/events/"+n), at(ev.At), classed(string(ev.Kind), class), text(ev.By.Name), text(ev.Rule), text(ev.Reason)})
	}
	v.sections(v.about(st, "Events"), s)
}

// showEvent answers with one event: what its decision was made from.
func (v *visit) showEvent(st rollout.Status, n string) {
	seq, err := strconv.ParseUint(n, 10, 64)
	if err != nil || seq == 0 || seq > st.Seq {
		v.missing()
		return
	}
	ev := v.event(v.r.Context(), st.ID, seq)
	if ev.Seq != seq {
		v.missing()
		return
	}
	id := v.cfg.Prefix + "/" + string(st.ID) + "/events/"
	s := section{Title: "Event " + n, Pre: ev.Explain(), Text: []string{"Hash: " + ev.Hash, "Hash of the event before: " + orElse(ev.Prev, "none")}}
	if seq > 1 {
		s.Links = append(s.Links, link{Text: "The event before", Href: id + strconv.FormatUint(seq-1, 10)})
	}
	if seq < st.Seq {
		s.Links = append(s.Links, link{Text: "The next event", Href: id + strconv.FormatUint(seq+1, 10)})
	}
	if v.may(actionReadAudit, st.ID.Target()) == nil {
		s.Links = append(s.Links, link{Text: "Its proof, as JSON", Href: v.cfg.Prefix + "/api/v1/rollouts/" + string(st.ID) + "/events/" + n + "/proof"})
	}
	v.sections(v.about(st, "Event "+n), s)
}

// checks answers with the reports of gates and standing checks.
func (v *visit) checks(st rollout.Status) {
	var list []section
	events := v.trail(v.r.Context(), st)
	slices.Reverse(events)
	for _, ev := range events {
		if ev.Checks == nil {
			continue
		}
		s := section{Title: fmt.Sprintf("%s at %s: %s", ev.Phase, situation.Clock(ev.At, time.Now(), v.cfg.Zone), ev.Checks.Status), Head: []string{"check", "status", "what it says", "evidence"}}
		for _, r := range ev.Checks.Results {
			said := r.Summary
			if r.Err != nil {
				said = orElse(said, r.Err.Error())
			}
			var evidence []string
			for k, e := range r.Evidence {
				evidence = append(evidence, k+": "+e)
			}
			slices.Sort(evidence)
			s.Rows = append(s.Rows, []cell{text(r.Name), text(r.Status.String()), text(said), text(strings.Join(evidence, ", "))})
		}
		if list = append(list, s); len(list) == 20 {
			break
		}
	}
	if len(list) == 0 {
		list = []section{{Title: "Checks", Text: []string{"No checks have finished in this rollout yet."}}}
	}
	names := section{Title: "Checks of the plan", Head: []string{"when", "checks"}, Rows: [][]cell{
		{text("before any traffic"), text(orElse(strings.Join(st.Plan.Preflight, ", "), "none"))},
		{text("at the end"), text(orElse(strings.Join(st.Plan.Postflight, ", "), "none"))},
	}}
	for _, sc := range st.Plan.Standing {
		names.Rows = append(names.Rows, []cell{text("all the time"), text(sc.Check)})
	}
	for name := range v.cfg.Lists {
		names.Links = append(names.Links, link{Text: "Checklist " + name, Href: v.path("checklists", name) + "?target=" + url.QueryEscape(st.ID.Target())})
	}
	v.sections(v.about(st, "Checks"), append([]section{names}, list...)...)
}

// planText returns a plan as YAML, or as JSON if it cannot be that.
func (c *Console) planText(p rollout.Plan) []byte {
	body, err := planfile.Write(p)
	if err == nil {
		return body
	}
	body, err = json.MarshalIndent(p, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return body
}

// showPlan answers with the plan of a rollout.
func (v *visit) showPlan(st rollout.Status) {
	list := []section{{Title: "Plan", Text: []string{"Digest of the plan and its checks: " + st.Digest}, Pre: string(v.planText(st.Plan))}}
	if lines, since := v.changes(st); since != "" {
		list = append(list, section{Title: "Changes since " + since + ", which was promoted last", Diff: lines})
	} else {
		list = append(list, section{Title: "Changes", Text: []string{"None of the last 1,000 rollouts of " + st.ID.Target() + " was promoted."}})
	}
	v.sections(v.about(st, "Plan"), list...)
}

// historySize is the number of rollouts on one page.
const historySize = 50

// history answers with the rollouts of a target, the newest first.
func (v *visit) history(target string) {
	q := v.r.URL.Query()
	before, outcome, by := rollout.ID(q.Get("before")), q.Get("outcome"), q.Get("by")
	all, err := v.cfg.Engine.Rollouts(v.r.Context(), target, before, historySize)
	if err != nil && len(all) == 0 {
		v.problem(http.StatusBadRequest, "The history cannot be read.", err.Error())
		return
	}
	s := section{Title: "History", Head: []string{"rollout", "versions", "outcome", "by", "started", "took", "requests of the candidate", "reason"}}
	for _, st := range all {
		if outcome != "" && st.Phase.String() != outcome || by != "" && st.Starter.Name != by {
			continue
		}
		base, cand, _ := names(st)
		began, end := v.event(v.r.Context(), st.ID, 1).At, v.event(v.r.Context(), st.ID, st.Seq).At
		took := "under way"
		if st.Phase.Terminal() && !began.IsZero() {
			took = situation.Span(end.Sub(began))
		}
		s.Rows = append(s.Rows, []cell{to(string(st.ID), v.cfg.Prefix+"/"+string(st.ID)), text(base + " → " + cand), text(v.sit(v.r.Context(), st).Short), text(st.Starter.Name), at(began), text(took), text(strconv.Itoa(st.Exposed)), text(st.Reason)})
	}
	if len(s.Rows) == 0 {
		s.Text = []string{"No rollout here."}
	}
	if len(all) == historySize {
		next := url.Values{"before": {string(all[len(all)-1].ID)}}
		for k, val := range map[string]string{"outcome": outcome, "by": by} {
			if val != "" {
				next.Set(k, val)
			}
		}
		s.Links = []link{{Text: "Older rollouts", Href: v.path(target, "history") + "?" + next.Encode()}}
	}
	filters := section{Title: "Show only"}
	for p := strategies.Promoted; p <= strategies.Failed; p++ {
		filters.Links = append(filters.Links, link{Text: p.String(), Href: v.path(target, "history") + "?outcome=" + url.QueryEscape(p.String()), Here: outcome == p.String()})
	}
	filters.Links = append(filters.Links, link{Text: "all", Href: v.path(target, "history"), Here: outcome == ""})
	v.sections(page{Title: "History of " + target, Target: target, Crumbs: v.crumbs(target, "")}, filters, s)
}

// audit answers with the state of the audit trail of a target.
func (v *visit) audit(target string) {
	if err := v.may(actionReadAudit, target); err != nil {
		v.refuse(actionReadAudit, target, "authorize", err.Error())
		v.problem(http.StatusForbidden, "You may not read the audit trail: "+reason(err)+".", "")
		return
	}
	s := section{Title: "Audit trail"}
	log, err := audit.Read(v.r.Context(), v.cfg.Store, target)
	if err == nil {
		if err = log.Verify(); err == nil {
			s.Text = append(s.Text, fmt.Sprintf("✓ verified just now by %s: %d events, chained by hash, none altered and none missing.", v.by.Name, log.Size()))
		}
	}
	if err != nil {
		s.Text = append(s.Text, "✗ It does not verify: "+err.Error())
	}
	base := v.cfg.Prefix + "/api/v1/audit/" + url.PathEscape(target)
	s.Links = []link{{Text: "Export, as JSON lines", Href: base + "/export"}, {Text: "Verification, as JSON", Href: base + "/verify"}}
	letters := section{Title: "Dead letters", Head: []string{"sink", "event", "given up", "attempts", "error"}}
	for l, err := range rollout.DeadLetters(v.r.Context(), v.cfg.Store) {
		if err != nil {
			letters.Text = []string{"They cannot be read: " + err.Error()}
			break
		}
		if l.Event.Rollout.Target() == target {
			letters.Rows = append(letters.Rows, []cell{text(l.Sink), text(fmt.Sprintf("%s #%d", l.Event.Rollout, l.Event.Seq)), at(l.At), text(strconv.Itoa(l.Attempts)), text(l.Error)})
		}
	}
	if letters.Rows == nil && letters.Text == nil {
		letters.Text = []string{"None: each sink has taken each event."}
	}
	v.sections(page{Title: "Audit of " + target, Target: target, Crumbs: v.crumbs(target, "")}, s, letters)
}

// approvals answers with what waits for the caller, and then for others.
func (v *visit) approvals() {
	mine := section{Title: "Waits for you", Head: []string{"rollout", "what", "since", "asked of"}}
	others := section{Title: "Waits for others", Head: []string{"rollout", "what", "since", "why not you"}}
	targets, err := v.targets(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	for _, name := range targets {
		st, err := v.cfg.Engine.Newest(v.r.Context(), name)
		if err != nil || st.Phase != strategies.Approving || !v.reads(name) {
			continue
		}
		o := v.offer(st, strategies.Approve)
		since := v.event(v.r.Context(), st.ID, st.Changed).At
		if o.Why == "" {
			mine.Rows = append(mine.Rows, []cell{to(string(st.ID), o.Href), text(o.Label), at(since), text(st.State.ConsentReason)})
		} else {
			others.Rows = append(others.Rows, []cell{to(string(st.ID), v.path(name)), text(o.Label), at(since), text(o.Why)})
		}
	}
	for _, s := range []*section{&mine, &others} {
		if s.Rows == nil {
			s.Text = []string{"Nothing."}
		}
	}
	v.sections(page{Title: "Approvals", At: time.Now()}, mine, others)
}

// health answers with the components.
func (v *visit) health() {
	if v.cfg.Health == nil || !v.reads("") {
		v.missing()
		return
	}
	r := v.cfg.Health.Report()
	s := section{Title: "Health", Text: []string{fmt.Sprintf("live: %s, ready: %s, started: %s", r.Live, r.Ready, r.Startup)}, Head: []string{"component", "status", "since", "last looked at", "what it says"}}
	for _, c := range r.Components {
		s.Rows = append(s.Rows, []cell{text(c.Name), text(strings.TrimSpace(c.Status.String() + " " + c.State)), at(c.Since), at(c.Looked), text(c.Output)})
	}
	v.sections(page{Title: "Health", At: r.At}, s)
}

// me answers with who the caller is, and what they may do.
func (v *visit) me() {
	who := section{Title: "You", Head: []string{"what", "value"}, Rows: [][]cell{{text("name"), text(v.by.Name)}, {text("subject"), text(orElse(v.by.Subject, "none"))}, {text("roles"), text(orElse(strings.Join(v.by.Roles, ", "), "none"))}}}
	if v.by.Proved.IsZero() {
		who.Rows = append(who.Rows, []cell{text("second factor"), text("not proved in this session")})
	} else {
		who.Rows = append(who.Rows, []cell{text("second factor proved"), at(v.by.Proved)})
	}
	if !v.signed {
		who.Text = []string{"This console has no sign-in. You may read, and nothing else."}
	}
	if v.cfg.Factor != nil && v.signed {
		who.Form = &form{Action: v.path("me"), Button: "Prove your second factor", Fields: []field{{Name: "code", Label: "Code of your second factor"}}}
	}
	list := []section{who}
	targets, err := v.targets(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	may := section{Title: "What you may do", Head: []string{"target", "actions"}}
	for _, name := range targets {
		if !v.reads(name) {
			continue
		}
		var actions []string
		for _, a := range access.Actions() {
			if v.may(a, name) == nil {
				actions = append(actions, string(a))
			}
		}
		may.Rows = append(may.Rows, []cell{to(name, v.path(name)), text(strings.Join(actions, ", "))})
	}
	list = append(list, may)
	if v.cfg.Tokens != nil && v.signed {
		tokens, err := v.tokens()
		if err != nil {
			v.fail(err)
			return
		}
		list = append(list, tokens)
	}
	if v.cfg.Sessions != nil {
		list = append(list, section{Title: "Session", Form: &form{Action: v.path("sign-out"), Button: "Sign out"}})
	}
	v.sections(page{Title: "You"}, list...)
}

// tokens lists the tokens that the caller has issued.
func (v *visit) tokens() (section, error) {
	s := section{Title: "Tokens of programs", Text: []string{"You have issued these. ctl token issues and ends them."}, Head: []string{"name", "roles", "targets", "until", "last used", "ID"}}
	for t, err := range v.cfg.Tokens.List(v.r.Context()) {
		if err != nil {
			return s, err
		}
		if strategies.Person(t.By.Subject, t.By.Name) != strategies.Person(v.by.Subject, v.by.Name) {
			continue
		}
		used := text("never")
		if !t.Used.IsZero() {
			used = at(t.Used)
		}
		s.Rows = append(s.Rows, []cell{text(t.Name), text(strings.Join(t.Roles, ", ")), text(strings.Join(t.Targets, ", ")), at(t.Until), used, text(t.ID)})
	}
	return s, nil
}

// panel answers with a further page, if the path is one.
func (v *visit) panel(p []string) bool {
	i := slices.IndexFunc(v.cfg.Panels, func(x Panel) bool { return x.Name == p[0] })
	if i < 0 || len(p) > 2 {
		return false
	}
	if !v.reads("") {
		v.missing()
		return true
	}
	x, id := v.cfg.Panels[i], ""
	if len(p) == 2 {
		id = p[1]
	}
	data, err := x.Data(v.r.Context(), id)
	title := orElse(x.Title, x.Name)
	switch {
	case isNotFound(err):
		v.missing()
	case err != nil:
		v.fail(err)
	case x.Template != "":
		v.show(200, "panel "+x.Name, page{Title: title, At: time.Now(), Main: data})
	default:
		body, err := json.MarshalIndent(data, "", "  ")
		if err != nil {
			v.fail(err)
			return true
		}
		v.sections(page{Title: title, At: time.Now()}, section{Title: title, Pre: string(body)})
	}
	return true
}

// plans answers with the plan files that can be started.
func (v *visit) plans() {
	if v.cfg.Plans == nil {
		v.missing()
		return
	}
	s := section{Title: "Plans that can be started", Head: []string{"file", "target", "versions"}}
	for _, name := range v.planFiles() {
		p, err := v.readPlan(name)
		if err != nil || !v.reads(p.Target) {
			continue
		}
		s.Rows = append(s.Rows, []cell{to(name, v.path("plans", name)), text(p.Target), text(p.Baseline.Arm() + " → " + p.Candidate.Arm())})
	}
	if s.Rows == nil {
		s.Text = []string{"None."}
	}
	v.sections(page{Title: "Start"}, s)
}

// planFiles returns the names of the plan files.
func (v *visit) planFiles() []string {
	entries, err := fs.ReadDir(v.cfg.Plans, ".")
	if err != nil {
		v.cfg.Logger.ErrorContext(v.r.Context(), "plan files cannot be listed", "error", err)
	}
	var all []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml" || ext == ".json") {
			all = append(all, e.Name())
		}
	}
	return all
}

func (v *visit) readPlan(name string) (rollout.Plan, error) {
	body, err := fs.ReadFile(v.cfg.Plans, name)
	if err != nil {
		return rollout.Plan{}, err
	}
	return planfile.Read(name, body)
}

// plan answers with one plan file, and the form to start it.
func (v *visit) plan(name string) {
	if v.cfg.Plans == nil || !slices.Contains(v.planFiles(), name) {
		v.missing()
		return
	}
	p, err := v.readPlan(name)
	if !v.reads(p.Target) { // "", which is all targets, if the file cannot be read
		v.missing()
		return
	}
	body, _ := fs.ReadFile(v.cfg.Plans, name)
	s := section{Title: "Plan " + name, Pre: string(body)}
	if err != nil {
		s.Text = []string{"It cannot be started:", err.Error()}
	} else {
		s.Text = []string{fmt.Sprintf("%s would be rolled out on %s in place of %s, from the first check on.", p.Candidate.Arm(), p.Target, p.Baseline.Arm())}
		s.Form = &form{Action: v.path("plans", name), Button: "Start the rollout of " + p.Candidate.Arm(), Fields: []field{{Name: "sum", Value: tagOf(body), Hidden: true}}}
		if err := v.may(rollout.ActionStart, p.Target); err != nil {
			s.Form.Why = "you may not: " + reason(err)
		}
	}
	v.sections(page{Title: "Start " + name}, s)
}

// start begins the rollout of a plan file.
func (v *visit) start(name string) {
	if v.cfg.Plans == nil || !slices.Contains(v.planFiles(), name) {
		v.missing()
		return
	}
	p, err := v.readPlan(name)
	body, failed := fs.ReadFile(v.cfg.Plans, name)
	switch {
	case !v.reads(p.Target): // "", which is all targets, if the file cannot be read
		v.missing()
		return
	case err != nil || failed != nil:
		v.problem(http.StatusUnprocessableEntity, "Nothing was done: the plan cannot be started.", fmt.Sprint(err))
		return
	case v.r.PostForm.Get("sum") != tagOf(body):
		v.problem(http.StatusPreconditionFailed, "Nothing was done: the plan file has changed.", "Look at it again.")
		return
	}
	if err := v.may(rollout.ActionStart, p.Target); err != nil {
		v.refuse(rollout.ActionStart, p.Target, "authorize", err.Error())
		v.problem(http.StatusForbidden, "Nothing was done: you may not start it: "+reason(err)+".", "")
		return
	}
	id, err := v.cfg.Engine.Start(v.r.Context(), p, v.by, rollout.Key(v.r.PostForm.Get("key")))
	if err != nil {
		v.problem(http.StatusConflict, "Nothing was done.", err.Error())
		return
	}
	v.leave("/"+id.Target(), "done")
}
