package console

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/rollout/console/internal/guard"
)

// visit is one request for a page.
type visit struct {
	*Console
	w      http.ResponseWriter
	r      *http.Request
	parts  []string // of the path below Prefix
	by     rollout.Actor
	signed bool // by has signed in
}

// The actions that are not commands.
const (
	actionRead                     = guard.Read
	actionReadAudit rollout.Action = "read-audit"
	actionAttest    rollout.Action = "attest"
	actionWaive     rollout.Action = "waive"
	actionSilence   rollout.Action = "silence"
)

// serve answers the request.
func (v *visit) serve() {
	if v.parts[0] == "sign-in" {
		v.signIn()
		return
	}
	if !v.authenticate() {
		return
	}
	switch v.r.Method {
	case http.MethodGet, http.MethodHead:
		v.get()
	case http.MethodPost:
		if v.sameOrigin() && v.form() {
			v.post()
		}
	default:
		v.w.Header().Set("Allow", "GET, HEAD, POST")
		v.problem(http.StatusMethodNotAllowed, "This page cannot do that.", "")
	}
}

// form reads the form of a POST.
func (v *visit) form() bool {
	_ = http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has deadlines
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
	var large *http.MaxBytesError
	switch err := v.r.ParseForm(); {
	case errors.As(err, &large):
		v.problem(http.StatusRequestEntityTooLarge, "The form is too large.", "")
		return false
	case err != nil:
		v.problem(http.StatusBadRequest, "The form cannot be read.", "")
		return false
	}
	return true
}

// authenticate finds out who asks. If it returns false, it has answered.
func (v *visit) authenticate() bool {
	if v.cfg.Who == nil {
		if !guard.Local(v.r) {
			v.refuse(actionRead, "", "authenticate", "not from this machine, and there is no sign-in")
			v.problem(http.StatusForbidden, "This console has no sign-in, so it answers this machine alone.", "Set Config.Who to open it to people.")
			return false
		}
		v.by = rollout.Actor{Name: "this machine", Via: "console"}
		return true
	}
	by, err := v.cfg.Who.Authenticate(v.r)
	if err == nil {
		by.Via = cmp.Or(by.Via, "console")
		err = by.Validate()
	}
	switch {
	case err == nil:
		v.by, v.signed = by, true
		return true
	case errors.Is(err, access.ErrNoCredentials):
		v.askToSignIn("")
	case errors.Is(err, access.ErrCredentials):
		v.refuse("", "", "authenticate", err.Error())
		v.askToSignIn("The credentials are not valid.")
	default:
		v.cfg.Logger.ErrorContext(v.r.Context(), "caller cannot be authenticated; refused", "error", err)
		v.w.Header().Set("Retry-After", "1")
		v.problem(http.StatusServiceUnavailable, "It cannot be found out now who you are.", "Try again in a second.")
	}
	return false
}

// may returns why the caller may not do something to a target, or nil.
func (v *visit) may(what rollout.Action, target string) error {
	return guard.May(v.r.Context(), v.cfg.May, v.by, v.signed, what, target)
}

// reads reports whether the caller may read a target.
func (v *visit) reads(target string) bool { return v.may(actionRead, target) == nil }

// refuse reports a refusal.
func (v *visit) refuse(what rollout.Action, target, rule, reason string) {
	reason = visible.Line(reason)
	v.cfg.Logger.WarnContext(v.r.Context(), "request refused", "action", what, "by", v.by.Name, "target", target, "rule", rule, "reason", reason)
	if v.cfg.Refused != nil {
		v.cfg.Refused(v.r.Context(), rollout.Refusal{By: v.by, Action: what, Target: target, Rule: rule, Reason: reason})
	}
}

// sameOrigin refuses a POST that a page of another origin may have sent. If it returns
// false, it has answered.
func (v *visit) sameOrigin() bool {
	err := guard.SameOrigin(v.origin, v.r)
	if err == nil {
		return true
	}
	v.refuse("", "", "origin", err.Error())
	v.problem(http.StatusForbidden, "The form may come from a page of another origin, so nothing was done.", err.Error())
	return false
}

