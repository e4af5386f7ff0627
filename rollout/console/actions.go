package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/client"
	"github.com/serin-go/serin/rollout/planfile"
	"github.com/serin-go/serin/strategies"
)

// acting is the content of the page on which a command is given.
type acting struct {
	ID       string
	Offer    offer
	Sentence string
	Next     string
	Reason   bool // it is asked for a reason
	Seq      uint64
	Key      string
	Digest   string
	Changes  []diffLine // of the plan, since the last one that was promoted
	Since    string     // which one that was
	Wrong    string     // what was wrong with the last attempt
	Said     string     // the reason that was typed before
	Told     string     // who hears of it
	Back     link
}

// action answers with the page of a command.
func (v *visit) action(st rollout.Status, name string) {
	var c strategies.Command
	switch {
	case name == "retry":
		if o := v.retry(st); o != nil {
			v.ask(200, st, *o, "", "")
			return
		}
	case c.UnmarshalText([]byte(name)) == nil && c != strategies.NoCommand && c != strategies.Supersede && c.String() == name:
		v.ask(200, st, v.offer(st, c), "", "")
		return
	}
	v.missing()
}

// ask shows the page of a command. wrong says what was wrong with the last attempt.
func (v *visit) ask(status int, st rollout.Status, o offer, wrong, said string) {
	s := v.sit(v.r.Context(), st)
	a := acting{
		ID: string(st.ID), Offer: o, Sentence: s.Glyph + " " + s.Sentence, Next: s.Next, Reason: o.Command != strategies.Abort,
		Seq: st.Changed, Key: newKey(), Wrong: wrong, Said: said,
		Told: "It is recorded under your name, " + v.by.Name + ", in the audit trail of " + st.ID.Target() + ".",
		Back: link{Text: "Back, and do nothing", Href: v.cfg.Prefix + "/" + st.ID.Target()},
	}
	if v.cfg.Alerts != nil {
		a.Told += " Receivers of alerts hear of it."
	}
	if o.Command == strategies.Approve {
		a.Digest = st.Digest
		a.Changes, a.Since = v.changes(st)
	}
	p := page{Title: o.Label + ": " + string(st.ID), Target: st.ID.Target(), Main: a, Crumbs: v.crumbs(st.ID.Target(), string(st.ID))}
	if o.Command != strategies.Abort && !st.Phase.Terminal() {
		abort := v.offer(st, strategies.Abort)
		p.Abort = &abort
	}
	v.show(status, "action", p)
}

// newKey returns the key by which a form is known when it is sent twice.
func newKey() string { return strings.ToLower(rand.Text()) }

// changes compares the plan with the last one of the target that was promoted.
func (v *visit) changes(st rollout.Status) (lines []diffLine, since string) {
	before, ok := v.promoted(st)
	if !ok {
		return nil, ""
	}
	return v.diff(before.Plan, st.Plan), string(before.ID)
}

// maxSearched bounds the rollouts among which the last one that was promoted is looked for.
const maxSearched = 1_000

// promoted returns the last rollout before st that was promoted.
func (v *visit) promoted(st rollout.Status) (rollout.Status, bool) {
	before := st.ID
	for range maxSearched / historySize {
		page, err := v.cfg.Engine.Rollouts(v.r.Context(), st.ID.Target(), before, historySize)
		for _, old := range page {
			if old.Phase == strategies.Promoted {
				return old, true
			}
		}
		if err != nil || len(page) < historySize {
			return rollout.Status{}, false
		}
		before = page[len(page)-1].ID
	}
	return rollout.Status{}, false
}

