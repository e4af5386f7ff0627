package notify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// Whatever a receiver echoes, and in which form, no error has a secret.
func TestErrorsHaveNoSecrets(t *testing.T) {
	const key, token, sig, password = "R0ROUTINGKEY0123456789abcd", "XX/TOKEN+of&slack", "S1G=nature/of-teams", "hunter2 of mail"
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	hook := Secret(server.URL + "/services/T0000/" + url.PathEscape(token) + "?sig=" + url.QueryEscape(sig))
	office := openPostOffice(t)
	events, err := CloudEvents(CloudEventsOptions{URL: hook, Header: http.Header{"X-Auth": {"Key " + key}}})
	if err != nil {
		t.Fatal(err)
	}
	sink := alert.NotifierFunc(func(ctx context.Context, n alert.Notification) error { return events.Notify(ctx, rollout.Event{}) })
	receivers := map[string]alert.Notifier{
		"pagerduty": must(NewPagerDuty(PagerDutyOptions{Key: key, URL: hook})), "slack": must(NewSlack(hook)), "teams": must(NewTeams(hook)),
		"discord": must(NewDiscord(hook)), "alertmanager": must(NewAlertmanager(hook)), "cloudevents": sink,
		"webhook": must(NewWebhook(WebhookOptions{URL: hook, Secrets: []Secret{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}})),
	}
	slashes := func(s string) string { return strings.ReplaceAll(s, "/", `\/`) }
	codes := func(s string) string { // each character escaped as JSON may
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, `\u%04X`, r)
		}
		return b.String()
	}
	same := func(s string) string { return s }
	for _, secret := range []string{key, token, sig, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"} {
		for how, form := range map[string]func(string) string{"plain": same, "slashes": slashes, "codes": codes, "query": url.QueryEscape, "path": url.PathEscape, "quoted": func(s string) string { return fmt.Sprintf("%q", s) }} {
			for name, r := range receivers {
				known := map[string]string{key: "pagerduty cloudevents", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3": "webhook", token: name, sig: name}[secret]
				if !strings.Contains(known, name) {
					continue
				}
				answer = `no such thing ` + form(secret) + ` here`
				err := r.Notify(t.Context(), held())
				if err == nil {
					t.Fatalf("%s has taken it", name)
				}
				if s := err.Error(); strings.Contains(s, secret) || strings.Contains(s, form(secret)) || !strings.Contains(s, "no such thing") {
					t.Errorf("%s, %s: %s", name, how, s)
				}
			}
		}
	}
	office.mu.Lock()
	office.answer["MAIL"] = "550 password " + password + ", dSBo and AHUAaHVudGVyMiBvZiBtYWls"
	office.mu.Unlock()
	m := must(NewMail(MailOptions{Server: office.addr, From: "a@x.de", To: []string{"b@x.de"}}))
	m.hide = newHider(password, "\x00u\x00"+password)
	if err := m.Notify(t.Context(), held()); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "AHUAaHVudGVyMiBvZiBtYWls") {
		t.Error(err)
	}
}
