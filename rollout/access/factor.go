package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// Factor is a second factor, such as [TOTP] and [Recovery].
type Factor interface {
	// Verify checks a code of a user, and returns the time of the proof for
	// [rollout.Actor.Proved]. Each code is accepted once. Errors are [ErrCode],
	// [ErrNotEnrolled], a [*PausedError], or errors of the store; with any of them the
	// user has proved nothing.
	Verify(ctx context.Context, user, code string) (proved time.Time, err error)
}

// The errors of factors.
var (
	// ErrCode means that a code is wrong, was used before, or is not a code at all.
	ErrCode = errors.New("access: the code is wrong or was used before")
	// ErrNotEnrolled means that the user has not enrolled, has not confirmed it, or has no
	// recovery code left.
	ErrNotEnrolled = errors.New("access: the user has not enrolled")
)

// PausedError means that a factor of a user is paused after too many failures.
type PausedError struct{ Until time.Time }

func (e *PausedError) Error() string {
	return "access: too many wrong codes; try again after " + e.Until.UTC().Format(time.RFC3339)
}

const (
	maxFailures  = 5
	failureSpan  = 5 * time.Minute
	firstPause   = time.Minute
	longestPause = time.Hour
	maxUser      = 255 // bytes
)

// throttle counts the failures of one factor of one user.
type throttle struct {
	Failures []time.Time `json:"failures,omitempty"` // within failureSpan
	Pauses   int         `json:"pauses,omitempty"`   // since the last success
	Until    time.Time   `json:"until,omitzero"`
}

// paused returns an error while the factor is paused, and whether the state has changed: no
// pause is longer than the longest, even if a clock was wrong.
func (t *throttle) paused(at time.Time) (changed bool, err error) {
	if most := at.Add(longestPause); t.Until.After(most) {
		t.Until, changed = most, true
	}
	if at.Before(t.Until) {
		return changed, &PausedError{t.Until}
	}
	return changed, nil
}

// fail counts a failure.
func (t *throttle) fail(at time.Time) {
	kept := t.Failures[:0]
	for _, f := range t.Failures {
		if at.Sub(f) < failureSpan {
			kept = append(kept, f)
		}
	}
	t.Failures = append(kept, at)
	if len(t.Failures) >= maxFailures {
		pause := longestPause
		if t.Pauses < 6 { // 1, 2, 4 ... 32 min
			pause = firstPause << t.Pauses
		}
		t.Failures, t.Pauses, t.Until = nil, t.Pauses+1, at.Add(pause)
	}
}

// succeed forgets all failures.
func (t *throttle) succeed() { *t = throttle{} }

// checkUser refuses names that cannot be users.
func checkUser(user string) error {
	if user == "" || len(user) > maxUser {
		return &checks.InvalidError{Package: "access", Field: "user", Value: fmt.Sprintf("%d bytes", len(user)), Want: "1 to 255 bytes"}
	}
	return nil
}

// key is where the state of a factor of a user is stored.
func key(factor, user string) string {
	sum := sha256.Sum256([]byte(user))
	return "access/" + factor + "/" + hex.EncodeToString(sum[:])
}

// maxTries bounds how often an update begins again because another one was first.
const maxTries = 1000

// update changes the document under a key by compare-and-set. change gets the zero value for
// a new key, and says whether its changes are to be stored; its error is returned after
// that. It is called again if another process has changed the document meanwhile. If the
// document cannot be stored, the error is the store's, whatever change has found out.
func update[T any](ctx context.Context, s rollout.Store, key string, change func(doc *T) (store bool, err error)) error {
	return changeStored(ctx, s, key, false, change)
}

// replace is update for a document that may be replaced if it cannot be read.
func replace[T any](ctx context.Context, s rollout.Store, key string, change func(doc *T) (store bool, err error)) error {
	return changeStored(ctx, s, key, true, change)
}

func changeStored[T any](ctx context.Context, s rollout.Store, key string, mayReplace bool, change func(doc *T) (store bool, err error)) error {
	for range maxTries {
		var doc T
		e, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, rollout.ErrNotFound), mayReplace && errors.Is(err, rollout.ErrDamaged) && e.Revision != "":
		case err != nil:
			return fmt.Errorf("access: %w", err)
		default:
			if err := json.Unmarshal(e.Value, &doc); err != nil && mayReplace {
				doc = *new(T)
			} else if err != nil {
				return fmt.Errorf("access: the state of a factor cannot be read: %w", err)
			}
		}
		store, result := change(&doc)
		if !store {
			return result
		}
		value, err := json.Marshal(doc)
		if err != nil {
			return fmt.Errorf("access: %w", err)
		}
		_, err = s.Put(ctx, key, value, e.Revision)
		if errors.Is(err, rollout.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("access: %w", err)
		}
		return result
	}
	return fmt.Errorf("access: %w", rollout.ErrConflict)
}
