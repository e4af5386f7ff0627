package alert_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

// A rule that does not return is looked at once.
func TestRuleThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks, stuck atomic.Int64
		r, quit := &receiver{}, make(chan struct{})
		rule := alert.RuleFunc(func(context.Context, time.Time) []alert.Alert {
			if looks.Add(1) > 1 {
				stuck.Add(1)
				<-quit
				stuck.Add(-1)
			}
			return []alert.Alert{queue("chat")}
		})
		_, stop := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Rules: map[string]alert.Rule{"queue": rule}})
		wait(time.Hour)
		if n := stuck.Load(); n != 1 {
			t.Errorf("%d looks at a time", n)
		}
		want(t, "told", r.story(), []string{"QueueGrowing warning fires", "QueueGrowing warning unknown"})
		close(quit)
		wait(time.Minute)
		if looks.Load() < 4 {
			t.Errorf("%d looks", looks.Load())
		}
		stop()
	})
}

// A receiver that does not return is told of by the others, and takes messages again when it
// does.
func TestReceiverThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat, pager, quit := &receiver{}, &receiver{}, make(chan struct{})
		var calls, now, most atomic.Int64
		hangs := alert.NotifierFunc(func(ctx context.Context, n alert.Notification) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			calls.Add(1)
			<-quit
			return pager.Notify(ctx, n)
		})
		m, stop := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"pager": hangs, "chat": chat}})
		for i := range 3 {
			a := critical("chat")
			a.Labels["target"] = string(rune('a' + i))
			set(t, m, a)
			wait(time.Minute)
		}
		if s := chat.story(); !slices.Contains(s, "DeadLetter error fires") || m.Counts().Broken["pager"] == 0 {
			t.Errorf("told %q, %+v", s, m.Counts())
		}
		wait(6 * time.Hour)
		if most.Load() > 3 || calls.Load() < 2 {
			t.Errorf("%d calls, %d at a time", calls.Load(), most.Load())
		}
		if _, err := m.Test(t.Context(), "pager"); err == nil || now.Load() > 3 {
			t.Errorf("a test arrives: %v, %d calls at a time", err, now.Load())
		}
		close(quit)
		wait(20 * time.Minute)
		if told, open := pager.believed(); told < 3 || open < 3 {
			t.Errorf("%d told, %d open: %q", told, open, pager.story())
		}
		if s := chat.story(); !slices.Contains(s, "DeadLetter error ended") {
			t.Errorf("told %q", s)
		}
		stop()
	})
}

// stuckRefresher does not return from Refresh.
type stuckRefresher struct {
	receiver
	quit chan struct{}
	now  atomic.Int64
}

func (r *stuckRefresher) Refresh(context.Context, []alert.Alert) error {
	r.now.Add(1)
	defer r.now.Add(-1)
	<-r.quit
	return nil
}

// A Refresher that does not return is called once at a time, and Run ends.
func TestRefresherThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &stuckRefresher{quit: make(chan struct{})}
		m, stop := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"chat": r}})
		set(t, m, queue("chat"))
		wait(time.Hour)
		if n := r.now.Load(); n != 1 {
			t.Errorf("%d calls at a time", n)
		}
		stop()
		close(r.quit)
	})
}
