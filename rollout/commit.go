package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// commit stores next in place of d.doc, and then lets it take effect. The event
// of the commit before is in the audit trail by then, or, if next gives the candidate
// no more than before, in next; the entry of this one is written right after it. Errors:
// ErrConflict if another process has written, with d.doc read again; otherwise the
// outcome is unknown and d.doc unchanged.
func (d *driver) commit(ctx context.Context, next *document) error {
	event := next.Note == nil // otherwise it is a checkpoint
	switch err := d.file(ctx); {
	case err == nil:
		next.Owed = nil
	case !event: // what the audit trail has not taken stays in the document
	case !next.withdraws() || len(d.doc.Owed) >= maxOwed:
		return err
	default:
		next.Owed = append(slices.Clone(d.doc.Owed), d.doc.lastRaw)
	}
	if event && d.notice != "" {
		next.Last.Reason, next.Last.Urgent = bound(next.Last.Reason+"; "+d.notice, maxReason), true
	}
	rev, hash, size, err := d.put(ctx, next)
	if err != nil && size > slimAbove && !errors.Is(err, ErrConflict) && d.role != retired {
		// It may be too large for the store: the decision counts, not its words.
		d.e.cfg.Logger.WarnContext(ctx, "rollout step stored without its report", "rollout", d.id, "bytes", size, "error", err)
		next.slim()
		rev, hash, _, err = d.put(ctx, next)
	}
	if err != nil {
		return err
	}
	moved := !d.doc.sameClock(next)
	d.doc, d.hash, d.rev, d.saved = next, hash, rev, time.Now()
	if event {
		d.told, d.notice = d.saved, ""
	}
	d.proved()
	d.promoteWinner()
	d.apply(ctx)
	if moved {
		d.counted = time.Now() // what came before, and the commit itself, served the old state
	}
	if event {
		d.audit(ctx)
	}
	return nil
}

const (
	// maxOwed bounds the events that a document holds for the audit trail.
	maxOwed = 4
	// slimAbove is the size from which on a document that was not stored is tried
	// with fewer words.
	slimAbove = 16 << 10
)

// put stores next in place of d.doc.
func (d *driver) put(ctx context.Context, next *document) (rev Revision, hash string, size int, err error) {
	next.Before, next.Nonce, next.Writer = d.hash, rand.Text(), d.e.cfg.Replica
	if d.role == leader && d.members > 0 {
		next.Members = d.members
	}
	if next.Note == nil {
		if next.Last, next.lastRaw, err = next.Last.sealed(); err != nil {
			return "", "", 0, err
		}
	}
	value, hash, err := next.encode()
	if err != nil {
		return "", "", 0, err
	}
	rev, err = d.e.cfg.Store.Put(ctx, documentKey(d.target), value, d.rev)
	if err != nil {
		rev, err = d.resolve(ctx, next, err)
	}
	return rev, hash, len(value), err
}

// proved notes that the store has taken a write of this life, and what that ends.
func (d *driver) proved() {
	d.force.mu.Lock()
	defer d.force.mu.Unlock()
	d.force.unproved = false
	if x := d.force.out; x != nil && x.arms != nil && !slices.ContainsFunc(x.arms, func(arm string) bool { return !slices.Contains(d.doc.Dropped, arm) }) {
		d.force.out = nil
	}
}

// audit writes the event of the last commit to the audit trail. It is in the
// document; if it cannot be written now, step tries again, and commit does
// before it goes on.
func (d *driver) audit(ctx context.Context) {
	d.unaudited = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := d.file(ctx); err != nil {
		d.e.cfg.Logger.ErrorContext(ctx, "audit entry delayed", "rollout", d.id, "seq", d.doc.Seq, "error", err)
		d.notifyWaiters()
	}
}

// file writes to the audit trail what the document holds for it, and wakes those who
// wait for it.
func (d *driver) file(ctx context.Context) error {
	if !d.unaudited {
		return nil
	}
	for _, raw := range append(slices.Clone(d.doc.Owed), d.doc.lastRaw) {
		var ev Event
		if err := unmarshalEvent(raw, &ev); err != nil {
			return err
		}
		elsewhere, err := fileEvent(ctx, d.e.cfg.Store, ev, raw, d.untold >= maxUntold)
		if err != nil {
			d.untold++
			return err
		}
		if elsewhere != nil {
			d.notice = fmt.Sprintf("event %d is kept under %s, since its place in the audit trail could not be had: %v", ev.Seq, quarantinedKey(ev.Rollout, ev.Seq), elsewhere)
			d.e.cfg.Logger.ErrorContext(ctx, "audit entry in quarantine", "rollout", d.id, "seq", ev.Seq, "key", quarantinedKey(ev.Rollout, ev.Seq), "error", elsewhere)
		}
	}
	d.unaudited, d.untold = false, 0
	d.notifyWaiters()
	return nil
}

