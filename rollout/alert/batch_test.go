package alert_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

// many returns n critical alerts of one group.
func many(n int, name string, s alert.Severity) []alert.Alert {
	var all []alert.Alert
	for i := range n {
		all = append(all, alert.Alert{Name: name, Labels: map[string]string{"target": "chat", "replica": fmt.Sprint(i)}, Severity: s})
	}
	return all
}

// believed counts what the receiver was told of, and what it believes to fire.
func (r *receiver) believed() (told, open int) {
	fires := make(map[string]bool)
	for _, n := range r.messages() {
		for _, a := range n.Alerts {
			fires[a.Key()] = a.Ended.IsZero()
		}
	}
	for _, f := range fires {
		if f {
			open++
		}
	}
	return len(fires), open
}

// Each alert of a large group is sent, and its end.
func TestGroupsAreSentWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		all := many(45, "Down", alert.Critical)
		for _, a := range all {
			set(t, m, a)
		}
		wait(10 * time.Second)
		if told, open := r.believed(); told != 45 || open != 45 {
			t.Errorf("of 45 critical alerts %d are told", told)
		}
		for _, n := range r.messages() {
			if len(n.Alerts) > 10 {
				t.Errorf("%d alerts in a message", len(n.Alerts))
			}
		}
		for _, a := range all {
			clear(t, m, a)
		}
		wait(6 * time.Minute)
		if _, open := r.believed(); open != 0 {
			t.Errorf("%d incidents stay open", open)
		}
	})
}

// Beginnings and ends of alerts that are not critical are sent whole, too, and neither waits for
// all of the other.
func TestEndsDoNotWaitForBeginnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		first := many(10, "First", alert.Warning)
		for _, a := range first {
			set(t, m, a)
		}
		wait(2 * time.Minute)
		for _, a := range first {
			clear(t, m, a)
		}
		for _, a := range many(30, "Second", alert.Warning) {
			set(t, m, a)
		}
		wait(150 * time.Second)
		if _, open := r.believed(); open > 20 {
			t.Errorf("%d open", open)
		}
		wait(6 * time.Minute)
		if told, open := r.believed(); told != 40 || open != 30 {
			t.Errorf("%d told, %d open", told, open)
		}
	})
}

// An alert that worse ones have displaced ends for the receivers that know it, when it ends.
func TestDisplacedAlertsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r), Routes: []alert.Route{{To: []string{"chat"}, Every: time.Second}}})
		low, high := many(1000, "Slow", alert.Warning), many(20, "Down", alert.Critical)
		together(t, low, func(a alert.Alert) error { return m.Set(t.Context(), a) })
		wait(3 * time.Minute)
		together(t, high, func(a alert.Alert) error { return m.Set(t.Context(), a) })
		wait(time.Minute)
		if told, open := r.believed(); told < 1020 || open < 1020 {
			t.Errorf("%d told, %d open", told, open)
		}
		if c := m.Counts(); c.Counted == 0 {
			t.Errorf("nothing is displaced: %+v", c)
		}
		together(t, append(low, high...), func(a alert.Alert) error { return m.Clear(t.Context(), a.Key()) })
		wait(3 * time.Minute)
		if _, open := r.believed(); open != 0 || len(m.Firing()) != 0 {
			t.Errorf("%d incidents stay open, %d fire, %+v", open, len(m.Firing()), m.Counts())
		}
	})
}

// Messages that a receiver has put off leave room for a critical one.
func TestCriticalPassesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.set(false, func(alert.Notification) error { return after(time.Hour) })
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		for i := range 70 {
			set(t, m, queue(fmt.Sprint("t", i)))
		}
		wait(30 * time.Second)
		if n := m.Counts().Waiting; n != 64 {
			t.Errorf("%d messages wait", n)
		}
		r.set(false, nil)
		set(t, m, critical("chat"))
		wait(time.Second)
		want(t, "told", r.story(), []string{"OutOfMemory critical fires"})
	})
}

// A receiver that removes repetitions by their keys takes the messages of a state that begins
// again.
func TestKeysAfterTheStateIsLost(t *testing.T) {
	for how, lose := range map[string]func(*memstore.Store, rollout.Entry) error{
		"gone": func(s *memstore.Store, e rollout.Entry) error { return s.Delete(t.Context(), e.Key, e.Revision) },
		"damaged": func(s *memstore.Store, e rollout.Entry) error {
			_, err := s.Put(t.Context(), e.Key, []byte("{"), e.Revision)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			store, r := new(memstore.Store), &receiver{}
			m, _ := start(t, alert.Config{Store: store, Receivers: one(r)})
			set(t, m, critical("chat"))
			wait(time.Minute)
			e, err := store.Get(t.Context(), "alert/main")
			if err != nil {
				t.Fatal(err)
			}
			if err := lose(store, e); err != nil {
				t.Fatal(err)
			}
			wait(time.Minute)
			other := critical("chat")
			other.Name = "Other"
			set(t, m, other)
			wait(time.Minute)
			want(t, how, r.story(), []string{"OutOfMemory critical fires", "Other critical fires"})
		})
	}
}

// together calls f for all alerts at a time.
func together(t *testing.T, all []alert.Alert, f func(alert.Alert) error) {
	t.Helper()
	errs := make(chan error, len(all))
	for _, a := range all {
		go func() { errs <- f(a) }()
	}
	for range all {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
