package rollouttest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/rollout"
)

// Sink runs the conformance suite of [rollout.Sink] and [rollout.EntrySink]: the sink
// accepts every event, repeated events and concurrent calls; it returns soon after the
// context ends, without an error that [rollout.Permanent] has marked; and it changes
// nothing that it was given. open returns a sink whose receiver accepts everything. If the
// sink implements [Receiver], an event must have been received when Notify returns nil.
func Sink(t *testing.T, open func(t *testing.T) rollout.Sink) {
	for name, part := range map[string]func(*testing.T, rollout.Sink, [][]entry){
		"Delivered": delivered, "Repeated": repeatedEvent, "Concurrent": concurrentEvents,
		"Ended": endedSink, "Unchanged": unchangedBySink,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t), trails(t)) })
	}
}

// notify gives an event to a sink.
func notify(ctx context.Context, sink rollout.Sink, e entry) error {
	if all, ok := sink.(rollout.EntrySink); ok {
		return all.NotifyEntry(ctx, e.Event, e.raw)
	}
	return sink.Notify(ctx, e.Event)
}

// accepts checks that a sink accepts an event.
func accepts(t *testing.T, sink rollout.Sink, e entry) {
	t.Helper()
	var err error
	suitetest.Call(t, "Notify", func() { err = notify(t.Context(), sink, e) })
	if err != nil {
		t.Fatalf("Notify(%v) = %v", e.Event, err)
	}
	received(t, sink, e)
}

// received checks that an event has been received.
func received(t *testing.T, by any, e entry) {
	t.Helper()
	if r, ok := by.(Receiver); ok && !r.Has(e.Key()) {
		t.Errorf("event %s is lost", e.Key())
	}
}

func delivered(t *testing.T, sink rollout.Sink, all [][]entry) {
	for _, trail := range all {
		for _, e := range trail {
			accepts(t, sink, e)
		}
	}
	if _, ok := sink.(rollout.EntrySink); ok { // it may be called directly, too
		var err error
		e := all[0][0]
		suitetest.Call(t, "Notify", func() { err = sink.Notify(t.Context(), e.Event) })
		if err != nil {
			t.Errorf("Notify(%v) = %v", e.Event, err)
		}
	}
}

func repeatedEvent(t *testing.T, sink rollout.Sink, all [][]entry) {
	trail := all[0]
	for range 2 {
		for _, e := range trail {
			accepts(t, sink, e)
			accepts(t, sink, e)
		}
	}
}

func concurrentEvents(t *testing.T, sink rollout.Sink, all [][]entry) {
	suitetest.Together(t, "Notify", func(i int) {
		for _, e := range all[i%len(all)] {
			if err := notify(t.Context(), sink, e); err != nil {
				t.Errorf("Notify(%v) = %v", e.Event, err)
			}
			received(t, sink, e)
		}
	})
}

func endedSink(t *testing.T, sink rollout.Sink, all [][]entry) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range all[0] {
		var err error
		suitetest.Call(t, "Notify", func() { err = notify(ended, sink, e) })
		if err == nil {
			received(t, sink, e)
		}
		if permanent(err) {
			t.Errorf("Notify returns the permanent error %v after its context has ended; the event would be a dead letter", err)
		}
	}
	for _, e := range all[0] {
		accepts(t, sink, e) // it still works
	}
}

// permanent reports whether [rollout.Permanent] has marked err.
func permanent(err error) bool {
	if err == nil {
		return false
	}
	if reflect.TypeOf(err) == reflect.TypeOf(rollout.Permanent(errors.New("marked"))) {
		return true
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return permanent(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			if permanent(e) {
				return true
			}
		}
	}
	return false
}

func unchangedBySink(t *testing.T, sink rollout.Sink, all [][]entry) {
	for _, e := range all[0] {
		given := entry{e.Event, bytes.Clone(e.raw)}
		accepts(t, sink, given)
		if !bytes.Equal(given.raw, e.raw) {
			t.Errorf("Notify has changed the entry %s to %s", e.raw, given.raw)
		}
		unchanged(t, "Notify", e)
	}
}
