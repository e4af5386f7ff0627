package rollout

import (
	"fmt"

	"github.com/serin-go/serin/strategies"
	"github.com/serin-go/serin/versioning"
)

// BusyError says that another rollout of the same target is active.
type BusyError struct {
	Target string
	Active ID // the active rollout
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("rollout: target %s is busy with rollout %s; wait for it, or abort it", e.Target, e.Active)
}

// StaleBaselineError says that a plan's baseline is not what serves its target: the
// last rollout left another version, or another build of it, in service. Nothing has
// changed. See [Plan.DangerouslyReplaceServing].
type StaleBaselineError struct {
	Target  string
	Serving versioning.Release
	Plan    versioning.Release // the plan's baseline
}

func (e *StaleBaselineError) Error() string {
	return fmt.Sprintf("rollout: target %s: Plan.Baseline is %s, want %s, which serves; name it in Plan.DangerouslyReplaceServing if it is to lose its traffic to the plan's versions", e.Target, build(e.Plan), build(e.Serving))
}

// build words a release with its digest, where there is one.
func build(r versioning.Release) string {
	if r.Digest == "" {
		return r.Arm()
	}
	return r.Arm() + " " + r.Digest
}

// RefusedError says that a command makes no sense in the state that the rollout
// is in. Nothing has changed.
type RefusedError struct {
	Rollout ID
	Command strategies.Command
	Reason  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("rollout: %s: %s", e.Rollout, e.Reason)
}

// DamagedError says that the stored document of a target cannot be read. The
// target serves its default split, the baseline. The next Start keeps a copy of the
// document and replaces it.
type DamagedError struct {
	Target string
	Err    error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("rollout: the document of target %s is damaged: %v", e.Target, e.Err)
}

// Is reports whether target is [ErrDamaged].
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// Unwrap returns what is wrong with the document.
func (e *DamagedError) Unwrap() error { return e.Err }

// ForbiddenError means that the [Authorizer] denied the action.
type ForbiddenError struct {
	Actor  string
	Action Action
	Target string
	Reason string
	Err    error // what the [Authorizer] said, nil if there is nothing to add
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("rollout: %s may not %s on target %s: %s", e.Actor, e.Action, e.Target, e.Reason)
}

// Unwrap returns what the [Authorizer] said.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// ConflictError means that the rollout changed after the state that the command was given
// for. The command has no effect. It wraps [ErrConflict].
type ConflictError struct {
	Rollout ID
	Reason  string
}

func (e *ConflictError) Error() string { return fmt.Sprintf("rollout: %s: %s", e.Rollout, e.Reason) }

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// UnstoredError says that a command is in force in this process and is not stored.
// The candidate has no traffic here. Storing it is tried again until it succeeds or
// the rollout has ended otherwise. Other processes that share the store may still
// give the candidate traffic, and so may a restart of this one; see
// [Config.LastResort].
type UnstoredError struct {
	Rollout ID
	Command strategies.Command
	Err     error // what the store said
}

func (e *UnstoredError) Error() string {
	return fmt.Sprintf("rollout: %s: the candidate is removed in this process, but %s is not stored yet; retrying: %v", e.Rollout, e.Command, e.Err)
}

// Unwrap returns what the store said.
func (e *UnstoredError) Unwrap() error { return e.Err }

// MissingEventError means that an event of a rollout was committed, and is neither in
// the audit trail nor in quarantine.
type MissingEventError struct {
	Rollout ID
	Seq     uint64
	Err     error // why its place in the audit trail does not hold it
}

func (e *MissingEventError) Error() string {
	return fmt.Sprintf("rollout: event %s #%d is missing from the audit trail: %v", e.Rollout, e.Seq, e.Err)
}

// Unwrap returns why the event's place in the audit trail does not hold it.
func (e *MissingEventError) Unwrap() error { return e.Err }

// KeyReusedError says that a [Key] has been used for another command or another start, or by
// another actor. Nothing has changed.
type KeyReusedError struct {
	Rollout ID // of the command, or that was started by the key
	Key     string
	Command strategies.Command // that was refused; NoCommand for a start or a retry
}

func (e *KeyReusedError) Error() string {
	if e.Command == strategies.NoCommand {
		return fmt.Sprintf("rollout: cannot start: the key %q was used to start %s, with another plan or by another actor", e.Key, e.Rollout)
	}
	return fmt.Sprintf("rollout: %s: cannot %s: the key %q was used for another command or by another actor", e.Rollout, e.Command, e.Key)
}
