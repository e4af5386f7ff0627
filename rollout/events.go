package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
)

// Events returns the events of a rollout with Seq from and later, as they are
// in the audit trail, and follows it: the iteration ends after the event that
// ends the rollout, when the caller breaks off, or with an error, such as the
// cause of ctx's end. from 0 and 1 are the same. If an event is neither in the audit
// trail nor in quarantine, the iteration ends with a [*MissingEventError]; call Events
// with the number after it to go on.
func (e *Engine) Events(ctx context.Context, id ID, from uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for at, err := range e.entries(ctx, id, from) {
			if !yield(at.Event, err) {
				return
			}
		}
	}
}

// eventEntry is an event with the bytes that were hashed.
type eventEntry struct {
	Event
	raw []byte
}

// entries is Events with the bytes that were hashed.
func (e *Engine) entries(ctx context.Context, id ID, from uint64) iter.Seq2[eventEntry, error] {
	return func(yield func(eventEntry, error) bool) {
		for seq := max(from, 1); ; seq++ {
			at, err := e.event(ctx, id, seq)
			if err != nil {
				if !errors.Is(err, errNoMore) {
					yield(eventEntry{}, err)
				}
				return
			}
			if !yield(at, nil) || at.Kind == Ended {
				return
			}
		}
	}
}

// MaxPage is the largest number of events or rollouts that one call returns.
const MaxPage = 1000

// Read returns up to n events of a rollout with Seq from and later, as far as they are
// committed, and does not wait for more. n is between 1 and [MaxPage]. from 0 and 1 are
// the same; a number after the last event yields none. Events that the audit trail has
// not taken yet are read from the rollout's document.
//
// Errors: an [*checks.InvalidError] for n, an error that wraps [ErrNotFound] for an unknown
// rollout, a [*MissingEventError], or an error of the store. The events before the error
// are returned with it.
func (e *Engine) Read(ctx context.Context, id ID, from uint64, n int) ([]Event, error) {
	if err := checkPage(n); err != nil {
		return nil, err
	}
	doc, err := e.document(ctx, id)
	if err != nil {
		return nil, err
	}
	var events []Event
	for seq := max(from, 1); seq <= doc.Seq && len(events) < n; seq++ {
		at, why, err := e.filed(ctx, id, seq)
		if err == nil && why != nil {
			at, _, err = e.recorded(ctx, doc, seq)
		}
		if err != nil {
			return events, err
		}
		events = append(events, at.Event)
	}
	return events, nil
}

// checkPage reports whether a page may have n entries.
func checkPage(n int) error {
	if n < 1 || n > MaxPage {
		return &checks.InvalidError{Package: "rollout", Field: "n", Value: n, Want: fmt.Sprintf("1 to %d", MaxPage)}
	}
	return nil
}

// filed reads an event from its place in the audit trail. why says why it is not there;
// err is an error of the store.
func (e *Engine) filed(ctx context.Context, id ID, seq uint64) (at eventEntry, why, err error) {
	entry, err := e.cfg.Store.Get(ctx, auditKey(id, seq))
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return eventEntry{}, err, nil
	case err != nil:
		return eventEntry{}, nil, err
	}
	at.raw = entry.Value
	if why = unmarshalEvent(at.raw, &at.Event); why == nil && (at.Rollout != id || at.Seq != seq) {
		why = errInTheWay
	}
	if why != nil {
		return eventEntry{}, why, nil
	}
	return at, nil, nil
}

// recorded finds an event that is part of doc; see located.
func (e *Engine) recorded(ctx context.Context, doc *document, seq uint64) (at eventEntry, pending bool, err error) {
	at.raw, pending, err = e.located(ctx, doc, seq)
	if err == nil {
		err = unmarshalEvent(at.raw, &at.Event)
	}
	return at, pending, err
}

// located finds an event that is part of doc, as the bytes that were hashed: in the audit
// trail, in quarantine, or in doc itself. pending reports that it is in doc alone. doc must
// have been read before: an event is filed before a document leaves it out.
func (e *Engine) located(ctx context.Context, doc *document, seq uint64) (raw []byte, pending bool, err error) {
	is := func(raw []byte) bool {
		var ev Event
		return unmarshalEvent(raw, &ev) == nil && ev.Rollout == doc.ID && ev.Seq == seq
	}
	var why error
	for _, key := range []string{auditKey(doc.ID, seq), quarantinedKey(doc.ID, seq)} {
		entry, err := e.cfg.Store.Get(ctx, key)
		switch {
		case err == nil && is(entry.Value):
			return entry.Value, false, nil
		case err == nil:
			err = errInTheWay
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged):
			return nil, false, err
		}
		if why == nil {
			why = err
		}
	}
	for _, raw := range append(slices.Clone(doc.Owed), doc.lastRaw) {
		if is(raw) {
			return raw, true, nil
		}
	}
	return nil, false, &MissingEventError{Rollout: doc.ID, Seq: seq, Err: why}
}