// post carries out what a form asks for.
func (v *visit) post() {
	p := v.parts
	switch {
	case p[0] == "sign-out" && len(p) == 1 && v.cfg.Sessions != nil:
		if err := v.cfg.Sessions.End(v.w, v.r); err != nil {
			v.fail(err)
			return
		}
		v.leave("/sign-in", "")
	case p[0] == "me" && len(p) == 1:
		if wrong := v.verify(v.r.Context(), v.r.PostForm.Get("code")); wrong != "" {
			v.refuse("", "", "factor", wrong)
			v.problem(http.StatusUnauthorized, "Nothing was done: "+wrong+".", "")
			return
		}
		v.leave("/me", "proved")
	case p[0] == "checklists":
		v.once(func() { v.postChecklist(p[1:]) })
	case p[0] == "alerts":
		v.once(func() { v.postAlert(p[1:]) })
	case p[0] == "plans" && len(p) == 2:
		v.once(func() { v.start(p[1]) })
	case len(p) == 3 && p[2] == "retry" && v.known(p[0]):
		v.once(func() { v.again(rollout.ID(p[0] + "/" + p[1])) })
	case len(p) == 3 && v.known(p[0]):
		v.command(rollout.ID(p[0]+"/"+p[1]), p[2])
	default:
		v.missing()
	}
}

// once carries out a form that the engine does not know by its key, unless the caller has sent
// it before: then it leads where it led. What do does goes on when the caller leaves.
func (v *visit) once(do func()) {
	if !v.signed { // may do nothing, and has no name to keep a key for
		do()
		return
	}
	asked, ran := v.r, false
	to, p := v.api.Once(asked, v.by, asked.PostForm.Get("key"), func() string {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(asked.Context()), actTimeout)
		defer cancel()
		v.r, ran = asked.WithContext(ctx), true
		do()
		return v.w.Header().Get("Location")
	})
	v.r = asked
	switch {
	case ran: // it has answered
	case p == nil:
		http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	case p.Name() == client.InProgress:
		v.problem(p.Status, "The form was sent twice, and the first one is still being carried out.", "Look at the page that it is about.")
	case p.Name() == client.PreconditionRequired:
		v.problem(p.Status, "Nothing was done: the form has no key, so it cannot be known whether it was sent before.", "Open its page again.")
	default:
		v.problem(p.Status, "Nothing was done: "+p.Detail+".", "Open the page of the form again.")
	}
}

// leave sends the reader to a page of the console.
func (v *visit) leave(path, said string) {
	if said != "" {
		path += "?said=" + said
	}
	http.Redirect(v.w, v.r, v.cfg.Prefix+path, http.StatusSeeOther)
}

// command gives a command.
func (v *visit) command(id rollout.ID, name string) {
	form := v.r.PostForm
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), actTimeout)
	defer cancel()
	var c strategies.Command
	if c.UnmarshalText([]byte(name)) != nil || c.String() != name || c == strategies.NoCommand || c == strategies.Supersede {
		v.missing()
		return
	}
	// Do decides without the rights that the console knows, if it has none of its own.
	if err := v.may(rollout.Action(name), id.Target()); err != nil {
		v.refuse(rollout.Action(name), id.Target(), "authorize", err.Error())
		v.outcome(id, id, c, forbidden(v.by, rollout.Action(name), id.Target(), err))
		return
	}
	opts := []rollout.Option{rollout.Because(form.Get("reason"))}
	if key := form.Get("key"); key != "" {
		opts = append(opts, rollout.Key(key))
	}
	if seq, err := strconv.ParseUint(form.Get("seq"), 10, 64); err == nil && c != strategies.Abort {
		opts = append(opts, rollout.IfSeq(seq))
	} else if c != strategies.Abort && c != strategies.Pause && c != strategies.Reject && c != strategies.RampDown {
		v.problem(http.StatusPreconditionRequired, "The form does not say which state it is about.", "Open the page of the command again.")
		return
	}
	if c == strategies.Approve {
		digest := form.Get("digest")
		if digest == "" {
			v.problem(http.StatusPreconditionRequired, "The form does not say which plan it approves.", "Open the page of the command again.")
			return
		}
		opts = append(opts, rollout.OfPlan(digest))
		if code := form.Get("code"); code != "" && !v.prove(ctx, id, c, code) {
			return
		}
	}
	v.outcome(id, id, c, v.cfg.Engine.Do(ctx, id, c, v.by, opts...))
}

// forbidden returns a denial of the console as the engine words it.
func forbidden(by rollout.Actor, what rollout.Action, target string, err error) error {
	var f *rollout.ForbiddenError
	if errors.As(err, &f) {
		return f
	}
	return &rollout.ForbiddenError{Actor: by.Name, Action: what, Target: target, Reason: err.Error(), Err: err}
}

