package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/strategies"
)

// Disown takes back all open votes of a person who has left or lost a role, on every
// target of the engine, and returns the rollouts that it changed. Open votes are those on
// a stage that still waits for approval. The person is named by [Actor.Subject], compared
// byte by byte; a vote without subject is compared by its name. why and by are recorded
// in an event of kind [Disowned].
//
// by needs the action [ActionDisown] on each target with such a vote. Rollouts that could
// not be changed do not keep the others from it; their errors are joined: a
// [*ForbiddenError], a [*ConflictError], or the error of the store. An [*checks.InvalidError]
// means that nothing was tried. Disown is safe for concurrent use and can be repeated. It
// does not keep the person from voting again.
func (e *Engine) Disown(ctx context.Context, subject, why string, by Actor) ([]ID, error) {
	if err := context.Cause(e.ctx); err != nil {
		return nil, err
	}
	if strings.TrimSpace(subject) == "" || len(subject) > 255 {
		return nil, &checks.InvalidError{Package: "rollout", Field: "Disown.subject", Value: fmt.Sprintf("%q", bound(subject, maxNameSize)), Want: "the subject or name of a person, at most 255 bytes"}
	}
	if err := by.Validate(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	drivers := maps.Clone(e.drivers)
	e.mu.Unlock()
	var changed []ID
	var errs []error
	for _, target := range slices.Sorted(maps.Keys(drivers)) {
		d := drivers[target]
		// Authorize is asked before the lock is held; it matters only where there is a vote.
		may := e.authorize(ctx, by, ActionDisown, target)
		done, err := d.disown(ctx, subject, bound(why, maxReason), by, may)
		if err != nil {
			e.refuse(ctx, by, ActionDisown, target, d.id, err)
			errs = append(errs, err)
		}
		if done {
			changed = append(changed, d.id)
		}
	}
	return changed, errors.Join(errs...)
}

// disown takes back the open votes of one person, and reports whether there were any. If
// may is not nil, it is the error for that.
func (d *driver) disown(ctx context.Context, subject, why string, by Actor, may error) (bool, error) {
	if err := d.lockFor(ctx); err != nil {
		return false, err
	}
	defer d.unlock()
	if d.e.shared() {
		if err := d.refresh(ctx); err != nil {
			return false, err
		}
	}
	theirs := func(v strategies.Vote) bool {
		if v.Subject != "" {
			return v.Subject == subject
		}
		return v.Person() == strategies.Person("", subject)
	}
	for range 5 {
		if d.role == retired {
			return false, &ConflictError{Rollout: d.id, Reason: "another engine leads it, or a newer rollout has begun"}
		}
		i := slices.IndexFunc(d.doc.Votes, theirs)
		if i < 0 || d.doc.approval() == nil {
			return false, nil
		}
		if may != nil {
			return false, may
		}
		if d.role == leader {
			if err := d.count(ctx); err != nil {
				d.e.cfg.Logger.DebugContext(ctx, "evidence not counted", "rollout", d.id, "error", err)
			}
		}
		dec := strategies.Decision{Rule: "disown", Reason: because("vote of "+d.doc.Votes[i].Who+" taken back", why)}
		next := d.doc.follow(dec, Disowned, by, d.e.cfg.wall())
		next.Votes = slices.DeleteFunc(slices.Clone(d.doc.Votes), theirs)
		err := d.commit(ctx, next)
		if err == nil {
			d.schedule()
			return true, nil
		}
		if !errors.Is(err, ErrConflict) || isConflict(err) {
			return false, err
		}
	}
	return false, &ConflictError{Rollout: d.id, Reason: "rollout changed concurrently 5 times; retry"}
}