// document returns the newest document of a rollout that is known here.
func (e *Engine) document(ctx context.Context, id ID) (*document, error) {
	if d := e.driver(id); d != nil {
		return &d.view.Load().doc, nil
	}
	if err := e.notFollowed(id.Target()); errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return e.find(ctx, id)
}

// Targets returns the names of the engine's targets, sorted. The caller owns the slice.
func (e *Engine) Targets() []string { return slices.Sorted(maps.Keys(e.cfg.Targets)) }

// Rollouts returns the status of up to n rollouts of a target, newest first: the
// rollouts before the rollout before, or the newest ones if before is empty. n is
// between 1 and [MaxPage]. The last ID of a page is the before of the next page; a page
// with fewer than n rollouts and no error is the last one. It reads one value from the
// store for each rollout of the page.
//
// Errors: an [*checks.InvalidError] for n or for a before of another target, or an error of the
// store. A rollout whose document is damaged is left out; the error wraps a
// [*DamagedError] for each. The other rollouts of the page are returned with the error.
// A target that never had a rollout yields none, and so do rollouts that were removed; see
// [Retain].
func (e *Engine) Rollouts(ctx context.Context, target string, before ID, n int) ([]Status, error) {
	if err := checkPage(n); err != nil {
		return nil, err
	}
	var page []Status
	number := uint64(math.MaxUint64) // of the rollout that was listed last
	if before != "" {
		var err error
		if number, err = before.number(); err != nil || before.Target() != target {
			return nil, &checks.InvalidError{Package: "rollout", Field: "before", Value: fmt.Sprintf("%q", bound(string(before), maxNameSize)), Want: "a rollout of target " + target}
		}
	}
	newest, err := e.Newest(ctx, target)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case errors.Is(err, ErrDamaged) && before != "": // the earlier ones can be read
	case err != nil:
		return nil, err
	default:
		last, err := newest.ID.number()
		if err != nil {
			return nil, err
		}
		if last < number {
			page, number = append(page, newest), last
		}
	}
	var damaged []error
	oldest := uint64(1)
	for misses := 0; number > 1 && len(page)+len(damaged) < n; {
		number--
		id := numbered(target, number)
		st, err := e.archived(ctx, id)
		switch {
		case errors.Is(err, ErrDamaged):
			damaged = append(damaged, fmt.Errorf("rollout: %s: %w", id, err))
		case errors.Is(err, ErrNotFound): // its document was damaged, or it was removed
			if misses == 0 {
				at, _, err := e.retention(ctx, target)
				if err != nil {
					return page, err
				}
				oldest = at.First
			}
			if number < oldest {
				return page, errors.Join(damaged...)
			}
			if misses++; misses == MaxPage {
				return page, fmt.Errorf("rollout: no rollout found from %s on: %w", id, err)
			}
		case err != nil:
			return page, err
		default:
			page = append(page, st)
		}
	}
	return page, errors.Join(damaged...)
}

// archived returns the status of a rollout that a newer one of its target has followed.
func (e *Engine) archived(ctx context.Context, id ID) (Status, error) {
	entry, err := e.cfg.Store.Get(ctx, archiveKey(id))
	if errors.Is(err, ErrDamaged) {
		err = &DamagedError{Target: id.Target(), Err: err}
	}
	if err != nil {
		return Status{}, err
	}
	doc, _, err := decodeDocument(id.Target(), entry.Value)
	if err == nil && doc.ID != id {
		err = &DamagedError{Target: id.Target(), Err: fmt.Errorf("it belongs to rollout %q", doc.ID)}
	}
	if err != nil {
		return Status{}, err
	}
	return doc.status(e.cfg.wall()), nil
}

var errNoMore = errors.New("no more events")

// event waits for one event.
func (e *Engine) event(ctx context.Context, id ID, seq uint64) (eventEntry, error) {
	for {
		// A commit in this process is heard of; one in another is looked for.
		changed, wait := (<-chan struct{})(nil), e.cfg.Poll
		if d := e.driver(id); d != nil {
			changed = d.next()
			if !e.shared() || seq > d.view.Load().doc.Seq { // it is heard of here
				wait *= 10
			}
		}
		at, why, err := e.filed(ctx, id, seq)
		if err != nil || why == nil {
			return at, err
		}
		doc, err := e.document(ctx, id)
		if err != nil {
			return eventEntry{}, err
		}
		over := doc.Phase.Terminal()
		if seq <= doc.Seq {
			at, pending, err := e.recorded(ctx, doc, seq)
			if err != nil || !pending || over {
				return at, err
			}
		} else if over {
			return eventEntry{}, errNoMore
		}
		timer := time.NewTimer(wait)
		err = nil
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-e.ctx.Done():
			err = context.Cause(e.ctx)
		}
		timer.Stop()
		if err != nil {
			return eventEntry{}, err
		}
	}
}

// retryAfter is how long is waited after something failed that is tried again.
const retryAfter = time.Second

// sleep waits, or ends early with ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
