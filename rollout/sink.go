package rollout

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/serin-go/serin/strategies"
)

// Sink receives every event at least once, such as a webhook or a chat room; after a
// crash an event may come again, with the same [Event.Key]. Events of kind [Measured] are
// left out, except for an [EntrySink]. An event that is missing from the audit trail is
// logged and passed over.
//
// A sink has two lanes for each rollout: one for events that people should be woken for
// ([Event.Urgent], a pause by a rule, an end other than Promoted, a wait for approval) and
// one for the rest. Within a lane events come in order. After an error the event is tried
// again after longer and longer pauses, [MaxAttempts] times; then it is stored as a
// [DeadLetter]. An event that has been tried for [PassAfter] lets the later ones of its
// lane pass, so that Seq may go back. At most [MaxWaiting] wait in a lane. An error that
// [Permanent] has marked makes a dead letter without another try. An error with a method
// RetryAfter() time.Duration decides when the event is tried again, at most 10 min later.
//
// No rollout ever waits for a sink. Notify may be called concurrently. For each
// rollout each lane has one goroutine that calls it; ctx ends after [NotifyTimeout]. If processes
// share the store, only the leader delivers.
type Sink interface {
	Notify(ctx context.Context, e Event) error
}

// EntrySink is an optional interface for a [Sink]. If implemented, NotifyEntry is called
// in place of Notify, for every event, also of kind [Measured], which other sinks do
// not receive, and strictly in order: there is one lane, and no event passes another.
// entry is the event as the bytes that are in the audit trail; see [VerifyEntry]. It must
// not be changed.
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
	// PassAfter is how long an event is tried before later events of its lane pass it.
	PassAfter = 30 * time.Second
	// MaxWaiting bounds the events of a lane that are tried again.
	MaxWaiting = 64
	// maxBackoff bounds the pause between two attempts, maxRetryAfter the pause that a
	// sink asks for.
	maxBackoff, maxRetryAfter = time.Minute, 10 * time.Minute
)

// Permanent marks an error of a [Sink] that no repetition changes, such as the answer 400
// to an event. The event becomes a [DeadLetter] without another try. errors.Is and
// errors.As see err. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether [Permanent] has marked err, or an error that err wraps.
func IsPermanent(err error) bool {
	var marked *permanentError
	return errors.As(err, &marked)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// retryIn returns how long to wait after an error that is not permanent, and whether the
// sink has decided that.
func retryIn(err error) (pause time.Duration, decided bool) {
	var r interface{ RetryAfter() time.Duration }
	if !errors.As(err, &r) {
		return 0, false
	}
	pause = r.RetryAfter()
	return min(pause, maxRetryAfter), pause > 0
}

// ahead reports whether the event is delivered in the lane of those that people should be
// woken for.
func (e Event) ahead() bool {
	switch e.Kind {
	case Paused:
		return e.Urgent || e.Rule != "command"
	case Ended:
		return e.Urgent || e.Phase != strategies.Promoted
	case PhaseEntered:
		return e.Urgent || e.Phase == strategies.Approving
	}
	return e.Urgent
}

var sinkName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// Key identifies the event among all events of a store, for deduplication.
func (e Event) Key() string { return fmt.Sprintf("%s/%d", e.Rollout, e.Seq) }

// A sink's place in a rollout's events is kept under its own key. The audit
// trail is the outbox: an event is in it as soon as it is committed, so nothing
// has to be written twice and nothing can be forgotten.
func cursorKey(sink string, id ID) string { return "sink/" + sink + "/" + string(id) }

// deliver gives every sink the rollout's events, and the events of earlier rollouts
// that it has not received.
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

// offer calls the sink, whose panics are errors.
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
