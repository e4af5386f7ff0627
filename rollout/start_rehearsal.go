package rollout

import (
	"context"
	"errors"
)

// MayStart returns the error that Start would return if it were called now, or nil: mistakes of
// the plan, what the target lacks and demands, rights, an active rollout, and another version
// that serves. It stores nothing and refuses nothing on the record. Another start or a fault of
// the store may still come first.
func (e *Engine) MayStart(ctx context.Context, p Plan, by Actor) error {
	if err := context.Cause(e.ctx); err != nil {
		return err
	}
	if err := e.accept(p, by); err != nil {
		return err
	}
	if err := e.authorize(ctx, by, ActionStart, p.Target); err != nil {
		return err
	}
	if e.remote {
		if err := e.hasTarget(ctx, p.Target); err != nil {
			return err
		}
	}
	p, err := p.compile()
	if err != nil {
		return err
	}
	if err := e.demanded(ctx, p, by); err != nil {
		return err
	}
	if err := e.mayFollow(ctx, p, by); err != nil {
		return err
	}
	_, err = e.gates(ctx, p)
	return err
}

// mayFollow returns why a rollout of p cannot begin after the newest one of its target.
func (e *Engine) mayFollow(ctx context.Context, p Plan, by Actor) error {
	entry, err := e.cfg.Store.Get(ctx, documentKey(p.Target))
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
		return nil // a start goes on from there
	} else if err != nil {
		return err
	}
	doc, _, err := decodeDocument(p.Target, entry.Value)
	if err != nil {
		return nil
	}
	if !doc.Phase.Terminal() {
		if !p.Supersede {
			return &BusyError{Target: p.Target, Active: doc.ID}
		}
		if err := e.authorize(ctx, by, ActionSupersede, p.Target); err != nil {
			return err
		}
	}
	return p.follows(doc.serving())
}
