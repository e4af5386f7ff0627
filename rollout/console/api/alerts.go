package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/health"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/console/client"
)

// firing returns the alerts that fire and that the caller may read, the worst first.
func (s *Server) firing(may func(target string) bool) []alert.Alert {
	var all []alert.Alert
	if s.cfg.Alerts == nil {
		return nil
	}
	for _, a := range s.cfg.Alerts.Firing() {
		if may(a.Labels["target"]) {
			all = append(all, a)
		}
	}
	return all
}

// alertOf returns an alert as the API shows it.
func alertOf(a alert.Alert) client.Alert {
	return client.Alert{
		Key: a.Key(), Name: visible.Line(a.Name), Labels: visibleMap(a.Labels), Severity: a.Severity.String(),
		Summary: visible.Line(a.Summary), Detail: visible.Line(a.Detail), Values: visibleMap(a.Values),
		Began: a.Began, Ended: a.Ended, Runbook: visible.Line(a.Runbook), URL: visible.Line(a.URL), Unknown: a.Unknown,
	}
}

func visibleMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[visible.Line(k)] = visible.Line(v)
	}
	return out
}

// showAlerts answers GET /alerts.
func (s *Server) showAlerts(r *request) (*answer, error) {
	out := client.Alerts{Firing: []client.Alert{}}
	may := func(target string) bool { return s.may(r, actionRead, target) }
	for _, a := range s.firing(may) {
		out.Firing = append(out.Firing, alertOf(a))
	}
	if s.cfg.Alerts == nil {
		return &answer{body: out}, nil
	}
	for _, a := range s.cfg.Alerts.History() {
		if may(a.Labels["target"]) {
			out.History = append(out.History, alertOf(a))
		}
	}
	for _, sil := range s.cfg.Alerts.Silences() {
		if may(sil.Match["target"]) {
			out.Silences = append(out.Silences, client.Silence{
				ID: sil.ID, Match: visibleMap(sil.Match), From: sil.From, To: sil.To, Reason: visible.Line(sil.Reason),
				By: actorOf(sil.By), Seconded: actorOf(sil.Seconded), NeedsSecond: sil.NeedsSecond,
			})
		}
	}
	return &answer{body: out}, nil
}

// about returns the target that a silence is about, "" for more than one.
func about(match map[string]string) string {
	t := match["target"]
	if t != "" && t[len(t)-1] == '*' {
		return ""
	}
	return t
}

// silence answers POST /silences.
func (s *Server) silence(r *request) (*answer, error) {
	var in client.Silence
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := s.must(r, actionSilence, about(in.Match)); err != nil {
		return nil, err
	}
	if s.cfg.Alerts == nil {
		return nil, fault(client.Refused, "this server has no alerts")
	}
	id, err := s.cfg.Alerts.Silence(r.Context(), alert.Silence{Match: in.Match, From: in.From, To: in.To, Reason: in.Reason}, r.by)
	if err != nil {
		return nil, err
	}
	second := true // what is not known has no effect
	for _, sil := range s.cfg.Alerts.Silences() {
		if sil.ID == id {
			second = sil.NeedsSecond && sil.Seconded.Name == ""
		}
	}
	return &answer{status: http.StatusCreated, body: struct {
		ID          string `json:"id"`
		NeedsSecond bool   `json:"needs_second,omitempty"`
	}{id, second}}, nil
}

// silenceOf returns the silence that a path names, if the caller may change it.
func (s *Server) silenceOf(r *request) (alert.Silence, error) {
	if s.cfg.Alerts == nil {
		return alert.Silence{}, missing()
	}
	for _, sil := range s.cfg.Alerts.Silences() {
		if sil.ID == r.PathValue("silence") {
			return sil, s.must(r, actionSilence, about(sil.Match))
		}
	}
	return alert.Silence{}, missing()
}

// unsilence answers DELETE /silences/{silence}.
func (s *Server) unsilence(r *request) (*answer, error) {
	sil, err := s.silenceOf(r)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Alerts.Unsilence(r.Context(), sil.ID, r.by); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// second answers POST /silences/{silence}/second.
func (s *Server) second(r *request) (*answer, error) {
	sil, err := s.silenceOf(r)
	if err != nil {
		return nil, err
	}
	if len(r.body) > 0 {
		if err := r.decode(&struct{}{}); err != nil {
			return nil, err
		}
	}
	err = s.cfg.Alerts.Second(r.Context(), sil.ID, r.by)
	var wrong *checks.InvalidError
	switch {
	case errors.As(err, &wrong):
		return nil, fault(client.Refused, "you cannot agree to it: have %v, want %s", wrong.Value, wrong.Want)
	case err != nil:
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// testReceiver answers POST /receivers/{receiver}/test.
func (s *Server) testReceiver(r *request) (*answer, error) {
	if err := s.must(r, rollout.ActionConfigure, ""); err != nil {
		return nil, err
	}
	if s.cfg.Alerts == nil {
		return nil, fault(client.Refused, "this server has no alerts")
	}
	got, err := s.cfg.Alerts.Test(r.Context(), r.PathValue("receiver"))
	if err != nil {
		return nil, err
	}
	return &answer{body: client.Receipt{ID: got.ID, Receiver: got.Receiver, Made: got.Made, Accepted: got.Accepted, Confirmed: got.Confirmed}}, nil
}

// showHealth answers GET /health.
func (s *Server) showHealth(r *request) (*answer, error) {
	if err := s.readable(r, ""); err != nil {
		return nil, err
	}
	if s.cfg.Health == nil {
		return nil, missing()
	}
	return &answer{body: healthOf(s.cfg.Health.Report())}, nil
}

func healthOf(h health.Report) client.Health {
	out := client.Health{At: h.At, Live: h.Live.String(), Ready: h.Ready.String(), Startup: h.Startup.String(), Draining: h.Draining}
	for _, c := range h.Components {
		out.Components = append(out.Components, client.Component{
			Name: visible.Line(c.Name), Status: c.Status.String(), State: c.State, Output: visible.Line(c.Output),
			Since: c.Since, Looked: c.Looked, Took: client.Duration(c.Took),
		})
	}
	return out
}

// showPanel answers GET /{panel} and GET /{panel}/{id}.
func (s *Server) showPanel(r *request) (*answer, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, client.Base+"/"), "/")
	panel := s.cfg.Panels[name]
	if panel == nil {
		return nil, missing()
	}
	if err := s.readable(r, ""); err != nil {
		return nil, err
	}
	data, err := panel(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &answer{body: data}, nil
}
