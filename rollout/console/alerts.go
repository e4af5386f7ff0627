package console

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// alerts answers with what fires, silences, and the paths of alerts.
func (v *visit) alerts() {
	if v.cfg.Alerts == nil {
		v.missing()
		return
	}
	firing := v.alertTable("Firing", v.cfg.Alerts.Firing())
	if err := v.cfg.Alerts.Ready(); err != nil {
		firing.Text = append(firing.Text, "✗ Critical alerts are not sent now: "+err.Error())
	}
	silences := section{Title: "Silences", Head: []string{"alerts", "until", "by", "reason", "state"}}
	for _, s := range v.cfg.Alerts.Silences() {
		if !v.reads(about(s)) && !v.reads("") {
			continue
		}
		silences.Rows = append(silences.Rows, []cell{text(matched(s)), at(s.To), text(s.By.Name), text(s.Reason), v.silenceState(s)})
	}
	if silences.Rows == nil {
		silences.Text = []string{"None."}
	}
	begin := section{Title: "Begin a silence", Text: []string{"Alerts go on to fire and are not sent. What still fires at its end is sent then."}, Form: &form{
		Action: v.path("alerts", "silence"), Button: "Silence",
		Fields: []field{{Name: "target", Label: "Target"}, {Name: "alert", Label: "Name of the alert, or empty for all", Optional: true}, {Name: "hours", Label: "Hours", Type: "number", Value: "1"}, {Name: "reason", Label: "Reason"}},
	}}
	if err := v.may(actionSilence, ""); err != nil && !v.silencesSome() {
		begin.Form.Why = "you may not: " + reason(err)
	}
	paths := section{Title: "Receivers of critical alerts", Head: []string{"receiver", "test"}}
	for _, p := range v.cfg.Alerts.Paths() {
		paths.Rows = append(paths.Rows, []cell{text(p.Receiver), to("send a test message", v.path("alerts", "test", p.Receiver))})
	}
	ended := v.alertTable("Ended in the last 24 hours", v.cfg.Alerts.History())
	v.sections(page{Title: "Alerts", At: time.Now(), See: "alerts"}, firing, silences, begin, paths, ended)
}

// matched words which alerts a silence is about.
func matched(s alert.Silence) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(s.Match)) {
		all = append(all, k+"="+s.Match[k])
	}
	return strings.Join(all, " ")
}

// silenceState words what becomes of a silence, and leads to what the caller can do about it.
func (v *visit) silenceState(s alert.Silence) cell {
	now := time.Now()
	switch {
	case !s.To.After(now):
		return text("has ended")
	case waits(s):
		return to("has no effect until a second person agrees", v.path("alerts", "second", s.ID))
	case s.From.After(now):
		return text("begins later")
	case s.Seconded.Name != "":
		return text("in force, agreed to by " + s.Seconded.Name)
	}
	return text("in force")
}

// about returns the target that a silence is about, "" for more than one.
func about(s alert.Silence) string {
	if t := s.Match["target"]; !strings.HasSuffix(t, "*") {
		return t
	}
	return ""
}

// waiting returns the silence with an ID that waits for a second person, if the caller may read
// about it.
func (v *visit) waiting(id string) (alert.Silence, bool) {
	if v.cfg.Alerts != nil {
		for _, s := range v.cfg.Alerts.Silences() {
			if s.ID == id && waits(s) && s.To.After(time.Now()) && (v.reads(about(s)) || v.reads("")) {
				return s, true
			}
		}
	}
	return alert.Silence{}, false
}

// maySecond returns why the caller may not agree to a silence.
func (v *visit) maySecond(s alert.Silence) error {
	if err := v.may(actionSilence, about(s)); err != nil {
		return err
	}
	err := v.cfg.Alerts.MaySecond(v.r.Context(), s.ID, v.by)
	var wrong *checks.InvalidError
	if errors.As(err, &wrong) {
		return errors.New("it needs " + wrong.Want)
	}
	return err
}

// secondForm answers with the form by which a second person agrees to a silence.
func (v *visit) secondForm(id string) {
	s, ok := v.waiting(id)
	if !ok {
		v.missing()
		return
	}
	f := &form{Action: v.path("alerts", "second", id), Button: "Agree to this silence"}
	if err := v.maySecond(s); err != nil {
		f.Why = "you may not: " + reason(err)
	}
	v.sections(page{Title: "Agree to a silence"}, section{
		Title: "Agree to a silence", Form: f,
		Text: []string{
			"These alerts are not sent from the moment you agree until the silence ends. They go on to fire, and what still fires at its end is sent then.",
			"It is recorded that you have agreed, under your name, " + v.by.Name + ".",
		},
		Head: []string{"what", "value"},
		Rows: [][]cell{{text("alerts"), text(matched(s))}, {text("from"), at(s.From)}, {text("until"), at(s.To)}, {text("asked for by"), text(s.By.Name)}, {text("reason"), text(s.Reason)}},
	})
}

