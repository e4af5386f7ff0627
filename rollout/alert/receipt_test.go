package alert_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

func TestReceiptOfAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: one(r), URL: "https://console.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := m.Test(t.Context(), "chat")
		if err != nil || receipt.Accepted.IsZero() || !receipt.Confirmed.IsZero() {
			t.Fatalf("%+v, %v", receipt, err)
		}
		got := r.messages()[0]
		if !got.Test || got.Alerts[0].Severity != alert.Info || !strings.Contains(got.Alerts[0].Summary, "no action needed") {
			t.Errorf("%+v", got)
		}
		link, err := url.Parse(got.Alerts[0].URL)
		if err != nil || link.Path != "/seen" {
			t.Fatalf("%v, %v", link, err)
		}
		call := func(method, query string) (int, string) {
			req := httptest.NewRequestWithContext(t.Context(), method, "/seen?"+query, nil)
			w := httptest.NewRecorder()
			m.Seen().ServeHTTP(w, req)
			return w.Code, w.Body.String()
		}
		confirmed := func() bool {
			r, err := m.Receipt(t.Context(), receipt.ID)
			if err != nil {
				t.Fatal(err)
			}
			return !r.Confirmed.IsZero()
		}
		if code, page := call(http.MethodGet, link.RawQuery); code != http.StatusOK || !strings.Contains(page, "I have seen it") || confirmed() {
			t.Errorf("GET confirms, or is refused: %d, %s", code, page)
		}
		if code, _ := call(http.MethodPost, link.RawQuery+"x"); code != http.StatusForbidden || confirmed() {
			t.Errorf("another token: %d", code)
		}
		if code, _ := call(http.MethodDelete, link.RawQuery); code != http.StatusMethodNotAllowed {
			t.Errorf("DELETE: %d", code)
		}
		if code, _ := call(http.MethodPost, link.RawQuery); code != http.StatusOK || !confirmed() {
			t.Errorf("POST: %d", code)
		}
		if code, _ := call(http.MethodPost, link.RawQuery); code != http.StatusForbidden {
			t.Errorf("a second time: %d", code)
		}
		if _, err := m.Test(t.Context(), "chat"); err != nil {
			t.Fatal(err)
		}
		late, _ := url.Parse(r.messages()[1].Alerts[0].URL)
		time.Sleep(25 * time.Hour)
		if code, _ := call(http.MethodPost, late.RawQuery); code != http.StatusForbidden {
			t.Errorf("after a day: %d", code)
		}
	})
}

// looking is a receiver that knows what has arrived.
type looking struct {
	receiver
	arrived bool
}

func (l *looking) Confirmed(context.Context, alert.Notification) (bool, error) { return l.arrived, nil }

func TestReceiptOfAConfirmer(t *testing.T) {
	l := &looking{}
	m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"am": l}})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := m.Test(t.Context(), "am")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.Receipt(t.Context(), receipt.ID); err != nil || !r.Confirmed.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	l.arrived = true
	if r, err := m.Receipt(t.Context(), receipt.ID); err != nil || r.Confirmed.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	var invalid *checks.InvalidError
	if _, err := m.Test(t.Context(), "nobody"); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if _, err := m.Receipt(t.Context(), "none"); !errors.Is(err, rollout.ErrNotFound) {
		t.Error(err)
	}
	l.set(false, func(alert.Notification) error { return errors.New("down") })
	if r, err := m.Test(t.Context(), "am"); err == nil || !r.Accepted.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
}
