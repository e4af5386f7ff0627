package drill_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
)

// pager is a receiver that can be down, or lose what it has accepted.
type pager struct{ down, loses bool }

func (p *pager) Notify(context.Context, alert.Notification) error {
	if p.down {
		return errors.New("answered 503")
	}
	return nil
}

func (p *pager) Confirmed(context.Context, alert.Notification) (bool, error) { return !p.loses, nil }

// manager has two receivers for critical alerts, and runs until the end of the test.
func manager(t *testing.T, pager, chat *pager) *alert.Manager {
	t.Helper()
	m := idle(t, pager, chat)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(t.Context())
	}()
	t.Cleanup(func() { <-done })
	return m
}

// idle is a manager that does not run.
func idle(t *testing.T, pager, chat *pager) *alert.Manager {
	t.Helper()
	m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"pager": pager, "chat": chat},
		Routes: []alert.Route{{To: []string{"pager"}, Confirm: time.Minute, Continue: true}, {To: []string{"chat"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAlertPath(t *testing.T) {
	for _, tt := range []struct {
		name        string
		pager, chat pager
		status      checks.Status
		says        string
	}{
		{"all arrive", pager{}, pager{loses: true}, checks.Pass, "2 of 2"},
		{"a receiver is down", pager{}, pager{down: true}, checks.Fail, "chat: not accepted"},
		{"a receiver accepts and loses", pager{loses: true}, pager{}, checks.Fail, "pager: accepted, and not confirmed within 1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				res := drill.AlertPath(drill.ManagerPath(manager(t, &tt.pager, &tt.chat))).Check(t.Context())
				want(t, res, tt.status)
				if !strings.Contains(res.Summary, tt.says) || len(res.Evidence) != 2 {
					t.Errorf("%s, %v", res.Summary, res.Evidence)
				}
				if took := time.Since(began); tt.pager.loses && took != time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A path whose receivers answer is no path if the manager sends nothing.
func TestAlertPathOfManagerThatSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		res := drill.AlertPath(drill.ManagerPath(idle(t, &pager{}, &pager{}))).Check(t.Context())
		want(t, res, checks.Fail)
		if !strings.Contains(res.Summary, alert.ErrIdle.Error()) {
			t.Error(res.Summary)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := manager(t, &pager{}, &pager{})
		path := drill.AlertPath(drill.ManagerPath(m))
		want(t, path.Check(t.Context()), checks.Pass)
		id, err := m.Silence(t.Context(), alert.Silence{Match: map[string]string{"alertname": "*"}, To: time.Now().Add(time.Hour), Reason: "maintenance"}, rollout.Actor{Name: "ana"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, path.Check(t.Context()), checks.Pass) // it has no effect yet
		if err := m.Second(t.Context(), id, rollout.Actor{Name: "ben"}); err != nil {
			t.Fatal(err)
		}
		res := path.Check(t.Context())
		want(t, res, checks.Fail)
		if !strings.Contains(res.Summary, alert.ErrSilenced.Error()) {
			t.Error(res.Summary)
		}
	})
}

func TestAlertPathOptions(t *testing.T) {
	got := fields(t, drill.AlertPath(drill.AlertPathOptions{Within: -1}).Check(t.Context()))
	if strings.Join(got, " ") != "AlertPathOptions.Paths AlertPathOptions.Receipt AlertPathOptions.Test AlertPathOptions.Within" {
		t.Errorf("%q", got)
	}
	o := drill.ManagerPath(manager(t, &pager{}, &pager{}))
	o.Paths = func() []alert.Path { return nil }
	want(t, drill.AlertPath(o).Check(t.Context()), checks.Unknown)
	o.Paths = func() []alert.Path { quits(); return nil }
	want(t, drill.AlertPath(o).Check(t.Context()), checks.Unknown)
	o = drill.ManagerPath(manager(t, &pager{}, &pager{}))
	other := o
	other.Within = time.Second
	digests(t, drill.AlertPath(o), drill.AlertPath(o), drill.AlertPath(other))
}

func ExampleAlertPath() {
	o := drill.AlertPathOptions{ // or ManagerPath(manager)
		Paths: func() []alert.Path { return []alert.Path{{Receiver: "pager"}} },
		Test: func(_ context.Context, receiver string) (alert.Receipt, error) {
			return alert.Receipt{Receiver: receiver, Accepted: time.Now()}, nil
		},
		Receipt: func(context.Context, string) (alert.Receipt, error) { return alert.Receipt{}, nil },
	}
	res := drill.AlertPath(o).Check(context.Background())
	fmt.Println(res.Status, res.Summary)
	// Output: pass alerts reach 1 of 1 receivers
}
