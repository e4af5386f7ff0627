package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
	"github.com/serin-go/serin/rollout/ledger"
)

// evaluationTimeout bounds the checks of a list.
const evaluationTimeout = 10 * time.Second

// reader is a ledger that stores nothing: looking at a list changes nothing.
type reader struct{ *ledger.Ledger }

// Keep keeps nothing.
func (reader) Keep(context.Context, checklist.Record) error { return nil }

// KeepReport keeps nothing.
func (reader) KeepReport(context.Context, string, []byte) error { return nil }

// report evaluates a list for a rollout.
func (c *Console) report(ctx context.Context, list *checklist.List, st rollout.Status) checklist.Report {
	ctx, cancel := context.WithTimeout(ctx, evaluationTimeout)
	defer cancel()
	var src checklist.Source
	if c.cfg.Ledger != nil {
		src = reader{c.cfg.Ledger}
	}
	return list.Run(checks.WithSubject(ctx, api.SubjectOf(st, time.Now())), src)
}

// checklists answers with the lists, one list, or the form of an item.
func (v *visit) checklists(p []string) {
	if len(p) == 0 {
		s := section{Title: "Checklists", Head: []string{"list", "target"}}
		for name := range v.cfg.Lists {
			for _, target := range v.readable() {
				s.Rows = append(s.Rows, []cell{to(name, v.path("checklists", name)+"?target="+url.QueryEscape(target)), text(target)})
			}
		}
		slices.SortFunc(s.Rows, func(a, b []cell) int { return strings.Compare(a[0].Text+a[1].Text, b[0].Text+b[1].Text) })
		v.sections(page{Title: "Checklists"}, s)
		return
	}
	list, st, ok := v.subject(p[0], v.r.URL.Query().Get("target"))
	switch {
	case !ok:
	case len(p) == 1:
		v.checklist(p[0], list, st)
	case len(p) == 3:
		v.item(200, p[0], list, st, p[1], p[2], "")
	default:
		v.missing()
	}
}

// readable returns the targets that the caller may read.
func (v *visit) readable() []string {
	all, err := v.targets(v.r.Context())
	if err != nil {
		v.cfg.Logger.ErrorContext(v.r.Context(), "targets cannot be listed", "error", err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !v.reads(name) })
}

// subject returns a list and the rollout that it is about: the newest of the target, or of
// the first target if there is no name. If ok is false, it has answered.
func (v *visit) subject(name, target string) (list *checklist.List, st rollout.Status, ok bool) {
	list = v.cfg.Lists[name]
	all := v.readable()
	if target == "" && len(all) > 0 {
		target = all[0]
	}
	if list == nil || !slices.Contains(all, target) {
		v.missing()
		return nil, st, false
	}
	st, err := v.cfg.Engine.Newest(v.r.Context(), target)
	if isNotFound(err) {
		v.problem(http.StatusNotFound, target+" never had a rollout, so the list has nothing to be about.", "")
		return nil, st, false
	}
	if err != nil {
		v.unread(target, err)
		return nil, st, false
	}
	return list, st, true
}

// checklist answers with one list.
func (v *visit) checklist(name string, list *checklist.List, st rollout.Status) {
	target := st.ID.Target()
	vouch, waive := v.may(actionAttest, target), v.may(actionWaive, target)
	key := fmt.Sprintf("list %s\x00%s\x00%s\x00%t %t\x00%s", name, st.ID, st.Digest, vouch == nil, waive == nil, v.notice())
	r, err := v.cache.page(key, func() (*rendered, error) {
		report := v.report(context.WithoutCancel(v.r.Context()), list, st)
		sections := sections{Notice: v.notice()}
		sections.List = append(sections.List, section{Title: name + " for " + string(st.ID) + ": " + report.State.String(), Text: nonempty(
			fmt.Sprintf("Score of the weakest section: %.0f %%. It informs, and opens nothing.", 100*report.Score), report.Problem)})
		for _, sec := range report.Sections {
			s := section{Title: sec.Name, Head: []string{"item", "state", "what it says", "owner", "people", "holds until", "actions"}}
			for _, i := range sec.Items {
				s.Rows = append(s.Rows, v.itemRow(name, target, list, i, vouch == nil, waive == nil))
			}
			sections.List = append(sections.List, s)
		}
		return v.render("sections", page{Title: name + " for " + string(st.ID) + ": " + report.State.String(), At: report.At, Target: target, Main: sections})
	})
	if err != nil {
		v.fail(err)
		return
	}
	v.send(200, r)
}

func nonempty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// glyphs show the states of items.
var glyphs = map[checklist.State]string{checklist.Pass: "✓", checklist.Warn: "!", checklist.Fail: "✗", checklist.Expired: "✗", checklist.Waived: "~", checklist.Skipped: "–", checklist.Blocked: "…", checklist.Unknown: "?"}

func (v *visit) itemRow(name, target string, list *checklist.List, i checklist.ItemReport, vouch, waive bool) []cell {
	class := "good"
	if !i.State.Holds() && i.State != checklist.Skipped {
		class = "bad"
	}
	row := []cell{text(i.Title), classed(glyphs[i.State]+" "+i.State.String(), class), text(strings.Join(nonempty(i.Text, i.Error), "; ")), text(i.Owner), text(strings.Join(i.People, ", ")), at(i.Until)}
	item, _ := itemOf(list, i.ID)
	href := func(what string) string {
		return v.path("checklists", name, i.ID, what) + "?target=" + url.QueryEscape(target)
	}
	switch {
	case v.cfg.Ledger == nil:
		return append(row, text("no ledger"))
	case vouch && item.Attest != nil:
		row = append(row, to("vouch", href("vouch")))
	case waive && !item.Firm:
		row = append(row, to("waive", href("waive")))
	default:
		return append(row, text("–"))
	}
	if waive && !item.Firm && item.Attest != nil && vouch {
		row = append(row, to("waive", href("waive")))
	}
	return row
}

