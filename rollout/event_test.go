package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/strategies"
)

// TestTamperedEvents changes a recorded trail in several ways; Verify notices.
func TestTamperedEvents(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		tgt.errorRate = map[string]float64{"1.5.0": 0.2}
		e := open(t, cfg)
		go tgt.serve(t.Context(), 20*time.Millisecond)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		events := finish(t, e, id) // which verifies the good trail
		verify := func(events []rollout.Event) error {
			var prev rollout.Event
			for _, ev := range events {
				if err := ev.Verify(prev); err != nil {
					return err
				}
				prev = ev
			}
			return nil
		}
		change := func(i int, f func(*rollout.Event)) []rollout.Event {
			bad := append([]rollout.Event(nil), events...)
			f(&bad[i])
			return bad
		}
		n := len(events)
		if n < 3 {
			t.Fatalf("only %d events", n)
		}
		for name, bad := range map[string][]rollout.Event{
			"reason":  change(1, func(ev *rollout.Event) { ev.Reason = "all is well" }),
			"actor":   change(0, func(ev *rollout.Event) { ev.By.Name = "ben" }),
			"time":    change(1, func(ev *rollout.Event) { ev.At = ev.At.Add(1) }),
			"hash":    change(1, func(ev *rollout.Event) { ev.Hash = strings.Repeat("0", 64) }),
			"removed": append(append([]rollout.Event(nil), events[:1]...), events[2:]...),
			"swapped": append(append(append([]rollout.Event(nil), events[:n-2]...), events[n-1]), events[n-2]),
		} {
			if verify(bad) == nil {
				t.Errorf("%s: not noticed", name)
			}
		}
		// What is read back from JSON is what was sealed.
		text, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		var back []rollout.Event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if err := verify(back); err != nil {
			t.Errorf("after JSON: %v", err)
		}
	})
}

func TestObserver(t *testing.T) {
	run(t, func(t *testing.T, tgt *target, cfg rollout.Config) {
		var log bytes.Buffer
		seen := make(chan rollout.Event, 100)
		cfg.Observer = rollout.Tee(
			rollout.Log(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))),
			rollout.ObserverFunc(func(_ context.Context, ev rollout.Event) { seen <- ev }),
		)
		e := open(t, cfg)
		id, err := e.Start(t.Context(), plan(), ana)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Do(t.Context(), id, strategies.Abort, ana); err != nil {
			t.Fatal(err)
		}
		var prev rollout.Event
		for prev.Kind != rollout.Ended {
			ev := <-seen
			if err := ev.Verify(prev); err != nil {
				t.Fatal(err)
			}
			prev = ev
		}
		e.Close()
		if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "phase=aborted") || !strings.Contains(text, "by=ana") {
			t.Errorf("the log says:\n%s", text)
		}
	})
}
