package alert_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
)

// receiver removes repetitions by their keys, as PagerDuty and webhooks do.
type receiver struct {
	mu    sync.Mutex
	fail  func(n alert.Notification) error // nil takes everything
	hang  bool
	got   []alert.Notification
	at    []time.Time
	seen  map[string]bool
	calls int
	most  int // calls at a time
	now   int
}

func (r *receiver) Notify(ctx context.Context, n alert.Notification) error {
	r.mu.Lock()
	r.calls++
	r.now++
	r.most = max(r.most, r.now)
	hang, fail := r.hang, r.fail
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if fail != nil {
		if err := fail(n); err != nil {
			return err
		}
	}
	r.take(n)
	return nil
}

func (r *receiver) take(n alert.Notification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[string]bool)
	}
	if !r.seen[n.Key] {
		r.seen[n.Key] = true
		r.got, r.at = append(r.got, n), append(r.at, time.Now())
	}
}

// story is what the receiver was told, one line a message.
func (r *receiver) story() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, n := range r.got {
		var parts []string
		for _, a := range n.Alerts {
			state := "fires"
			if !a.Ended.IsZero() {
				state = "ended"
			} else if a.Unknown {
				state = "unknown"
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", a.Name, a.Severity, state))
		}
		if n.More > 0 {
			parts = append(parts, fmt.Sprintf("+%d", n.More))
		}
		all = append(all, strings.Join(parts, "; "))
	}
	return all
}

func (r *receiver) messages() []alert.Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.at)
}

func (r *receiver) set(hang bool, fail func(alert.Notification) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hang, r.fail = hang, fail
}

// start runs a manager until the end of the test, or until stop is called.
func start(t *testing.T, c alert.Config) (m *alert.Manager, stop func()) {
	t.Helper()
	m, err := alert.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return m, stop
}

// wait lets virtual time pass.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func set(t *testing.T, m *alert.Manager, a alert.Alert) alert.Alert {
	t.Helper()
	if err := m.Set(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func clear(t *testing.T, m *alert.Manager, a alert.Alert) {
	t.Helper()
	if err := m.Clear(t.Context(), a.Key()); err != nil {
		t.Fatal(err)
	}
}

func one(r *receiver) map[string]alert.Notifier { return map[string]alert.Notifier{"chat": r} }

func queue(target string) alert.Alert {
	return alert.Alert{Name: "QueueGrowing", Labels: map[string]string{"target": target}, Severity: alert.Warning, Summary: "the queue grows"}
}

func critical(target string) alert.Alert {
	a := queue(target)
	a.Name, a.Severity = "OutOfMemory", alert.Critical
	return a
}

var ana, ben = rollout.Actor{Name: "ana"}, rollout.Actor{Name: "ben"}