// itemOf returns an item of a list.
func itemOf(list *checklist.List, id string) (checklist.Item, bool) {
	for _, i := range list.Items {
		if i.ID == id {
			return i, true
		}
	}
	return checklist.Item{}, false
}

// item answers with the form to vouch for an item, or to waive it.
func (v *visit) item(status int, name string, list *checklist.List, st rollout.Status, id, what, wrong string) {
	i, ok := itemOf(list, id)
	target := st.ID.Target()
	action := map[string]rollout.Action{"vouch": actionAttest, "waive": actionWaive}[what]
	if !ok || action == "" || v.cfg.Ledger == nil {
		v.missing()
		return
	}
	f := &form{Action: v.path("checklists", name, id, what) + "?target=" + url.QueryEscape(target)}
	s := section{Form: f, Text: nonempty(wrong)}
	if what == "vouch" {
		s.Title, f.Button = "Vouch for "+orElse(i.Title, i.ID), "Record under your name"
		s.Text = append(s.Text, "You vouch for the item, for "+st.Plan.Candidate.Arm()+" of "+string(st.ID)+". It is recorded in the ledger and cannot be removed, only taken back.")
		f.Fields = []field{{Name: "vote", Label: "Your word", Type: "select", Options: []string{"it holds", "it does not hold"}}, {Name: "reason", Label: "Reason", Optional: true}, {Name: "link", Label: "Address of the proof", Optional: true}, {Name: "sum", Label: "sha256:… of the proof", Optional: true}}
		if i.Attest != nil && i.Attest.MFA > 0 && time.Since(v.by.Proved) > i.Attest.MFA && v.cfg.Factor != nil {
			f.Fields = append(f.Fields, field{Name: "code", Label: "Code of your second factor", Optional: true})
		}
	} else {
		s.Title, f.Button = "Waive "+orElse(i.Title, i.ID), "Accept it until then"
		s.Text = append(s.Text, "The item does not hold, and is accepted until a time. The waiver is shown on every report.")
		f.Fields = []field{{Name: "reason", Label: "Reason, at least 20 characters"}, {Name: "days", Label: "Days", Type: "number", Value: "7"}}
	}
	if err := v.may(action, target); err != nil {
		f.Why = "you may not: " + reason(err)
	}
	v.w.Header().Set("Cache-Control", "no-store")
	v.show(status, "sections", page{Title: s.Title, Target: target, Main: sections{List: []section{s}}})
}

// postChecklist records a vote or a waiver.
func (v *visit) postChecklist(p []string) {
	if len(p) != 3 {
		v.missing()
		return
	}
	name, id, what := p[0], p[1], p[2]
	list, st, ok := v.subject(name, v.r.URL.Query().Get("target"))
	if !ok {
		return
	}
	if _, there := itemOf(list, id); !there || v.cfg.Ledger == nil || what != "vouch" && what != "waive" {
		v.missing()
		return
	}
	action := map[string]rollout.Action{"vouch": actionAttest, "waive": actionWaive}[what]
	if err := v.may(action, st.ID.Target()); err != nil {
		v.refuse(action, st.ID.Target(), "authorize", err.Error())
		v.item(http.StatusForbidden, name, list, st, id, what, "Nothing was done: you may not: "+reason(err)+".")
		return
	}
	if err := v.record(st, id, what); err != nil {
		v.item(http.StatusConflict, name, list, st, id, what, "Nothing was done: "+err.Error())
		return
	}
	v.cache.forget()
	http.Redirect(v.w, v.r, v.path("checklists", name)+"?said=vouched&target="+url.QueryEscape(st.ID.Target()), http.StatusSeeOther)
}

// record writes what a form about an item says.
func (v *visit) record(st rollout.Status, id, what string) error {
	form, ctx := v.r.PostForm, v.r.Context()
	subject := api.SubjectOf(st, time.Now())
	if what == "waive" {
		var days int
		if _, err := fmt.Sscanf(form.Get("days"), "%d", &days); err != nil || days < 1 || days > 366 {
			return errors.New("the number of days is not one from 1 to 366")
		}
		_, err := v.cfg.Ledger.Waive(ctx, ledger.Waiver{Item: id, Subject: subject, Reason: form.Get("reason"), Until: time.Now().AddDate(0, 0, days)}, v.by)
		return err
	}
	if code := form.Get("code"); code != "" {
		if wrong := v.verify(ctx, code); wrong != "" {
			return errors.New(wrong)
		}
	}
	var reject bool
	switch form.Get("vote") {
	case "it holds":
	case "it does not hold":
		reject = true
	default:
		return errors.New("the form does not say whether the item holds")
	}
	_, err := v.cfg.Ledger.Vouch(ctx, id, subject, ledger.Proof{Reject: reject, Reason: form.Get("reason"), Link: form.Get("link"), Sum: form.Get("sum")}, v.by)
	return err
}
