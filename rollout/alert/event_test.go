package alert_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/rollouttest"
	"github.com/serin-go/serin/strategies"
)

func event(kind rollout.Kind, seq uint64) rollout.Event {
	return rollout.Event{Rollout: "chat/17", Seq: seq, At: time.Now(), Kind: kind, By: ana, Reason: "staging evidence expired", Phase: strategies.Baking, Name: "25 %",
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 7500}, {Name: "1.5.0", Weight: 2500}}}}
}

func ended(seq uint64, p strategies.Phase) rollout.Event {
	e := event(rollout.Ended, seq)
	e.Phase = p
	return e
}

func notifyAll(t *testing.T, m *alert.Manager, all ...rollout.Event) {
	t.Helper()
	for _, e := range all {
		if err := m.Notify(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSinkConforms(t *testing.T) {
	rollouttest.Sink(t, func(t *testing.T) rollout.Sink {
		m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: one(&receiver{})})
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// TestEvents has a row for each line of the table of alerts that comes from events.
func TestEvents(t *testing.T) {
	pause := func(seq uint64, rule string, urgent bool) rollout.Event {
		e := event(rollout.Paused, seq)
		e.Rule, e.Urgent = rule, urgent
		return e
	}
	approving := event(rollout.PhaseEntered, 2)
	approving.Phase = strategies.Approving
	baking := event(rollout.PhaseEntered, 3)
	next := event(rollout.Started, 1)
	next.Rollout = "chat/18"
	for _, tt := range []struct {
		name          string
		fires         []rollout.Event
		ends          []rollout.Event
		after         time.Duration // in place of ends
		told, resolve string
	}{
		{"rolled back, until the next start", []rollout.Event{ended(2, strategies.RolledBack)}, []rollout.Event{next}, 0, "RolloutRolledBack error fires", "RolloutRolledBack error ended"},
		{"rolled back, for an hour", []rollout.Event{ended(2, strategies.RolledBack)}, nil, time.Hour, "RolloutRolledBack error fires", "RolloutRolledBack error ended"},
		{"aborted by a person", []rollout.Event{ended(2, strategies.Aborted)}, nil, time.Hour, "RolloutRolledBack warning fires", "RolloutRolledBack warning ended"},
		{"held, resumed", []rollout.Event{pause(2, "limit", false)}, []rollout.Event{event(rollout.Resumed, 3)}, 0, "RolloutHeld warning fires", "RolloutHeld warning ended"},
		{"held, urgent, ended", []rollout.Event{pause(2, "standing", true)}, []rollout.Event{ended(3, strategies.Promoted)}, 0, "RolloutHeld critical fires", "RolloutHeld critical ended"},
		{"approval, given", []rollout.Event{approving}, []rollout.Event{baking}, 0, "RolloutApproval info fires", "RolloutApproval info ended"},
		{"failed", []rollout.Event{ended(2, strategies.Failed)}, []rollout.Event{next}, 0, "RolloutFailed error fires", "RolloutFailed error ended"},
		{"paused by a person", []rollout.Event{pause(2, "command", false)}, nil, 0, "", ""},
		{"promoted", []rollout.Event{ended(2, strategies.Promoted)}, nil, 0, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
				notifyAll(t, m, event(rollout.Started, 1))
				notifyAll(t, m, tt.fires...)
				notifyAll(t, m, tt.fires...) // again, as after a crash
				wait(2 * time.Minute)
				var told []string
				if tt.told != "" {
					told = []string{tt.told}
				}
				want(t, "told", r.story(), told)
				notifyAll(t, m, tt.ends...)
				notifyAll(t, m, tt.fires...) // later than what ended it
				wait(tt.after + 2*time.Minute)
				if tt.resolve != "" {
					told = append(told, tt.resolve)
				}
				want(t, "at the end", r.story(), told)
			})
		})
	}
}

// Whatever the order in which two lanes deliver, the newest event counts.
func TestEventsInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		m, _ := start(t, alert.Config{Store: new(memstore.Store), Receivers: one(r)})
		held := event(rollout.Paused, 5)
		held.Rule = "limit"
		notifyAll(t, m, event(rollout.Resumed, 6), held, ended(9, strategies.RolledBack), event(rollout.Started, 1), held)
		wait(2 * time.Minute)
		want(t, "told", r.story(), []string{"RolloutRolledBack error fires"})
	})
}

func TestHeldText(t *testing.T) {
	m, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: one(&receiver{}), URL: "https://console.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	e := event(rollout.Paused, 2)
	e.Rule, e.At = "standing", time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	notifyAll(t, m, e)
	got := m.Firing()[0]
	const text = "chat/17 held at 25%: staging evidence expired · since 09:00 UTC · 1.4.0 serves 75%, 1.5.0 serves 25% · nothing moves until a person acts · resume or abort"
	if got.Summary != text || got.URL != "https://console.example.com/chat/17" {
		t.Errorf("%q\n%q", got.Summary, got.URL)
	}
}
