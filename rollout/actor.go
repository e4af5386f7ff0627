package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/strategies"
)

// Actor is who asked for something. It is recorded with everything that they
// bring about. Who they are, and that they are who they say, is established by
// the program that calls; see [Config.Authorize].
type Actor struct {
	// Name identifies the person or the program. It must not be empty.
	Name string `json:"name"`
	// Roles are what they may act as, such as "sre". Approvals can demand them.
	Roles []string `json:"roles,omitempty"`
	// Proved is when they last proved themselves with a second factor; the zero
	// time means never. Approvals can demand that it is recent.
	Proved time.Time `json:"proved,omitzero"`
}

// engineActor is who decides on its own.
var engineActor = Actor{Name: "serin"}

// Action names what somebody wants to do, for an [Authorizer]: "start", "retry",
// or the name of a command.
type Action string

const (
	ActionStart Action = "start"
	ActionRetry Action = "retry"
)

// Authorizer decides who may do what. A nil error allows it. It must be safe
// for concurrent use.
type Authorizer func(ctx context.Context, by Actor, what Action, target string) error

// Roles is a simple table of rights: for each role the actions that it may
// carry out, "*" meaning all. An actor may do what any of their roles may.
type Roles map[string][]Action

// Authorize is an [Authorizer]. Its errors are [*ForbiddenError] values.
func (r Roles) Authorize(_ context.Context, by Actor, what Action, target string) error {
	for _, role := range by.Roles {
		if slices.Contains(r[role], what) || slices.Contains(r[role], "*") {
			return nil
		}
	}
	return &ForbiddenError{Actor: by.Name, Action: what, Target: target, Reason: fmt.Sprintf("none of the roles %q may", by.Roles)}
}

// authorize asks who is configured to know.
func (e *Engine) authorize(ctx context.Context, by Actor, what Action, target string) error {
	if by.Name == "" {
		return &InvalidError{Field: "Actor.Name", Value: `""`, Want: "the name of who acts"}
	}
	if e.cfg.Authorize == nil {
		return nil
	}
	err := e.cfg.Authorize(ctx, by, what, target)
	if err == nil {
		return nil
	}
	if _, ok := err.(*ForbiddenError); ok {
		return err
	}
	return &ForbiddenError{Actor: by.Name, Action: what, Target: target, Reason: err.Error(), Err: err}
}

// Option refines a command; see [Engine.Do].
type Option func(*order)

// order is a command with everything that came with it.
type order struct {
	strategies.Command
	by             Actor
	key, why, plan string
	seq            uint64
}

// Key makes the command idempotent: a second one with the same key has no
// effect and returns nil once the first was carried out. Keys are remembered
// for the last [MaxKeys] commands of a rollout.
func Key(key string) Option { return func(o *order) { o.key = key } }

// MaxKeys is the number of idempotency keys that a rollout remembers.
const MaxKeys = 64

// IfSeq makes the command conditional on what its author has seen: it is
// refused with a [*ConflictError] if anything but the writing down of evidence
// has happened after event seq.
func IfSeq(seq uint64) Option { return func(o *order) { o.seq = seq } }

// Because gives the reason, which is recorded.
func Because(reason string) Option { return func(o *order) { o.why = reason } }

// OfPlan binds an approval to the plan with this digest, [Status.Digest]: it is
// refused with a [*ConflictError] if the rollout has another one.
func OfPlan(digest string) Option { return func(o *order) { o.plan = digest } }
