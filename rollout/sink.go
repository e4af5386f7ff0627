package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"
)

// Sink receives the events of all rollouts, such as a webhook or a chat room. Each event
// but those of kind [Measured] is given to it at least once, in order; after a crash it
// may be given again, with the same [Event.Key]. An [EntrySink] receives all. An event that
// is missing from the audit trail is logged and passed over. An error has it tried again,
// after longer and longer pauses, [MaxAttempts] times; then the event is written
// down as not delivered, and the next one is tried.
//
// No rollout ever waits for a sink. Notify may be called for several rollouts at
// once, for each by one goroutine; ctx ends after [NotifyTimeout].
type Sink interface {
	Notify(ctx context.Context, e Event) error
}

// EntrySink is an optional interface for a [Sink]. If implemented, NotifyEntry is called
// in place of Notify, for every event, those of kind [Measured] too, which other sinks do
// not receive. entry is the event as the bytes that are in the audit trail; see
// [VerifyEntry]. It must not be changed.
type EntrySink interface {
	NotifyEntry(ctx context.Context, e Event, entry []byte) error
}

// SinkFunc is a function as a [Sink].
type SinkFunc func(ctx context.Context, e Event) error

// Notify implements [Sink].
func (f SinkFunc) Notify(ctx context.Context, e Event) error { return f(ctx, e) }

const (
	// MaxAttempts is how often an event is offered to a sink.
	MaxAttempts = 20
	// NotifyTimeout bounds one attempt.
	NotifyTimeout = 10 * time.Second
	// maxBackoff bounds the pause between two attempts.
	maxBackoff = time.Minute
)

var sinkName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// Key identifies the event among all events of a store, for who must tell a
// repetition from news.
func (e Event) Key() string { return fmt.Sprintf("%s/%d", e.Rollout, e.Seq) }

// A sink's place in a rollout's events is kept under its own key. The audit
// trail is the outbox: an event is in it as soon as it is committed, so nothing
// has to be written twice and nothing can be forgotten.
func cursorKey(sink string, id ID) string { return "sink/" + sink + "/" + string(id) }

func deadKey(sink string, id ID, seq uint64) string {
	return fmt.Sprintf("deadletter/%s/%s/%010d", sink, id, seq)
}

type cursor struct {
	Seq uint64 `json:"seq"` // of the last event that is done with
}

// deadLetter is what is kept of an event that a sink would not take.
type deadLetter struct {
	Event Event  `json:"event"`
	Error string `json:"error"`
}

// deliver has every sink told of the rollout's events, and of those of the
// rollouts before it that it has not been told of.
func (e *Engine) deliver(d *document) {
	const lookBack = 3
	ids := []ID{d.ID}
	h := d.History
	for _, p := range h[max(0, len(h)-lookBack):] {
		ids = append(ids, p.ID)
	}
	for name, sink := range e.cfg.Sinks {
		for _, id := range ids {
			e.spawnFeed(name, sink, id)
		}
	}
}

// feed tells one sink of one rollout's events, until they end or the engine
// closes. Where several processes share the store, only the one that leads does.
func (e *Engine) feed(name string, sink Sink, id ID) {
	key := cursorKey(name, id)
	for e.ctx.Err() == nil {
		if d := e.current(id.Target()); d == nil || !d.leads() {
			sleep(e.ctx, e.cfg.Poll)
			continue
		}
		done, err := e.feedFrom(name, sink, id, key)
		if done || e.ctx.Err() != nil {
			return
		}
		if err != nil {
			e.cfg.Logger.WarnContext(e.ctx, "sink has to wait", "sink", name, "rollout", id, "error", err)
		}
		sleep(e.ctx, retryAfter)
	}
}

// feedFrom goes on after the sink's cursor. It reports whether all is done.
func (e *Engine) feedFrom(name string, sink Sink, id ID, key string) (done bool, err error) {
	var at cursor
	entry, err := e.cfg.Store.Get(e.ctx, key)
	switch {
	case err == nil:
		if err := json.Unmarshal(entry.Value, &at); err != nil {
			return false, fmt.Errorf("rollout: %s: %w", key, err)
		}
	case !errors.Is(err, ErrNotFound):
		return false, err
	}
	_, all := sink.(EntrySink)
	for ev, err := range e.entries(e.ctx, id, at.Seq+1) {
		var missing *MissingEventError
		if errors.As(err, &missing) {
			e.cfg.Logger.ErrorContext(e.ctx, "event not delivered", "sink", name, "rollout", id, "seq", missing.Seq, "error", err)
			value, err := json.Marshal(cursor{Seq: missing.Seq})
			if err == nil {
				_, err = e.cfg.Store.Put(e.ctx, key, value, entry.Revision)
			}
			return false, err
		}
		if err != nil {
			return false, err
		}
		if d := e.current(id.Target()); d == nil || !d.leads() {
			return false, nil
		}
		if ev.Kind != Measured || all { // people need not be woken for a sign of life
			if err := e.notify(name, sink, ev); err != nil {
				return false, err
			}
		} else if ev.Seq%16 != 0 {
			continue // a crash costs a few events that are read again
		}
		value, err := json.Marshal(cursor{Seq: ev.Seq})
		if err != nil {
			return false, err
		}
		if entry.Revision, err = e.cfg.Store.Put(e.ctx, key, value, entry.Revision); err != nil {
			return false, err
		}
	}
	return e.ctx.Err() == nil, nil
}

// notify offers an event until it is taken or given up.
func (e *Engine) notify(name string, sink Sink, ev eventEntry) error {
	var err error
	for attempt := range MaxAttempts {
		ctx, cancel := context.WithTimeout(e.ctx, NotifyTimeout)
		err = offer(ctx, sink, ev)
		cancel()
		if err == nil || e.ctx.Err() != nil {
			return context.Cause(e.ctx)
		}
		pause := min(maxBackoff, time.Second<<min(attempt, 10))
		sleep(e.ctx, pause/2+rand.N(pause/2+1))
	}
	e.cfg.Logger.ErrorContext(e.ctx, "event not delivered", "sink", name, "event", ev.Key(), "error", err)
	value, marshalErr := json.Marshal(deadLetter{Event: ev.Event, Error: bound(err.Error(), maxError)})
	if marshalErr != nil {
		return marshalErr
	}
	_, putErr := e.cfg.Store.Put(e.ctx, deadKey(name, ev.Rollout, ev.Seq), value, "")
	if errors.Is(putErr, ErrConflict) {
		return nil // it was given up before
	}
	return putErr
}

// offer calls the sink, whose panics are its own affair.
func offer(ctx context.Context, sink Sink, ev eventEntry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rollout: the sink panicked: %v", p)
		}
	}()
	if all, ok := sink.(EntrySink); ok {
		return all.NotifyEntry(ctx, ev.Event, ev.raw)
	}
	return sink.Notify(ctx, ev.Event)
}
