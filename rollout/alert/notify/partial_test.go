package notify

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// refused returns the keys of alerts that an error names, and whether it names any.
func refused(err error) ([]string, bool) {
	var p interface{ Refused() []string }
	if !errors.As(err, &p) {
		return nil, false
	}
	return p.Refused(), true
}

// An event that PagerDuty refuses does not keep others from it.
func TestPagerDutyTriesEachAlert(t *testing.T) {
	var taken []string
	busy := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "Bad"):
			w.WriteHeader(http.StatusBadRequest)
		case busy && strings.Contains(string(body), "Busy"):
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			taken = append(taken, string(body))
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer server.Close()
	p := must(NewPagerDuty(PagerDutyOptions{Key: "key-of-a-service", URL: Secret(server.URL)}))
	bad := alert.Alert{Name: "Bad", Severity: alert.Critical}
	n := alert.Notification{Key: "k", At: time.Now(), Alerts: []alert.Alert{bad, {Name: "Busy", Severity: alert.Critical}, {Name: "Down", Severity: alert.Critical}}}
	err := p.Notify(t.Context(), n)
	if keys, ok := refused(err); !rollout.IsPermanent(err) || !ok || !slices.Equal(keys, []string{bad.Key()}) || len(taken) != 2 {
		t.Errorf("%v, refused %q, %d taken", err, keys, len(taken))
	}
	busy, taken = true, nil
	err = p.Notify(t.Context(), n)
	var e *Error
	if rollout.IsPermanent(err) || !errors.As(err, &e) || e.RetryAfter() != 7*time.Second || len(taken) != 1 {
		t.Errorf("%v, %d taken", err, len(taken))
	}
}

// A recipient that the server refuses does not keep the mail from others, who get it once.
func TestMailTriesEachRecipient(t *testing.T) {
	office := openPostOffice(t)
	m := must(NewMail(MailOptions{Server: office.addr, From: "a@x.de", To: []string{"left@x.de", "oncall@x.de", "slow@x.de"}}))
	say := func(to, answer string) {
		office.mu.Lock()
		defer office.mu.Unlock()
		office.answer["RCPT TO:<"+to+"@x.de>"] = answer
	}
	mails := func() int {
		office.mu.Lock()
		defer office.mu.Unlock()
		return len(office.mails)
	}
	say("left", "550 no such user")
	err := m.Notify(t.Context(), held())
	keys, ok := refused(err)
	if !rollout.IsPermanent(err) || !ok || len(keys) != 0 || mails() != 1 || !strings.Contains(err.Error(), "left@x.de") {
		t.Errorf("%v, %q, %d mails", err, keys, mails())
	}
	say("left", "")
	say("slow", "450 later")
	if err := m.Notify(t.Context(), held()); err == nil || rollout.IsPermanent(err) || mails() != 2 {
		t.Errorf("%v, %d mails", err, mails())
	}
	if err := m.Notify(t.Context(), held()); err == nil || rollout.IsPermanent(err) || mails() != 2 {
		t.Errorf("sent again to those who have it: %v, %d mails", err, mails())
	}
	say("slow", "")
	if err := m.Notify(t.Context(), held()); err != nil || mails() != 3 {
		t.Errorf("%v, %d mails", err, mails())
	}
	say("slow", "550 no")
	say("left", "550 no")
	say("oncall", "550 no")
	if err := m.Notify(t.Context(), held()); !rollout.IsPermanent(err) || mails() != 3 {
		t.Errorf("%v, %d mails", err, mails())
	}
}
