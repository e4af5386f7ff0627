package alert_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

func refuses(alert.Notification) error { return rollout.Permanent(errors.New("answered 404")) }

// A receiver that refuses a message once is told again: of a critical alert in any case, of
// another one as soon as it takes a message, and of one that becomes worse at once.
func TestRefusedIsSentAgain(t *testing.T) {
	t.Run("critical", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			r.set(false, refuses)
			m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
			set(t, m, critical("chat"))
			wait(29 * time.Second)
			r.set(false, nil)
			wait(3 * time.Second)
			want(t, "told", r.story(), []string{"OutOfMemory critical fires"})
			wait(time.Hour)
			want(t, "later", r.story(), []string{"OutOfMemory critical fires"})
		})
	})
	t.Run("critical and refused for long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			r.set(false, refuses)
			m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
			set(t, m, critical("chat"))
			wait(3 * time.Hour)
			if r.calls < 30 || r.calls > 100 {
				t.Errorf("%d attempts in 3 h", r.calls)
			}
			r.set(false, nil)
			wait(6 * time.Minute)
			if s := r.story(); !slices.Contains(s, "OutOfMemory critical fires") {
				t.Errorf("told %q", s)
			}
		})
	})
	t.Run("the receiver answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			r.set(false, refuses)
			m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"chat": r, "other": &receiver{}}})
			set(t, m, queue("chat"))
			wait(20 * time.Second)
			r.set(false, nil)
			other := queue("other")
			other.Severity = alert.Error
			set(t, m, other)
			wait(2 * time.Minute)
			want(t, "told", r.story(), []string{"QueueGrowing error fires", "QueueGrowing warning fires"})
		})
	})
	t.Run("it becomes worse", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			r.set(false, refuses)
			m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"chat": r, "other": &receiver{}}})
			a := set(t, m, queue("chat"))
			wait(20 * time.Second)
			r.set(false, nil)
			a.Severity = alert.Critical
			set(t, m, a)
			wait(2 * time.Second)
			want(t, "told", r.story(), []string{"QueueGrowing critical fires"})
		})
	})
}

// The end of an alert that the receiver knows is sent again, too; of one that it does not know,
// nothing is.
func TestRefusedEndIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"chat": r, "other": &receiver{}}})
		a, b := set(t, m, critical("chat")), critical("b")
		wait(2 * time.Minute)
		r.set(false, refuses)
		clear(t, m, a)
		set(t, m, b)
		wait(20 * time.Second)
		clear(t, m, b)
		wait(20 * time.Second)
		r.set(false, nil)
		wait(10 * time.Minute)
		want(t, "told", r.story(), []string{"OutOfMemory critical fires", "OutOfMemory critical ended"})
	})
}

// partly is the error of a receiver that has taken all alerts but some.
type partly []string

func (partly) Error() string       { return "answered 400" }
func (p partly) Refused() []string { return p }

// Only the part that was refused is sent again.
func TestPartThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, first, bad := &receiver{}, true, queue("chat")
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"other": &receiver{}, "chat": alert.NotifierFunc(func(ctx context.Context, n alert.Notification) error {
			r.take(n)
			if first {
				first = false
				return rollout.Permanent(partly{bad.Key()})
			}
			return nil
		})}})
		good := queue("chat")
		good.Name = "Slow"
		set(t, m, good)
		set(t, m, bad)
		wait(30 * time.Second)
		set(t, m, critical("b"))
		wait(2 * time.Minute)
		all := strings.Join(r.story(), "\n")
		if !strings.Contains(r.story()[0], ";") || strings.Count(all, "Slow warning fires") != 1 || strings.Count(all, "QueueGrowing warning fires") != 2 {
			t.Errorf("told %q", r.story())
		}
	})
}
