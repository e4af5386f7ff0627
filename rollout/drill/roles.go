package drill

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
)

// RolesOptions configure [Roles]. Declared and Call are required.
type RolesOptions struct {
	// Declared are the decisions that the organisation has declared, 1 to 100,000; see
	// [access.Policy.Matrix]. Write them down apart from the policy that is in force:
	// comparing a policy with itself finds nothing.
	Declared []access.Cell
	// Call makes the guarded call on the twin for an actor, by the way that people take:
	// the API of the service or the commands of an engine. refused reports whether the call
	// was refused for lack of the right to this action on this target; with an engine, that
	// is a [*rollout.ForbiddenError] with this Action and this Target. A call that passed
	// the guard and failed afterwards, such as since the rollout has ended, is not refused.
	// An error means that it cannot be known: the twin does not answer, or another right is
	// missing.
	Call func(ctx context.Context, by rollout.Actor, what rollout.Action, target string) (refused bool, err error)
	// Timeout is the limit of one call. Default 10 s.
	Timeout time.Duration
}

// maxCells bounds the declared decisions.
const maxCells = 100_000

// Roles returns a check that every guarded call is refused to the roles that may not make
// it, and to no others. It makes each declared call once, one after the other. It fails if a
// decision is another one than declared, and names up to five of them; calls that are not
// guarded come first. It is Unknown if Call returns an error, and if the declaration allows
// everything or nothing, since it would prove nothing.
func Roles(o RolesOptions) checks.Check {
	bad := &options{name: "RolesOptions"}
	if n := len(o.Declared); n == 0 || n > maxCells {
		bad.invalid("Declared", n, fmt.Sprintf("1 to %d decisions", maxCells))
	}
	allowed := 0
	seen := make(map[access.Cell]bool, len(o.Declared))
	for i, c := range o.Declared {
		if c.Allowed {
			allowed++
		}
		c.Allowed = false
		if (rollout.Actor{Name: "drill", Roles: []string{c.Role}}).Validate() != nil || !slices.Contains(access.Actions(), c.Action) || seen[c] {
			bad.invalid(fmt.Sprintf("Declared[%d]", i), fmt.Sprintf("%.100v", c), "a role that an actor can have, and a known action, each combination once")
			break
		}
		seen[c] = true
	}
	if n := len(o.Declared); n > 0 && (allowed == 0 || allowed == n) {
		bad.invalid("Declared", fmt.Sprintf("%d of %d allowed", allowed, n), "decisions of both kinds")
	}
	bad.function("Call", o.Call == nil)
	bad.span("Timeout", &o.Timeout, 10*time.Second)
	o.Declared = slices.Clone(o.Declared)
	return newDrill("roles", bad.err(), o.rehearse, o.Declared, o.Timeout)
}

func (o RolesOptions) rehearse(r *run) checks.Result {
	var open, closed []string
	for _, c := range o.Declared {
		by := rollout.Actor{Name: "drill " + c.Role, Roles: []string{c.Role}}
		refused, err := call(r.ctx, r, "Call", o.Timeout, func(ctx context.Context) (bool, error) {
			return o.Call(ctx, by, c.Action, c.Target)
		})
		if r.ctx.Err() != nil {
			return r.ended(nil)
		}
		text := fmt.Sprintf("%s %s %s", c.Role, c.Action, c.Target)
		if err != nil {
			return r.unknown(nil, fmt.Errorf("%s: %w", text, err))
		}
		switch {
		case !refused && !c.Allowed:
			open = append(open, text+" is not refused")
		case refused && c.Allowed:
			closed = append(closed, text+" is refused")
		}
	}
	wrong := append(open, closed...)
	total := len(o.Declared)
	res := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d of %d combinations as declared", total-len(wrong), total),
		Evidence: map[string]string{"combinations": strconv.Itoa(total), "not refused": strconv.Itoa(len(open)), "refused": strconv.Itoa(len(closed))}}
	if len(wrong) > 0 {
		res.Status = checks.Fail
		res.Summary += ": " + clean(strings.Join(wrong[:min(len(wrong), 5)], "; "))
	}
	return res
}
