package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Retain says what of the rollouts that have ended stays in the store. The zero value
// keeps everything.
//
// Rollouts of a target are removed from the oldest on. Each is given to Archive first, and
// what the store holds of it is deleted after that has returned nil: its last document, its
// entries of the audit trail, evidence, and the places of sinks. What is in quarantine
// stays, and so do dead letters. A crash in between loses nothing, and is made up for later.
//
// These are never removed: the newest [MinRetained] rollouts of a target, what Hold holds,
// and what a sink of this engine has not received yet. A rollout that stays keeps the
// newer ones from being removed, so that the trail in the store has no gap. The engine
// that leads a target looks every minute, and no rollout waits for it.
type Retain struct {
	// Rollouts is how many of the newest rollouts of each target stay, at least
	// MinRetained. Zero means MinRetained.
	Rollouts int `env:"ROLLOUTS"`
	// For is how long a rollout stays after it has ended. Where Rollouts is set too, it
	// stays as long as either of them says. Zero means 0 s.
	For time.Duration `env:"FOR"`
	// Archive seals what is about to be deleted. It is required where Rollouts or For is
	// set.
	Archive Archiver
	// Hold reports whether a rollout must stay, such as during an investigation. A panic
	// counts as true and is logged. If nil, no rollout is held.
	Hold func(ID) bool
}

// MinRetained is how many of the newest rollouts of a target a [Retain] never removes.
const MinRetained = 4

// Archiver keeps records of rollouts that are about to be deleted from the store. Package
// audit has one.
type Archiver interface {
	// Archive returns nil when r is kept durably. It returns a receipt, at most 16 KiB,
	// which is part of the next record of the target. After a crash it may be called again
	// with an equal record, and must return an equal receipt. Where several processes
	// share the store, any of them may call it. It must be safe for concurrent use; ctx
	// ends after 5 min or with the engine. A panic counts as an error.
	Archive(ctx context.Context, r Record) (receipt []byte, err error)
}

// Record is what the store holds of a rollout that has ended.
type Record struct {
	ID ID
	// Events are the entries of its audit trail, oldest first, as the bytes that were
	// hashed.
	Events [][]byte
	// Document is its last document as it was stored, or nil if it was damaged and is
	// kept in quarantine.
	Document []byte
	// Before is the receipt of the target's rollout before it, or nil.
	Before []byte
}

const (
	retainEvery    = time.Minute
	archiveTimeout = 5 * time.Minute
	maxReceipt     = 16 << 10
)

// zero reports whether r keeps everything.
func (r Retain) zero() bool { return r.Rollouts == 0 && r.For == 0 }

// validate calls bad for everything that is wrong with r.
func (r Retain) validate(bad func(field string, value any, want string)) {
	if r.Rollouts < 0 || r.Rollouts > 0 && r.Rollouts < MinRetained {
		bad("Retain.Rollouts", r.Rollouts, fmt.Sprintf("0, or a number >= %d", MinRetained))
	}
	if r.For < 0 {
		bad("Retain.For", r.For, "a duration >= 0")
	}
	switch {
	case !r.zero() && r.Archive == nil:
		bad("Retain.Archive", nil, "an archiver, since nothing is deleted without its archive")
	case r.zero() && r.Archive != nil:
		bad("Retain.Archive", "set", "Retain.Rollouts or Retain.For with it, since otherwise everything is kept")
	}
}

// retainedKey is where it is stored which rollouts of a target have been removed.
func retainedKey(target string) string { return "retained/" + target }

// retained is what has been removed of a target.
type retained struct {
	// First is the number of the oldest rollout that stays. Those before it are sealed,
	// and those before Clean are deleted too.
	First uint64 `json:"first"`
	Clean uint64 `json:"clean"`
	// Receipt is what the archiver returned for the newest rollout that is sealed.
	Receipt []byte `json:"receipt,omitempty"`
}