// second agrees to a silence.
func (v *visit) second(id string) {
	s, ok := v.waiting(id)
	if !ok {
		v.missing()
		return
	}
	if err := v.maySecond(s); err != nil {
		v.refuse(actionSilence, about(s), "authorize", err.Error())
		v.problem(http.StatusForbidden, "Nothing was done: you may not agree to this silence: "+reason(err)+".", "")
		return
	}
	if err := v.cfg.Alerts.Second(v.r.Context(), id, v.by); err != nil {
		v.problem(http.StatusConflict, "It is not known whether your agreement was recorded.", err.Error())
		return
	}
	v.leave("/alerts", "agreed")
}

// silencesSome reports whether the caller may silence the alerts of any target.
func (v *visit) silencesSome() bool {
	for _, name := range v.readable() {
		if v.may(actionSilence, name) == nil {
			return true
		}
	}
	return false
}

func (v *visit) alertTable(title string, all []alert.Alert) section {
	s := section{Title: title, Head: []string{"alert", "severity", "about", "since", "what", "runbook"}}
	for _, a := range all {
		if !v.reads(a.Labels["target"]) {
			continue
		}
		row := []cell{text(a.Name), text(a.Severity.String()), text(a.Labels["target"]), at(a.Began), text(a.Summary), text("")}
		if strings.HasPrefix(a.Runbook, "https://") || strings.HasPrefix(a.Runbook, "http://") {
			row[5] = to("runbook", a.Runbook)
		}
		s.Rows = append(s.Rows, row)
	}
	if s.Rows == nil {
		s.Text = []string{"None."}
	}
	return s
}

// postAlert begins a silence, agrees to one, or sends a test message.
func (v *visit) postAlert(p []string) {
	switch {
	case v.cfg.Alerts == nil:
		v.missing()
	case len(p) == 1 && p[0] == "silence":
		v.silence()
	case len(p) == 2 && p[0] == "second":
		v.second(p[1])
	case len(p) == 2 && p[0] == "test":
		if err := v.may(rollout.ActionConfigure, ""); err != nil {
			v.refuse(rollout.ActionConfigure, "", "authorize", err.Error())
			v.problem(http.StatusForbidden, "Nothing was done: you may not send test messages: "+reason(err)+".", "")
			return
		}
		if _, err := v.cfg.Alerts.Test(v.r.Context(), p[1]); err != nil {
			v.problem(http.StatusConflict, "The test message was not sent.", err.Error())
			return
		}
		v.leave("/alerts", "test")
	default:
		v.missing()
	}
}

// silence begins a silence.
func (v *visit) silence() {
	form := v.r.PostForm
	target := form.Get("target")
	if err := v.may(actionSilence, target); err != nil {
		v.refuse(actionSilence, target, "authorize", err.Error())
		v.problem(http.StatusForbidden, "Nothing was done: you may not: "+reason(err)+".", "")
		return
	}
	var hours int
	if _, err := fmt.Sscanf(form.Get("hours"), "%d", &hours); err != nil || hours < 1 || hours > 24*366 || target == "" {
		v.problem(http.StatusUnprocessableEntity, "Nothing was done: a silence needs a target, and a number of hours of at least 1.", "")
		return
	}
	match := map[string]string{"target": target}
	if name := form.Get("alert"); name != "" {
		match["alertname"] = name
	}
	id, err := v.cfg.Alerts.Silence(v.r.Context(), alert.Silence{Match: match, To: time.Now().Add(time.Duration(hours) * time.Hour), Reason: form.Get("reason")}, v.by)
	if err != nil {
		v.problem(http.StatusConflict, "Nothing was done: the silence was refused.", err.Error())
		return
	}
	for _, s := range v.cfg.Alerts.Silences() {
		if s.ID == id && waits(s) {
			v.leave("/alerts", "waits")
			return
		}
	}
	v.leave("/alerts", "done")
}

// waits reports whether a silence has no effect until a second person agrees.
func waits(s alert.Silence) bool { return s.NeedsSecond && s.Seconded.Name == "" }

// testForm answers with the form that sends a test message.
func (v *visit) testForm(receiver string) {
	if v.cfg.Alerts == nil {
		v.missing()
		return
	}
	f := &form{Action: v.path("alerts", "test", receiver), Button: "Send a test message to " + receiver}
	if err := v.may(rollout.ActionConfigure, ""); err != nil {
		f.Why = "you may not: " + reason(err)
	}
	for _, p := range v.cfg.Alerts.Paths() {
		if p.Receiver == receiver {
			v.sections(page{Title: "Test " + receiver}, section{Title: "Test of the path to " + receiver, Text: []string{"A message that is marked as a test is sent now. It is asked whether it has arrived."}, Form: f})
			return
		}
	}
	v.missing()
}
