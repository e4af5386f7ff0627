package alert

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/rollout"
)

// Receipt says how far a test message has come. It is plain data.
type Receipt struct {
	ID       string `json:"id"`
	Receiver string `json:"receiver"`
	// Made is when the message was made, and Accepted when the receiver took it, or zero.
	Made     time.Time `json:"made"`
	Accepted time.Time `json:"accepted,omitzero"`
	// Confirmed is when it was known to have arrived: a person has said so, or the receiver
	// is a [Confirmer] that found it.
	Confirmed time.Time `json:"confirmed,omitzero"`
}

// test is a test message in the state.
type test struct {
	Receipt
	Token string `json:"token"` // the SHA-256 of what confirms it
}

const (
	testName   = "AlertTest"
	tokenValid = 24 * time.Hour
	maxTests   = 200
)

// Test sends a message that is marked as a test to one receiver, past routes and silences, and
// returns its receipt. The message has a link to [Manager.Seen] if [Config.URL] is set. The
// error is a [*checks.InvalidError] if there is no such receiver, or from the receiver or the
// store; the receipt is returned with it.
func (m *Manager) Test(ctx context.Context, receiver string) (Receipt, error) {
	to := m.cfg.Receivers[receiver]
	if to == nil {
		return Receipt{}, &checks.InvalidError{Package: "alert", Field: "Test.receiver", Value: fmt.Sprintf("%.80q", receiver), Want: fmt.Sprintf("one of %q", slices.Sorted(maps.Keys(m.cfg.Receivers)))}
	}
	token := rand.Text()
	t := test{Receipt: Receipt{ID: strings.ToLower(rand.Text()), Receiver: receiver, Made: now()}, Token: digest(token)}
	err := m.update(ctx, false, func(d *document) bool {
		if len(d.Tests) >= maxTests {
			d.forgetTest()
		}
		stored := t
		d.Tests[t.ID] = &stored
		return true
	})
	if err != nil {
		return t.Receipt, err
	}
	if err := m.try(ctx, receiver, m.rehearsal(t.Receipt, token)); err != nil {
		return t.Receipt, fmt.Errorf("alert: test of receiver %s: %w", receiver, err)
	}
	t.Accepted = now()
	return t.Receipt, m.update(ctx, false, func(d *document) bool {
		old := d.Tests[t.ID]
		if old == nil {
			return false
		}
		next := *old
		next.Accepted = t.Accepted
		d.Tests[t.ID] = &next
		return true
	})
}

// try sends a message past all others, unless an attempt was left alone.
func (m *Manager) try(ctx context.Context, receiver string, n Notification) error {
	l := m.lanes[receiver]
	m.mu.Lock()
	stuck := !isOver(l.left)
	m.mu.Unlock()
	if stuck {
		return errStuck
	}
	limited, cancel := context.WithTimeout(ctx, rollout.NotifyTimeout)
	defer cancel()
	over, err := notify(limited, m.cfg.Receivers[receiver], n)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !isOver(over) && isOver(l.left) {
		l.left = over
	}
	return err
}