// askToSignIn answers with the page to sign in, or says that the caller has to.
func (v *visit) askToSignIn(why string) {
	if v.cfg.Sessions == nil {
		v.problem(http.StatusUnauthorized, "Sign in to see this page.", why)
		return
	}
	v.show(http.StatusUnauthorized, "sign", page{Title: "Sign in", Main: signing{Why: why, Back: v.r.URL.Path}})
}

// signing is the content of the page to sign in.
type signing struct{ Why, Back string }

// signIn exchanges a token for a session.
func (v *visit) signIn() {
	if v.cfg.Sessions == nil {
		v.missing()
		return
	}
	if v.r.Method != http.MethodPost {
		v.show(http.StatusOK, "sign", page{Title: "Sign in", Main: signing{}})
		return
	}
	if !v.sameOrigin() || !v.form() {
		return
	}
	asked := v.r.Clone(v.r.Context())
	asked.Header = http.Header{"Authorization": {"Bearer " + v.r.PostForm.Get("token")}}
	by, err := v.cfg.Who.Authenticate(asked)
	if err == nil {
		err = v.cfg.Sessions.Start(v.w, v.r, by)
	}
	if err != nil {
		v.refuse("", "", "authenticate", err.Error())
		v.show(http.StatusUnauthorized, "sign", page{Title: "Sign in", Main: signing{Why: "The token is not valid.", Back: v.r.PostForm.Get("back")}})
		return
	}
	back := v.r.PostForm.Get("back")
	if !strings.HasPrefix(back, v.cfg.Prefix+"/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n") {
		back = v.cfg.Prefix + "/"
	}
	http.Redirect(v.w, v.r, back, http.StatusSeeOther)
}

// get answers a GET.
func (v *visit) get() {
	p := v.parts
	switch {
	case len(p) == 1 && p[0] == "":
		v.home()
	case p[0] == "approvals" && len(p) == 1:
		v.approvals()
	case p[0] == "alerts" && len(p) == 1:
		v.alerts()
	case p[0] == "alerts" && len(p) == 3 && p[1] == "test":
		v.testForm(p[2])
	case p[0] == "alerts" && len(p) == 3 && p[1] == "second":
		v.secondForm(p[2])
	case p[0] == "find" && len(p) == 1:
		v.find()
	case p[0] == "help" && len(p) == 1:
		v.help()
	case p[0] == "health" && len(p) == 1:
		v.health()
	case p[0] == "me" && len(p) == 1:
		v.me()
	case p[0] == "plans" && len(p) == 1:
		v.plans()
	case p[0] == "plans" && len(p) == 2:
		v.plan(p[1])
	case p[0] == "checklists":
		v.checklists(p[1:])
	case v.panel(p):
	default:
		v.target(p)
	}
}

// target answers a GET for a page of a target.
func (v *visit) target(p []string) {
	name := p[0]
	if !v.known(name) {
		v.missing()
		return
	}
	switch {
	case len(p) == 1:
		v.newest(name)
	case len(p) == 2 && p[1] == "history":
		v.history(name)
	case len(p) == 2 && p[1] == "audit":
		v.audit(name)
	default:
		v.ofRollout(rollout.ID(name+"/"+p[1]), p[2:])
	}
}

// known reports whether there is a target that the caller may read.
func (v *visit) known(name string) bool {
	names, err := v.targets(v.r.Context())
	if err != nil || !v.reads(name) {
		return false
	}
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// ofRollout answers a GET for a page of a rollout.
func (v *visit) ofRollout(id rollout.ID, p []string) {
	st, err := v.cfg.Engine.Status(v.r.Context(), id)
	if err != nil {
		v.unread(id.Target(), err)
		return
	}
	switch {
	case len(p) == 0:
		v.rollout(st)
	case len(p) == 1 && p[0] == "events":
		v.listEvents(st)
	case len(p) == 2 && p[0] == "events":
		v.showEvent(st, p[1])
	case len(p) == 1 && p[0] == "checks":
		v.checks(st)
	case len(p) == 1 && p[0] == "plan":
		v.showPlan(st)
	case len(p) == 1:
		v.action(st, p[0])
	default:
		v.missing()
	}
}
