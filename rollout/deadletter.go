package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// DeadLetter is an event that a [Sink] has not taken. It is plain data.
type DeadLetter struct {
	Sink  string `json:"sink"`
	Event Event  `json:"event"`
	// Error is what the sink returned last, in words; Attempts is how often it was asked,
	// and At when it was given up. A letter of an earlier version has neither number nor
	// time.
	Error    string    `json:"error"`
	Attempts int       `json:"attempts,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Redelivered is when [Engine.Redeliver] succeeded; such a letter is not listed.
	Redelivered time.Time `json:"redelivered,omitzero"`
}

const deadPrefix = "deadletter/"

func deadKey(sink string, id ID, seq uint64) string {
	return fmt.Sprintf("%s%s/%s/%010d", deadPrefix, sink, id, seq)
}

// bury stores an event as a dead letter.
func (f *feed) bury(ctx context.Context, d *delivery, reason error) error {
	f.e.cfg.Logger.ErrorContext(ctx, "event not delivered", "sink", f.name, "event", d.ev.Key(), "attempts", d.attempts, "error", reason)
	value, err := json.Marshal(DeadLetter{
		Sink: f.name, Event: d.ev.Event, Error: bound(reason.Error(), maxError), Attempts: d.attempts, At: f.e.cfg.wall().UTC().Round(0),
	})
	if err != nil {
		return err
	}
	_, err = f.e.cfg.Store.Put(ctx, deadKey(f.name, f.id, d.seq), value, "")
	if errors.Is(err, ErrConflict) {
		return nil // it was given up before
	}
	return err
}

// DeadLetters lists the events that sinks have not taken and that were not delivered
// since, by sink, rollout and number. An entry that cannot be read is yielded as an error,
// and the next one follows. An error of the store ends the iteration.
func DeadLetters(ctx context.Context, s Store) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for entry, err := range s.List(ctx, deadPrefix) {
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			letter, err := readLetter(entry)
			if err == nil && !letter.Redelivered.IsZero() {
				continue
			}
			if !yield(letter, err) {
				return
			}
		}
	}
}

func readLetter(entry Entry) (DeadLetter, error) {
	var letter DeadLetter
	if err := json.Unmarshal(entry.Value, &letter); err != nil {
		return DeadLetter{}, fmt.Errorf("rollout: %s: %w", entry.Key, err)
	}
	letter.Sink, _, _ = strings.Cut(strings.TrimPrefix(entry.Key, deadPrefix), "/") // earlier versions do not store it
	return letter, nil
}

// Redeliver offers a dead letter to its sink again, once, with the same [Event.Key], which
// is key. If the sink takes it, it is listed no more. It may be called in any process that
// has the sink in [Config.Sinks].
//
// Errors: an [*checks.InvalidError] if there is no such sink; one that wraps [ErrNotFound] if
// there is no such letter, or if it was delivered since; what the sink returned, in which
// case the letter stays; or the error of the store, in which case it may have been
// delivered.
func (e *Engine) Redeliver(ctx context.Context, sink, key string) error {
	if err := context.Cause(e.ctx); err != nil {
		return err
	}
	to := e.cfg.Sinks[sink]
	if to == nil {
		return &checks.InvalidError{Package: "rollout", Field: "Redeliver.sink", Value: fmt.Sprintf("%q", bound(sink, maxNameSize)), Want: "the name of a sink in Config.Sinks"}
	}
	at := strings.LastIndexByte(key, '/')
	seq, err := strconv.ParseUint(key[at+1:], 10, 64)
	if at < 0 || err != nil || !targetName.MatchString(ID(key[:max(at, 0)]).Target()) {
		return &checks.InvalidError{Package: "rollout", Field: "Redeliver.key", Value: fmt.Sprintf("%q", bound(key, maxNameSize)), Want: "an Event.Key, such as chat/1/3"}
	}
	place := deadKey(sink, ID(key[:at]), seq)
	entry, err := e.cfg.Store.Get(ctx, place)
	if err != nil {
		return fmt.Errorf("rollout: dead letter %s of sink %s: %w", key, sink, err)
	}
	letter, err := readLetter(entry)
	if err != nil {
		return err
	}
	if !letter.Redelivered.IsZero() {
		return fmt.Errorf("rollout: dead letter %s of sink %s was delivered at %s: %w", key, sink, letter.Redelivered.Format(time.RFC3339), ErrNotFound)
	}
	offering, cancel := context.WithTimeout(ctx, NotifyTimeout)
	defer cancel()
	ev := eventEntry{Event: letter.Event}
	if _, ok := to.(EntrySink); ok {
		at, err := e.cfg.Store.Get(ctx, auditKey(letter.Event.Rollout, seq))
		if err != nil {
			return fmt.Errorf("rollout: dead letter %s of sink %s: its audit entry: %w", key, sink, err)
		}
		ev.raw = at.Value
	}
	if err := offer(offering, to, ev); err != nil {
		return fmt.Errorf("rollout: dead letter %s of sink %s: %w", key, sink, err)
	}
	letter.Redelivered = e.cfg.wall().UTC().Round(0)
	value, err := json.Marshal(letter)
	if err != nil {
		return err
	}
	_, err = e.cfg.Store.Put(context.WithoutCancel(ctx), place, value, entry.Revision)
	return err
}