// retention returns what has been removed of a target, and its revision.
func (e *Engine) retention(ctx context.Context, target string) (at retained, rev Revision, err error) {
	at = retained{First: 1, Clean: 1}
	entry, err := e.cfg.Store.Get(ctx, retainedKey(target))
	switch {
	case errors.Is(err, ErrNotFound):
		return at, "", nil
	case err != nil:
		return at, "", err
	}
	if err := json.Unmarshal(entry.Value, &at); err != nil || at.Clean < 1 || at.First < at.Clean {
		return at, "", fmt.Errorf("rollout: %s: %w", retainedKey(target), errors.Join(ErrDamaged, err))
	}
	return at, entry.Revision, nil
}

// retain removes old rollouts of the targets that this process leads, until the engine
// closes.
func (e *Engine) retain() {
	said := make(map[string]string)
	for sleep(e.ctx, retainEvery); e.ctx.Err() == nil; sleep(e.ctx, retainEvery) {
		for _, target := range e.Targets() {
			d := e.current(target)
			if d == nil || !d.leads() {
				continue
			}
			why := ""
			if err := e.remove(e.ctx, target, d.view.Load().doc.Number); err != nil && e.ctx.Err() == nil {
				why = err.Error()
			}
			if why != "" && why != said[target] {
				e.cfg.Logger.WarnContext(e.ctx, "old rollouts stay in the store", "target", target, "error", why)
			}
			said[target] = why
		}
	}
}

// keptError says why a rollout is not removed although it is old enough.
type keptError struct {
	id  ID
	why string
}

func (e *keptError) Error() string { return fmt.Sprintf("rollout: %s is kept: %s", e.id, e.why) }

// remove seals and deletes the rollouts of a target that are old enough; newest is the
// number of the newest one.
func (e *Engine) remove(ctx context.Context, target string, newest uint64) error {
	keep := uint64(max(e.cfg.Retain.Rollouts, MinRetained))
	if newest <= keep {
		return nil
	}
	at, rev, err := e.retention(ctx, target)
	if err != nil {
		return err
	}
	store := func(next retained) error {
		value, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if rev, err = e.cfg.Store.Put(ctx, retainedKey(target), value, rev); err == nil {
			at = next
		}
		return err
	}
	for {
		// What is sealed is deleted before the next one is: a crash leaves one at most.
		for at.Clean < at.First {
			if err := e.erase(ctx, target, at.Clean); err != nil {
				return err
			}
			next := at
			next.Clean++
			if err := store(next); err != nil {
				return err
			}
		}
		if at.First+keep > newest {
			return nil
		}
		next := at
		next.First++
		id := numbered(target, at.First)
		rec, ended, err := e.record(ctx, id)
		switch {
		case err != nil:
			return err
		case e.cfg.wall().Sub(ended) < e.cfg.Retain.For:
			return nil
		}
		if len(rec.Events) > 0 || rec.Document != nil { // otherwise it never was, or is gone
			if err := e.free(ctx, id, rec); err != nil {
				return err
			}
			rec.Before = at.Receipt
			if next.Receipt, err = e.archive(ctx, rec); err != nil {
				return fmt.Errorf("rollout: archive of %s: %w", id, err)
			}
		}
		if err := store(next); err != nil {
			return err
		}
	}
}

// record reads what the store holds of a rollout that a newer one has followed, and when
// it ended.
func (e *Engine) record(ctx context.Context, id ID) (rec Record, ended time.Time, err error) {
	rec.ID = id
	entry, err := e.cfg.Store.Get(ctx, archiveKey(id))
	switch {
	case errors.Is(err, ErrNotFound):
		// Its document was damaged, and is in quarantine.
		for entry, err := range e.cfg.Store.List(ctx, auditPrefix(id)) {
			if err != nil {
				return rec, ended, err
			}
			if ev, ok := entryOf(id, entry); ok {
				rec.Events, ended = append(rec.Events, entry.Value), ev.At
			}
		}
		return rec, ended, nil
	case err != nil:
		return rec, ended, err
	}
	doc, _, err := decodeDocument(id.Target(), entry.Value)
	if err == nil && doc.ID != id {
		err = &DamagedError{Target: id.Target(), Err: fmt.Errorf("%s holds rollout %q", archiveKey(id), doc.ID)}
	}
	if err != nil {
		return rec, ended, err
	}
	rec.Document, ended = entry.Value, doc.Last.At
	for seq := uint64(1); seq <= doc.Seq; seq++ {
		raw, _, err := e.located(ctx, doc, seq)
		if err != nil {
			return rec, ended, err
		}
		rec.Events = append(rec.Events, raw)
	}
	return rec, ended, nil
}

