package rollout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Events returns the events of a rollout with Seq from and later, as they are
// in the audit trail, and follows it: the iteration ends after the event that
// ends the rollout, when the caller breaks off, or with an error, such as the
// cause of ctx's end. from 0 and 1 are the same.
func (e *Engine) Events(ctx context.Context, id ID, from uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for seq := max(from, 1); ; seq++ {
			ev, err := e.event(ctx, id, seq)
			if err != nil {
				if !errors.Is(err, errNoMore) {
					yield(Event{}, err)
				}
				return
			}
			if !yield(ev, nil) || ev.Kind == Ended {
				return
			}
		}
	}
}

var errNoMore = errors.New("no more events")

// event waits for one event.
func (e *Engine) event(ctx context.Context, id ID, seq uint64) (Event, error) {
	var ev Event
	for {
		// A commit in this process is heard of; one in another is looked for.
		changed, wait := (<-chan struct{})(nil), e.cfg.Poll
		if d := e.driver(id); d != nil {
			changed = d.next()
			if !e.shared() {
				wait *= 10
			}
		}
		entry, err := e.cfg.Store.Get(ctx, auditKey(id, seq))
		if err == nil {
			if err = unmarshalEvent(entry.Value, &ev); err == nil && ev.Rollout == id && ev.Seq == seq {
				return ev, nil
			}
		}
		notFound := errors.Is(err, ErrNotFound)
		if err != nil && !notFound && !errors.Is(err, ErrDamaged) && len(entry.Value) == 0 {
			return ev, err
		}
		st, stErr := e.Status(ctx, id)
		if stErr != nil {
			return ev, stErr
		}
		if seq <= st.Seq { // something else may be in its place
			ev = Event{}
			kept, keptErr := e.cfg.Store.Get(ctx, quarantinedKey(id, seq))
			if keptErr == nil {
				return ev, unmarshalEvent(kept.Value, &ev)
			}
			if !notFound && errors.Is(keptErr, ErrNotFound) && seq < st.Seq {
				return ev, fmt.Errorf("rollout: event %s #%d: something else is in its place, and it is not in quarantine", id, seq)
			}
		}
		if st.Phase.Terminal() && seq > st.Seq {
			return ev, errNoMore
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
			return ev, err
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
