package rollout

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// Refusal is something that an engine has been asked for and has not done, because it
// may not be done, or not now. It is plain data.
type Refusal struct {
	By      Actor
	Action  Action // "start", "retry", "supersede", "disown", or the name of a command
	Target  string
	Rollout ID // empty for a start
	// Rule is which kind of rule refused: "authorize", "state", "conflict", "key",
	// "busy", "baseline" or "demands". Reason is the error in words.
	Rule   string
	Reason string
}

// refuse logs an error that is a refusal, and lets the program know of it. What the
// function does with it, a panic included, changes nothing.
func (e *Engine) refuse(ctx context.Context, by Actor, what Action, target string, id ID, err error) {
	if err == nil {
		return
	}
	r := Refusal{By: by, Action: what, Target: target, Rollout: id, Reason: bound(err.Error(), maxError)}
	var (
		forbidden *ForbiddenError
		refused   *RefusedError
		conflict  *ConflictError
		reused    *KeyReusedError
		busy      *BusyError
		stale     *StaleBaselineError
		weak      *WeakPlanError
	)
	switch {
	case errors.As(err, &forbidden):
		r.Rule, r.Action = "authorize", forbidden.Action
	case errors.As(err, &refused):
		r.Rule = "state"
	case errors.As(err, &conflict):
		r.Rule = "conflict"
	case errors.As(err, &reused):
		r.Rule = "key"
	case errors.As(err, &busy):
		r.Rule = "busy"
	case errors.As(err, &stale):
		r.Rule = "baseline"
	case errors.As(err, &weak):
		r.Rule = "demands"
	default:
		return // it was not refused, it did not succeed
	}
	e.cfg.Logger.WarnContext(ctx, "action refused", "action", r.Action, "by", by.Name, "subject", by.Subject, "target", target, "rollout", id, "rule", r.Rule, "reason", r.Reason)
	if e.cfg.Refused == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Logger.ErrorContext(ctx, "Config.Refused panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	e.cfg.Refused(ctx, r)
}
