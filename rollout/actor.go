package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/strategies"
)

// Actor identifies the person or program that issued a command. It is recorded with every
// event that the command causes. The calling program authenticates it; see
// [Config.Authorize].
type Actor struct {
	// Name is what people know the person or the program by. It must not be empty, has
	// at most 128 bytes, and only characters that show, without combining ones.
	Name string `json:"name"`
	// Subject is who it is for good, such as issuer and subject of the identity
	// provider: printable ASCII, at most 255 bytes, compared byte by byte. Empty means
	// that the name, in lower case and without outer space, is who it is.
	Subject string `json:"subject,omitempty"`
	// Roles are what they may act as, such as "sre". Approvals can demand them.
	Roles []string `json:"roles,omitempty"`
	// Proved is when they last proved themselves with a second factor; the zero
	// time means never. Approvals can demand that it is recent.
	Proved time.Time `json:"proved,omitzero"`
	// Via is where the command came from, such as "console", "ctl" or "api", for the
	// record alone. It is as a name, and may be empty.
	Via string `json:"via,omitempty"`
}

// person returns what is compared where it matters whether two actors are one.
func (a Actor) person() string { return strategies.Person(a.Subject, a.Name) }

// Validate reports everything that is wrong with a, joined; each problem is a
// [*checks.InvalidError].
func (a Actor) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Actor." + field, Value: value, Want: want})
	}
	shown := func(s string) string { return fmt.Sprintf("%q", bound(s, maxNameSize)) }
	switch {
	case strings.TrimSpace(a.Name) == "":
		bad("Name", shown(a.Name), "the name of the person who acts")
	case !plainName(a.Name):
		bad("Name", shown(a.Name), wantName)
	}
	if len(a.Subject) > 255 || strings.ContainsFunc(a.Subject, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("Subject", shown(a.Subject), "at most 255 bytes of printable ASCII without blanks")
	}
	if !plainName(a.Via) {
		bad("Via", shown(a.Via), wantName)
	}
	for i, r := range a.Roles {
		if r == "" || !plainName(r) {
			bad(fmt.Sprintf("Roles[%d]", i), shown(r), wantName)
		}
	}
	return errors.Join(errs...)
}

// vote returns the vote that a command of a is.
func (a Actor) vote(c strategies.Command, at time.Time, why string) strategies.Vote {
	return strategies.Vote{
		Who: a.Name, Subject: a.Subject, Roles: a.Roles, Proved: a.Proved, At: at,
		Reject: c == strategies.Reject, Reason: why,
	}
}

const wantName = "at most 128 bytes of characters that show, without combining ones"

// plainName reports whether s may name a person, a role or a command.
func plainName(s string) bool {
	return len(s) <= maxNameSize && bounded.Printable(s) && !strings.ContainsFunc(s, unicode.IsMark)
}

// engineActor is who decides on its own.
var engineActor = Actor{Name: "serin"}

// Action names what an actor wants to do, for an [Authorizer]: "start", "retry",
// "supersede" in addition to "start" when an active rollout is to end for it, "disown" for
// taking back votes of others, "configure" in addition to "start" for a plan without the
// demands of its target, or the name of a command.
type Action string

const (
	ActionStart     Action = "start"
	ActionRetry     Action = "retry"
	ActionSupersede Action = "supersede"
	ActionDisown    Action = "disown"
	ActionConfigure Action = "configure"
)

// Authorizer decides who may do what. A nil error allows it. It must be safe
// for concurrent use.
type Authorizer func(ctx context.Context, by Actor, what Action, target string) error

// Roles is a simple table of rights: for each role the actions that it may
// carry out, "*" meaning all. An actor may do what any of their roles may. In the name
// of a command a blank stands for the hyphen, as in "promote fully".
type Roles map[string][]Action

// Authorize is an [Authorizer]. Its errors are [*ForbiddenError] values.
func (r Roles) Authorize(_ context.Context, by Actor, what Action, target string) error {
	for _, role := range by.Roles {
		for _, may := range r[role] {
			if may == "*" || strings.ReplaceAll(string(may), " ", "-") == string(what) {
				return nil
			}
		}
	}
	return &ForbiddenError{Actor: by.Name, Action: what, Target: target, Reason: fmt.Sprintf("no role in %q permits %q", by.Roles, what)}
}

// authorize asks the configured Authorizer.
func (e *Engine) authorize(ctx context.Context, by Actor, what Action, target string) error {
	if err := by.Validate(); err != nil {
		return err
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
	replayed       *bool
}

// conflict says which condition of the order does not hold for d.
func (o order) conflict(d *document) error {
	switch {
	case o.seq != 0 && d.Changed > o.seq:
		return &ConflictError{Rollout: d.ID, Reason: fmt.Sprintf("event %d came after event %d: %s", d.Changed, o.seq, d.Reason)}
	case o.plan != "" && o.plan != d.Digest:
		return &ConflictError{Rollout: d.ID, Reason: fmt.Sprintf("plan digest mismatch: rollout has %s, command expects %s", d.Digest, bound(o.plan, maxNameSize))}
	}
	return nil
}

// keyEnd separates an idempotency key from what was asked for under it. Keys hold
// no control characters.
const keyEnd = "\x1f"

// mark is what a document keeps of the order's key.
func (o order) mark() string {
	return o.key + keyEnd + hashOf([]byte(o.Command.String() + keyEnd + o.by.person()))[:16]
}

// served reports whether d has served a command under the order's key. If that was
// another command, the error says so.
func (o order) served(d *document) (used bool, err error) {
	if o.key == "" {
		return false, nil
	}
	for _, s := range d.Served {
		if key, _, marked := strings.Cut(s, keyEnd); key != o.key {
			continue
		} else if marked && s != o.mark() {
			return true, &KeyReusedError{Rollout: d.ID, Key: o.key, Command: o.Command}
		}
		return true, nil
	}
	return false, nil
}

// onward reports whether the order may give the candidate more.
func (o order) onward() bool {
	switch o.Command {
	case strategies.Abort, strategies.Supersede, strategies.Pause, strategies.Reject, strategies.RampDown:
		return false
	}
	return true
}

// Key makes the command, or the start, idempotent: a second one with the same key has no
// effect and returns nil, or the first one's ID, once the first was carried out. A second one that asks for
// something else, or comes from another actor, is a [*KeyReusedError]. Keys are
// remembered for the last [MaxKeys] commands of a rollout. A key has at most 128 bytes,
// which can be printed.
func Key(key string) Option { return func(o *order) { o.key = key } }

// Replayed sets *was to whether a start or a retry with a [Key] had been carried out before, so
// that it had no effect. Commands leave *was as it is.
func Replayed(was *bool) Option { return func(o *order) { o.replayed = was } }

// MaxKeys is the number of idempotency keys that a rollout remembers.
const MaxKeys = 64

// IfSeq makes the command conditional on what its author has seen: it is
// refused with a [*ConflictError] if anything but the writing down of evidence
// has happened after event seq.
func IfSeq(seq uint64) Option { return func(o *order) { o.seq = seq } }

// Because gives the reason, which is recorded. What is longer than 4 KiB is cut, and
// what is not UTF-8 replaced.
func Because(reason string) Option { return func(o *order) { o.why = reason } }

// OfPlan binds an approval to the plan with this digest, [Status.Digest]: it is
// refused with a [*ConflictError] if the rollout has another one.
func OfPlan(digest string) Option { return func(o *order) { o.plan = digest } }
