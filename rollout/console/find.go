package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
)

// Bounds of a search: the rollouts that are looked at, and the ones that are shown.
const maxLooked, maxFound = 1_000, 50

// find answers with the targets and rollouts in which a text occurs. The name of a target or the
// ID of a rollout leads to its page.
func (v *visit) find() {
	q := strings.TrimSpace(v.r.URL.Query().Get("q"))
	ask := section{Title: "Find", Text: []string{"A target, a rollout such as chat/17, a version, a person, or a word of a reason."}, Form: &form{
		Action: v.path("find"), Button: "Find", Get: true, Fields: []field{{Name: "q", Label: "What to find", Value: q}},
	}}
	if q == "" {
		v.sections(page{Title: "Find"}, ask)
		return
	}
	if target, number, _ := strings.Cut(q, "/"); v.known(target) {
		if id := rollout.ID(q); q == target || number != "" && v.exists(id) {
			http.Redirect(v.w, v.r, v.cfg.Prefix+"/"+q, http.StatusSeeOther)
			return
		}
	}
	found := section{Title: "Found", Head: []string{"rollout", "versions", "outcome", "by", "reason"}}
	looked, cut := 0, false
	for _, target := range v.readable() {
		if contains(target, q) {
			found.Links = append(found.Links, link{Text: target, Href: v.path(target)})
		}
		for before := rollout.ID(""); len(found.Rows) < maxFound && !cut; {
			page, err := v.cfg.Engine.Rollouts(v.r.Context(), target, before, historySize)
			for _, st := range page {
				base, cand, _ := names(st)
				if slices.ContainsFunc([]string{string(st.ID), base, cand, st.Starter.Name, st.Reason}, func(s string) bool { return contains(s, q) }) {
					found.Rows = append(found.Rows, []cell{to(string(st.ID), v.cfg.Prefix+"/"+string(st.ID)), text(base + " → " + cand), text(v.sit(v.r.Context(), st).Short), text(st.Starter.Name), text(st.Reason)})
				}
			}
			looked += len(page)
			cut = looked >= maxLooked
			if err != nil && !isNotFound(err) {
				found.Text = append(found.Text, "The rollouts of "+target+" cannot all be read: "+err.Error())
			}
			if err != nil || len(page) < historySize {
				break
			}
			before = page[len(page)-1].ID
		}
	}
	switch {
	case len(found.Rows)+len(found.Links) == 0:
		found.Text = append(found.Text, "Nothing that you may read has it.")
	case len(found.Rows) >= maxFound:
		found.Text = append(found.Text, "There may be more; these are the newest of each target.")
	}
	if cut {
		found.Text = append(found.Text, "Only the newest 1,000 rollouts were looked at.")
	}
	v.sections(page{Title: "Find"}, ask, found)
}

// contains reports whether s has q in it, whatever the case of its letters.
func contains(s, q string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(q)) }

// exists reports whether there is a rollout.
func (v *visit) exists(id rollout.ID) bool {
	_, err := v.cfg.Engine.Status(v.r.Context(), id)
	return err == nil
}

// help answers with what the pages and keys mean.
func (v *visit) help() {
	asks := map[situation.Urgency]string{situation.Rest: "nothing is under way", situation.Moving: "it goes on by itself", situation.Person: "a person has to decide", situation.Alarm: "something is wrong: look at it now"}
	signs := section{Title: "Signs", Head: []string{"state", "sign", "what it asks of you"}}
	for _, k := range situation.Kinds() {
		glyph, short, u := situation.Look(k)
		signs.Rows = append(signs.Rows, []cell{text(short), text(glyph), text(asks[u])})
	}
	v.sections(page{Title: "Help"},
		section{Title: "Help", Text: []string{
			"The page of a target says what happens, how much traffic each version has, what comes next by itself, and what you can do.",
			"\"Give everything to\" a version aborts the rollout: two taps, no reason and no second factor are needed.",
			"A page turns grey when it has heard nothing for 5 s. Its buttons go on to work.",
			"Evidence e counts against a limit: at the limit, harm is proven and the rollout rolls back by itself.",
		}},
		signs,
		section{Title: "Keys", Head: []string{"keys", "what they do"}, Rows: [][]cell{
			{text("/"), text("find a target, a rollout, a version or a person")}, {text("?"), text("this page")},
			{text("g r"), text("all rollouts")}, {text("g a"), text("approvals")}, {text("g l"), text("alerts")}, {text("g c"), text("checklists")}, {text("g h"), text("health")}, {text("g y"), text("you")},
		}, Text: []string{"No key acts on a rollout. The keys need the script of the pages; the links above lead to the same pages without it."}},
	)
}
