package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// storeTimeout bounds what must be tried although nobody may wait for it.
const storeTimeout = 5 * time.Second

// commit stores next in place of d.doc, and then lets it take effect. The event
// of the commit before is in the audit trail by then, and that of this one is
// written at once after it. Errors: ErrConflict if somebody else has written,
// with d.doc read anew; otherwise the outcome is unknown and d.doc unchanged.
func (d *driver) commit(ctx context.Context, next *document) error {
	store := d.e.cfg.Store
	if d.unaudited {
		if err := writeAudit(ctx, store, d.doc.Last); err != nil {
			return err
		}
		d.unaudited = false
	}
	var err error
	next.Before, next.Nonce, next.Writer = d.hash, rand.Text(), d.e.cfg.Replica
	if next.Last, _, err = next.Last.sealed(); err != nil {
		return err
	}
	value, hash, err := next.encode()
	if err != nil {
		return err
	}
	rev, err := store.Put(ctx, documentKey(d.target), value, d.rev)
	if err != nil {
		if rev, err = d.resolve(ctx, next, err); err != nil {
			return err
		}
	}
	moved := !d.doc.sameClock(next)
	d.doc, d.hash, d.rev, d.saved = next, hash, rev, time.Now()
	d.crown()
	d.apply(ctx)
	if moved {
		d.counted = time.Now() // what came before, and the commit itself, served the old state
	}
	d.audit(ctx)
	return nil
}

// audit writes the event of the last commit to the audit trail. It is in the
// document; if it cannot be written now, step tries again, and commit does
// before it goes on.
func (d *driver) audit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := writeAudit(ctx, d.e.cfg.Store, d.doc.Last)
	if d.unaudited = err != nil; d.unaudited {
		d.e.cfg.Logger.ErrorContext(ctx, "audit entry delayed", "rollout", d.id, "seq", d.doc.Seq, "error", err)
	}
	d.wake()
}

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
	case d.doc.Seq == 0:
		return "", errors.Join(putErr, ErrConflict) // a rollout that somebody else began
	case there.ID != d.id || !d.e.shared() && there.Epoch != d.doc.Epoch:
		d.replaced = true
		return "", fmt.Errorf("rollout: %s was taken over by another engine: %w", d.id, ErrConflict)
	}
	d.adopt(ctx, there, hash, entry.Revision)
	return "", errors.Join(putErr, ErrConflict)
}

// adopt takes over what somebody else has committed to this rollout.
func (d *driver) adopt(ctx context.Context, doc *document, hash string, rev Revision) {
	if d.lead && doc.Epoch != d.doc.Epoch {
		d.follow()
	}
	doc.Plan.Analysis = d.doc.Plan.Analysis // with its functions
	// Time that was served since the last commit counts, unless the stage is
	// another one now.
	if d.lead && d.doc.sameClock(doc) {
		doc.Baked = max(doc.Baked, d.doc.Baked)
		if doc.Changed == d.doc.Changed {
			doc.Waited = max(doc.Waited, d.doc.Waited)
		}
	}
	if !d.doc.sameClock(doc) {
		d.counted = time.Now()
	}
	defer d.crown()
	// Who wrote it may have died before its event was in the audit trail.
	d.doc, d.hash, d.rev, d.unaudited = doc, hash, rev, true
	d.apply(ctx)
	d.wake()
}

// apply puts the committed split in force.
func (d *driver) apply(ctx context.Context) {
	split := d.doc.Split
	if (d.lowered != "" || d.stale) && !d.doc.Phase.Terminal() {
		split = split.RollBack()
	}
	if d.seen != nil {
		shares := make(map[string]float64, len(split.Arms))
		for _, a := range split.Arms {
			shares[a.Name] = float64(a.Weight)
		}
		if err := d.seen.Expect(split.Generation, shares); err != nil {
			d.e.cfg.Logger.ErrorContext(ctx, "shares not compared", "rollout", d.id, "error", err)
		}
	}
	// Once it is committed it takes effect, whether the caller still waits or not.
	err := d.splitter.SetSplit(context.WithoutCancel(ctx), split)
	if err != nil && d.splitErr == nil {
		d.e.cfg.Logger.ErrorContext(ctx, "split not in force", "rollout", d.id, "error", err)
	}
	d.splitErr = err
	if d.doc.Phase.Terminal() {
		d.stopChecks()
		if err == nil {
			d.measure(nil)
		}
	}
}

// next returns the channel that the next commit closes.
func (d *driver) next() <-chan struct{} {
	d.waiters.Lock()
	defer d.waiters.Unlock()
	return d.changed
}

// wake tells those who wait for events that there is a new one.
func (d *driver) wake() {
	d.publishView() // so that who wakes sees what woke them
	d.waiters.Lock()
	defer d.waiters.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}