// forgetTest forgets the oldest test.
func (d *document) forgetTest() {
	oldest := ""
	for id, t := range d.Tests {
		if oldest == "" || t.Made.Before(d.Tests[oldest].Made) {
			oldest = id
		}
	}
	delete(d.Tests, oldest)
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// rehearsal is the test message of a receipt.
func (m *Manager) rehearsal(r Receipt, token string) Notification {
	a := Alert{Name: testName, Labels: map[string]string{"test": "true", "id": r.ID}, Severity: Info, Began: r.Made,
		Summary: "test, no action needed", Detail: "The path of alerts to receiver " + r.Receiver + " is rehearsed."}
	if token != "" && m.cfg.URL != "" {
		a.URL = strings.TrimSuffix(m.cfg.URL, "/") + "/seen?" + url.Values{"id": {r.ID}, "token": {token}}.Encode()
		a.Summary += "; please follow the link and say that you have seen it"
	}
	return Notification{Key: r.ID, Group: "test", Alerts: []Alert{m.dress(a)}, Test: true, At: r.Made}
}

// Receipt returns how far a test message has come, and asks a [Confirmer] about it. An error
// that wraps [rollout.ErrNotFound] means that there is no such test; others are from the
// store or the receiver.
func (m *Manager) Receipt(ctx context.Context, id string) (Receipt, error) {
	if err := m.load(ctx); err != nil {
		return Receipt{}, err
	}
	t := m.doc.Load().Tests[id]
	if t == nil {
		return Receipt{}, fmt.Errorf("alert: test %.40q: %w", id, rollout.ErrNotFound)
	}
	c, ok := m.cfg.Receivers[t.Receiver].(Confirmer)
	if !ok || t.Accepted.IsZero() || !t.Confirmed.IsZero() {
		return t.Receipt, nil
	}
	limited, cancel := context.WithTimeout(ctx, rollout.NotifyTimeout)
	defer cancel()
	arrived, _, err := patient(limited, func(ctx context.Context) (bool, error) { return c.Confirmed(ctx, m.rehearsal(t.Receipt, "")) })
	if err != nil || !arrived {
		return t.Receipt, err
	}
	return m.confirm(ctx, id)
}

// confirm notes that a test message has arrived.
func (m *Manager) confirm(ctx context.Context, id string) (r Receipt, err error) {
	err = m.update(ctx, true, func(d *document) bool {
		old := d.Tests[id]
		if old == nil {
			return false
		}
		next := *old
		next.Token = "" // it is used
		if next.Confirmed.IsZero() {
			next.Confirmed = now()
		}
		r = next.Receipt
		d.Tests[id] = &next
		return true
	})
	return r, err
}

// ErrIdle means that alerts are not sent by this process.
var ErrIdle = errors.New("alert: Run does not run here, or cannot use the store")

// ErrSilenced means that a silence hides every Critical alert.
var ErrSilenced = errors.New("alert: a silence hides every critical alert")

// Ready returns why Critical alerts are not sent now, or nil: [ErrIdle] if [Manager.Run] has not
// looked at the state for 30 s in this process, or has ended, or [ErrSilenced].
func (m *Manager) Ready() error {
	at := now()
	if last := m.last.Load(); last == nil || at.Sub(*last) > claimFor {
		return ErrIdle
	}
	for _, s := range m.doc.Load().inForce(at) {
		if s.wide() {
			return fmt.Errorf("%w: %s, until %s", ErrSilenced, s.ID, s.To.Format(time.RFC3339))
		}
	}
	return nil
}

// Path is a receiver that Critical alerts reach.
type Path struct {
	Receiver string
	// Confirm is the [Route.Confirm] of the strictest route, or 0.
	Confirm time.Duration
}

// Paths returns the receivers that Critical alerts reach, by name.
func (m *Manager) Paths() []Path {
	all := make(map[string]time.Duration)
	for _, r := range m.routes {
		for _, to := range r.To {
			if old, there := all[to]; !there || r.Confirm > 0 && (old == 0 || r.Confirm < old) {
				all[to] = r.Confirm
			}
		}
	}
	var paths []Path
	for _, name := range slices.Sorted(maps.Keys(all)) {
		paths = append(paths, Path{name, all[name]})
	}
	return paths
}

var seenPage = template.Must(template.New("seen").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>Test of alerts</title>
<h1>Test of alerts</h1>
{{if .Done}}<p>Thank you. The test is confirmed.</p>
{{else if .ID}}<form method="post"><input type="hidden" name="id" value="{{.ID}}"><input type="hidden" name="token" value="{{.Token}}">
<p>This was a rehearsal. No action is needed.</p>
<button>I have seen it</button></form>
{{else}}<p>This link is not valid any more.</p>
{{end}}</html>
`))

// Seen returns the handler of URL/seen, where people confirm that a test message has arrived.
// A link is good for one confirmation within 24 h. GET shows a page with a button, since
// scanners of mails follow links, and only POST confirms.
func (m *Manager) Seen() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, HEAD, POST")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		var page struct {
			ID, Token string
			Done      bool
		}
		id, token := r.FormValue("id"), r.FormValue("token")
		err := m.load(r.Context())
		t := m.doc.Load().Tests[id]
		valid := err == nil && t != nil && t.Token != "" && now().Sub(t.Made) < tokenValid && subtle.ConstantTimeCompare([]byte(t.Token), []byte(digest(token))) == 1
		switch {
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		case !valid:
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodPost:
			if _, err = m.confirm(r.Context(), id); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			page.Done = err == nil
		default:
			page.ID, page.Token = id, token
		}
		if err != nil {
			m.log.ErrorContext(r.Context(), "a test of alerts is not confirmed", "error", redact.Text(err.Error()))
		}
		if err := seenPage.Execute(w, page); err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
			m.log.DebugContext(r.Context(), "a page is not written", "error", err)
		}
	})
}