// maxUntold is how many failures to write an audit entry are taken for an outage of
// the store, and not for one of that key.
const maxUntold = 5

// resolve finds out what became of a Put that returned an error. It returns the
// revision if next was stored after all.
func (d *driver) resolve(ctx context.Context, next *document, putErr error) (Revision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	entry, err := d.e.cfg.Store.Get(ctx, documentKey(d.target))
	if err != nil {
		return "", errors.Join(putErr, err)
	}
	there, hash, err := decodeDocument(d.target, entry.Value)
	switch {
	case err != nil:
		return "", errors.Join(putErr, err)
	case there.Nonce == next.Nonce:
		return entry.Revision, nil
	case entry.Revision == d.rev:
		return "", putErr // nothing was written
	case d.doc.Seq > 0 && there.head().before(d.doc.head()):
		// What is there is older than what this process has committed.
		return "", errors.Join(putErr, &OvertakenError{Target: d.target, Stored: there.head(), Known: d.doc.head()})
	case d.doc.Seq == 0:
		return "", errors.Join(putErr, ErrConflict) // another process began a rollout
	case there.ID != d.id || !d.e.shared() && there.Epoch != d.doc.Epoch:
		d.role = retired
		return "", fmt.Errorf("rollout: %s was taken over by another engine: %w", d.id, ErrConflict)
	}
	if err := d.doc.mayBecome(there); err != nil {
		return "", errors.Join(putErr, err)
	}
	d.adopt(ctx, there, hash, entry.Revision)
	return "", errors.Join(putErr, ErrConflict)
}

// adopt makes doc, which another process has committed, the document of this rollout.
func (d *driver) adopt(ctx context.Context, doc *document, hash string, rev Revision) {
	if d.role == leader && doc.Epoch != d.doc.Epoch {
		d.stepDown()
	}
	doc.Plan.Analysis = d.doc.Plan.Analysis // with its functions
	// Time that was served since the last commit counts, unless the stage is
	// another one now.
	if d.role == leader && d.doc.sameClock(doc) {
		doc.Baked = max(doc.Baked, d.doc.Baked)
		if doc.Changed == d.doc.Changed {
			doc.Waited = max(doc.Waited, d.doc.Waited)
		}
	}
	if !d.doc.sameClock(doc) {
		d.counted = time.Now()
	}
	defer d.promoteWinner()
	if doc.Seq != d.doc.Seq {
		d.told = time.Now()
	}
	resumed := d.doc.Paused && !doc.Paused
	// The process that wrote it may have died before its event was in the audit trail.
	d.doc, d.hash, d.rev, d.unaudited = doc, hash, rev, true
	if x := d.force.exit(); x != nil && !x.lasting() {
		d.force.clear() // what others have written is judged again
	}
	if resumed && d.role == leader {
		d.accept()
	}
	d.apply(ctx)
	d.notifyWaiters()
}

// apply puts the committed split in force, or less where that has to be.
func (d *driver) apply(ctx context.Context) {
	over := d.doc.Phase.Terminal()
	if over {
		d.e.forget(ctx, d.id)
	}
	split, demand := d.force.commit(d.doc.Split, over)
	if d.seen != nil && split.Baseline() == d.doc.Plan.Baseline.Arm() {
		shares := make(map[string]float64, len(split.Arms))
		for _, a := range split.Arms {
			shares[a.Name] = float64(a.Weight)
		}
		if err := d.seen.Expect(split.Generation, shares); err != nil {
			d.e.cfg.Logger.ErrorContext(ctx, "cannot set expected traffic shares", "rollout", d.id, "error", err)
		}
	}
	d.e.know(d.doc)
	// Once it is committed it takes effect, whether the caller still waits or not.
	err := d.force.plane.wait(demand)
	d.refused(ctx, err)
	if err == nil && split.Equal(d.doc.Split) {
		d.inherited = 0
	}
	if over {
		d.stopChecks()
		if err == nil {
			d.measure(nil)
		}
	}
}

// refused notes what the splitter has said to a split.
func (d *driver) refused(ctx context.Context, err error) {
	if err != nil && d.splitErr == nil {
		d.e.cfg.Logger.ErrorContext(ctx, "split not in force", "rollout", d.id, "error", err)
	}
	d.splitErr = err
}

// next returns the channel that the next commit closes.
func (d *driver) next() <-chan struct{} {
	d.waiters.Lock()
	defer d.waiters.Unlock()
	return d.changed
}

// notifyWaiters wakes the goroutines that wait for events.
func (d *driver) notifyWaiters() {
	d.publishView() // first, so that they see what woke them
	d.waiters.Lock()
	defer d.waiters.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}