// free reports whether nothing holds a rollout back from being removed.
func (e *Engine) free(ctx context.Context, id ID, rec Record) error {
	if e.held(id) {
		return &keptError{id, "it is held"}
	}
	for name, sink := range e.cfg.Sinks {
		at, known, err := e.delivered(ctx, name, id)
		if err != nil {
			return err
		}
		feeding := e.feeds(name, id)
		if !known && !feeding || at >= uint64(len(rec.Events)) {
			continue // no sink of that time, or it has received all
		}
		if !feeding {
			e.spawnFeed(name, sink, id)
		}
		return &keptError{id, fmt.Sprintf("sink %s has received %d of %d events", name, at, len(rec.Events))}
	}
	return nil
}

// held asks [Retain.Hold].
func (e *Engine) held(id ID) (held bool) {
	if e.cfg.Retain.Hold == nil {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			held = true
			e.cfg.Logger.ErrorContext(e.ctx, "Retain.Hold panicked", "rollout", id, "panic", r)
		}
	}()
	return e.cfg.Retain.Hold(id)
}

// archive calls the archiver, whose panics are errors.
func (e *Engine) archive(ctx context.Context, rec Record) (receipt []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the archiver panicked: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	receipt, err = e.cfg.Retain.Archive.Archive(ctx, rec)
	if err == nil && len(receipt) > maxReceipt {
		err = fmt.Errorf("receipt too large (have %d bytes, want at most %d)", len(receipt), maxReceipt)
	}
	return receipt, err
}

// entryOf reads an entry of a rollout's audit trail. It reports false for something else
// that is in its place.
func entryOf(id ID, entry Entry) (ev Event, ok bool) {
	ok = unmarshalEvent(entry.Value, &ev) == nil && ev.Rollout == id && entry.Key == auditKey(id, ev.Seq)
	return ev, ok
}

// delivered returns the number of the event up to which a sink has received a rollout,
// and whether it has received any.
func (e *Engine) delivered(ctx context.Context, sink string, id ID) (seq uint64, known bool, err error) {
	entry, err := e.cfg.Store.Get(ctx, cursorKey(sink, id))
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	var at cursor
	if err := json.Unmarshal(entry.Value, &at); err != nil {
		return 0, true, fmt.Errorf("rollout: %s: %w", cursorKey(sink, id), err)
	}
	return at.Seq, true, nil
}

// spawnFeed delivers one rollout's events to one sink, beside everything else.
func (e *Engine) spawnFeed(name string, sink Sink, id ID) {
	key := cursorKey(name, id)
	e.mu.Lock()
	e.feeding[key]++
	e.mu.Unlock()
	e.spawn(func() {
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.feeding[key]--; e.feeding[key] == 0 {
				delete(e.feeding, key)
			}
		}()
		e.feed(name, sink, id)
	})
}

// feeds reports whether this engine delivers a rollout to a sink.
func (e *Engine) feeds(name string, id ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.feeding[cursorKey(name, id)] > 0
}

// erase deletes what the store holds of a rollout that is sealed. Something else in the
// place of an audit entry is not part of its record, and stays.
func (e *Engine) erase(ctx context.Context, target string, number uint64) error {
	id := numbered(target, number)
	keys := []string{archiveKey(id)}
	for name := range e.cfg.Sinks {
		keys = append(keys, cursorKey(name, id))
	}
	var gone []Entry
	for _, prefix := range []string{auditPrefix(id), evidencePrefix(id)} {
		for entry, err := range e.cfg.Store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if _, ok := entryOf(id, entry); ok || prefix == evidencePrefix(id) {
				gone = append(gone, entry)
			}
		}
	}
	for _, key := range slices.Backward(keys) { // the document goes last
		entry, err := e.cfg.Store.Get(ctx, key)
		if errors.Is(err, ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		gone = append(gone, entry)
	}
	for _, entry := range gone {
		// Another process may have deleted it; the next look finds what is left.
		if err := e.cfg.Store.Delete(ctx, entry.Key, entry.Revision); err != nil {
			return err
		}
	}
	return nil
}