// again begins a rollout again.
func (v *visit) again(id rollout.ID) {
	err := v.may(rollout.ActionRetry, id.Target())
	if err != nil {
		v.outcome(id, id, strategies.NoCommand, forbidden(v.by, rollout.ActionRetry, id.Target(), err))
		return
	}
	next, err := v.cfg.Engine.Retry(v.r.Context(), id, v.by, rollout.Key(v.r.PostForm.Get("key")))
	v.outcome(id, next, strategies.NoCommand, err)
}

// prove verifies a code for a command. If it returns false, it has answered.
func (v *visit) prove(ctx context.Context, id rollout.ID, c strategies.Command, code string) bool {
	wrong := v.verify(ctx, code)
	if wrong == "" {
		return true
	}
	v.refuse(rollout.Action(c.String()), id.Target(), "factor", wrong)
	st, err := v.cfg.Engine.Status(ctx, id)
	if err != nil {
		v.unread(id.Target(), err)
		return false
	}
	v.ask(http.StatusUnauthorized, st, v.offer(st, c), "Nothing was done: "+wrong+".", v.r.PostForm.Get("reason"))
	return false
}

// outcome answers a form with what came of it.
func (v *visit) outcome(id, next rollout.ID, c strategies.Command, err error) {
	var (
		unstored *rollout.UnstoredError
		denied   *rollout.ForbiddenError
		conflict *rollout.ConflictError
		refused  *rollout.RefusedError
		reused   *rollout.KeyReusedError
		busy     *rollout.BusyError
	)
	status := http.StatusServiceUnavailable
	switch {
	case err == nil:
		v.leave("/"+next.Target(), "done")
		return
	case errors.As(err, &unstored):
		v.leave("/"+id.Target(), "unstored")
		return
	case isNotFound(err):
		v.missing()
		return
	case errors.As(err, &denied):
		status = http.StatusForbidden
	case errors.As(err, &conflict):
		status = http.StatusPreconditionFailed
	case errors.As(err, &refused), errors.As(err, &reused), errors.As(err, &busy):
		status = http.StatusConflict
	default:
		v.cfg.Logger.ErrorContext(v.r.Context(), "command not carried out", "rollout", id, "command", c, "error", err)
	}
	text := "Nothing was done: " + reason(err) + "."
	if status == http.StatusServiceUnavailable {
		text = "It is not known whether it was done: " + err.Error() + ". Repeat it: the form carries a key, so it is done once."
	}
	st, again := v.cfg.Engine.Status(v.r.Context(), id)
	if again != nil {
		v.problem(status, text, "")
		return
	}
	if status == http.StatusPreconditionFailed || status == http.StatusConflict {
		text += " " + v.first(st)
	}
	if c == strategies.NoCommand {
		v.problem(status, text, "")
		return
	}
	v.ask(status, st, v.offer(st, c), text, v.r.PostForm.Get("reason"))
}

// first says who was first: the last change of the rollout.
func (v *visit) first(st rollout.Status) string {
	ev := v.event(v.r.Context(), st.ID, st.Changed)
	if ev.Seq == 0 {
		return ""
	}
	return fmt.Sprintf("The last change: %s by %s, %d s ago: %s.", ev.Kind, ev.By.Name, max(int(time.Since(ev.At)/time.Second), 0), ev.Reason)
}

// diffLine is one line of a comparison: Sign is "+", "-" or " ".
type diffLine struct{ Sign, Text, Class string }

// diff compares two plans by line.
func (c *Console) diff(before, after rollout.Plan) (all []diffLine) {
	d, err := planfile.Compare(before, after)
	if err != nil {
		return []diffLine{{" ", "the plans cannot be compared: " + err.Error(), "same"}}
	}
	if len(d.Lines) == 0 {
		for line := range strings.Lines(string(c.planText(after))) {
			d.Lines = append(d.Lines, "  "+strings.TrimSuffix(line, "\n"))
		}
	}
	for _, line := range d.Lines {
		class := map[byte]string{'+': "new", '-': "gone", ' ': "same"}[line[0]]
		all = append(all, diffLine{line[:1], line[2:], class})
	}
	return all
}
