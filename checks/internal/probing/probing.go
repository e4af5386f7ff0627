// Package probing makes checks of one look at a thing, with a time limit and a digest of
// what they require.
package probing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
)

// DefaultTimeout is the time limit of a check that names none.
const DefaultTimeout = 10 * time.Second

// check is a check with a digest of its requirements.
type check struct {
	checks.Func
	digest string
}

// Digest implements [checks.Digester].
func (c *check) Digest() string { return c.digest }

// New returns a check of one kind. limit ends each run; zero means 10 s. requirements
// identify what the check requires; they marshal to JSON and hold no secrets. If invalid is
// an error, look never runs. A result that opens does not count after the end of the context.
func New(kind string, limit time.Duration, requirements any, invalid error, look func(ctx context.Context) checks.Result) checks.Check {
	text, err := json.Marshal(requirements)
	if invalid = errors.Join(invalid, err); invalid != nil {
		look = func(context.Context) checks.Result {
			return checks.Result{Summary: "the options of the probe are invalid", Err: invalid}
		}
	}
	if limit <= 0 {
		limit = DefaultTimeout
	}
	sum := sha256.Sum256(fmt.Appendf(text, "\n%s", kind))
	return &check{digest: "sha256:" + hex.EncodeToString(sum[:]), Func: func(ctx context.Context) checks.Result {
		within, cancel := context.WithTimeoutCause(ctx, limit, &SlowError{limit})
		defer cancel()
		if err := ctx.Err(); err != nil {
			return checks.Result{Summary: "not looked at", Err: err}
		}
		r := look(within)
		if within.Err() != nil && r.Status.Opens() { // what was called ignores its context
			late, _ := Ended(within, kind)
			late.Evidence = r.Evidence
			return late
		}
		return r
	}}
}

// Ended returns the result of a look at what whose context has ended: Fail if the look was too
// slow, Unknown otherwise.
func Ended(ctx context.Context, what string) (r checks.Result, ended bool) {
	if slow := (*SlowError)(nil); errors.As(context.Cause(ctx), &slow) {
		return checks.Result{Status: checks.Fail, Summary: what + ": " + slow.Error(), Err: slow}, true
	}
	if ctx.Err() != nil {
		return checks.Result{Summary: what + ": not looked at", Err: ctx.Err()}, true
	}
	return checks.Result{}, false
}

// SlowError means that a check has reached its own time limit.
type SlowError struct{ Limit time.Duration }

func (e *SlowError) Error() string { return fmt.Sprintf("no result within %v", e.Limit) }

// Timeout reports true, as errors of package net do.
func (e *SlowError) Timeout() bool { return true }
