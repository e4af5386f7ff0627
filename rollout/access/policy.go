package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/rollout"
)

// actions are all actions that a grant can name.
var actions = []rollout.Action{
	"start", "retry", "supersede", "configure", "disown",
	"approve", "reject", "pause", "resume", "promote", "promote-fully", "skip", "abort", "ramp-down", "kill",
	"attest", "waive", "withdraw", "review", "note", "silence", "erase",
	"read", "read-audit", "export",
}

// Actions returns all actions that a grant can name, in addition to "*", in a fixed order.
func Actions() []rollout.Action { return slices.Clone(actions) }

// Grant allows or denies actions on targets to a role.
type Grant struct {
	// Role is the name of the role.
	Role string `json:"role"`
	// Actions are actions of [Actions], or "*" for all of them.
	Actions []rollout.Action `json:"actions"`
	// Targets are names of targets, "chat"; names that end with "-*", "chat-*", for all
	// targets that begin with "chat-"; or "*" for all targets, and for actions without one.
	Targets []string `json:"targets"`
	// Deny denies instead of allowing, and wins against every other grant.
	Deny bool `json:"deny,omitempty"`
}

// Policy is a set of grants. Make one with [NewPolicy]. It is immutable and safe for
// concurrent use. The zero Policy and a nil *Policy deny everything.
type Policy struct {
	roles map[string]*role
}

// role has the rules of a role by action.
type role [numActions]*scope

// numActions bounds the number of actions.
const numActions = 32

// scope is where an action is allowed and denied.
type scope struct {
	all      verdict
	targets  map[string]verdict
	prefixes map[string]verdict // "chat-"
}

// verdict is a set of the two effects.
type verdict uint8

const (
	allowed verdict = 1 << iota
	denied
)

// index is the position of an action, or -1. A blank stands for the hyphen, as in "promote
// fully".
func index(a rollout.Action) int {
	return slices.Index(actions, rollout.Action(strings.ReplaceAll(string(a), " ", "-")))
}

var indexes = func() map[rollout.Action]int {
	all := make(map[rollout.Action]int, len(actions))
	for i, a := range actions {
		all[a] = i
		all[rollout.Action(strings.ReplaceAll(string(a), "-", " "))] = i
	}
	return all
}()

// NewPolicy returns a policy of all grants. It returns an error that joins one
// [*checks.InvalidError] for each mistake: a grant without a role, an action or a target, an
// unknown action, a pattern that is not as [Grant] describes.
func NewPolicy(grants ...Grant) (*Policy, error) {
	p := &Policy{roles: make(map[string]*role)}
	var errs []error
	for i, g := range grants {
		bad := func(field string, value any, want string) {
			errs = append(errs, &checks.InvalidError{Package: "access", Field: fmt.Sprintf("grants[%d].%s", i, field), Value: value, Want: want})
		}
		g.problems(bad)
		if len(errs) > 0 {
			continue
		}
		r := p.roles[g.Role]
		if r == nil {
			r = new(role)
			p.roles[g.Role] = r
		}
		effect := allowed
		if g.Deny {
			effect = denied
		}
		list := g.Actions
		if slices.Contains(list, "*") {
			list = actions
		}
		for _, a := range list {
			r.add(index(a), g.Targets, effect)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// problems reports what is wrong with a grant.
func (g Grant) problems(bad func(field string, value any, want string)) {
	if !plain(g.Role) || (rollout.Actor{Name: "x", Roles: []string{g.Role}}).Validate() != nil {
		bad("Role", g.Role, "what an actor can have: 1 to 128 bytes that print, without surrounding space and combining characters")
	}
	if len(g.Actions) == 0 {
		bad("Actions", "empty", "at least one action")
	}
	for k, a := range g.Actions {
		if a != "*" && index(a) < 0 {
			bad(fmt.Sprintf("Actions[%d]", k), string(a), fmt.Sprintf("* or one of %v", actions))
		}
	}
	if len(g.Targets) == 0 {
		bad("Targets", "empty", "at least one target or pattern")
	}
	for k, t := range g.Targets {
		if t != "*" && !target.MatchString(strings.TrimSuffix(t, "-*")) {
			bad(fmt.Sprintf("Targets[%d]", k), t, wantTarget)
		}
	}
}

const wantTarget = "a name of a-z, 0-9, '.', '_' and '-', a name with -* at its end, or *"

// target is what the name of a target can be.
var target = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

func plain(s string) bool {
	return s != "" && len(s) <= bounded.MaxName && bounded.Printable(s) && strings.TrimSpace(s) == s
}

// add adds one effect for an action.
func (r *role) add(action int, targets []string, effect verdict) {
	s := r[action]
	if s == nil {
		s = &scope{}
		r[action] = s
	}
	for _, t := range targets {
		prefix, isPrefix := strings.CutSuffix(t, "*")
		switch {
		case t == "*":
			s.all |= effect
		case isPrefix:
			if s.prefixes == nil {
				s.prefixes = make(map[string]verdict)
			}
			s.prefixes[prefix] |= effect
		default:
			if s.targets == nil {
				s.targets = make(map[string]verdict)
			}
			s.targets[t] |= effect
		}
	}
}

// of returns the effects for a target.
func (s *scope) of(target string) verdict {
	v := s.all
	if s.targets != nil {
		v |= s.targets[target]
	}
	if s.prefixes != nil {
		for i := range len(target) {
			if target[i] == '-' && i+1 < len(target) {
				v |= s.prefixes[target[:i+1]]
			}
		}
	}
	return v
}

// The reasons of a denial. An engine adds who, what and where.
var (
	errUnknown = errors.New("it is not a known action")
	errDenied  = errors.New("a grant denies it")
	errNoGrant = errors.New("no grant allows it")
)

// Authorize is a [rollout.Authorizer]. It returns nil if a grant of one of the roles of by
// allows the action on the target, and none denies it. It does not allocate.
func (p *Policy) Authorize(_ context.Context, by rollout.Actor, what rollout.Action, target string) error {
	action, known := indexes[what]
	if !known {
		return errUnknown
	}
	var v verdict
	if p != nil {
		for _, name := range by.Roles {
			if r := p.roles[name]; r != nil && r[action] != nil {
				v |= r[action].of(target)
			}
		}
	}
	switch {
	case v&denied != 0:
		return errDenied
	case v&allowed != 0:
		return nil
	}
	return errNoGrant
}

// Explain says in one sentence why an actor may or may not do something, and which role and
// pattern decides.
func (p *Policy) Explain(by rollout.Actor, what rollout.Action, target string) string {
	head := fmt.Sprintf("%s may not %s on %s: ", by.Name, what, orNone(target))
	if _, known := indexes[what]; !known {
		return head + errUnknown.Error()
	}
	var allows, denies []string
	if p != nil {
		for _, name := range by.Roles {
			if r := p.roles[name]; r != nil && r[index(what)] != nil {
				for _, m := range r[index(what)].matches(target) {
					text := fmt.Sprintf("role %s on %s", name, m.pattern)
					if m.effect&denied != 0 {
						denies = append(denies, text)
					}
					if m.effect&allowed != 0 {
						allows = append(allows, text)
					}
				}
			}
		}
	}
	switch {
	case len(denies) > 0:
		return head + "denied by " + strings.Join(denies, ", ")
	case len(allows) > 0:
		return fmt.Sprintf("%s may %s on %s: allowed by %s", by.Name, what, orNone(target), strings.Join(allows, ", "))
	case len(by.Roles) == 0:
		return head + "the actor has no role"
	}
	return head + fmt.Sprintf("no grant of the roles %s allows it", strings.Join(by.Roles, ", "))
}

func orNone(target string) string {
	if target == "" {
		return "no target"
	}
	return "target " + target
}

// match is a pattern that matches a target.
type match struct {
	pattern string
	effect  verdict
}

// matches returns the patterns that match a target, in a fixed order.
func (s *scope) matches(target string) []match {
	var all []match
	if v := s.targets[target]; v != 0 {
		all = append(all, match{target, v})
	}
	for _, prefix := range slices.Sorted(maps.Keys(s.prefixes)) {
		if len(target) > len(prefix) && strings.HasPrefix(target, prefix) {
			all = append(all, match{prefix + "*", s.prefixes[prefix]})
		}
	}
	if s.all != 0 {
		all = append(all, match{"*", s.all})
	}
	return all
}

// Cell is one decision of a policy.
type Cell struct {
	Role    string         `json:"role"`
	Action  rollout.Action `json:"action"`
	Target  string         `json:"target"`
	Allowed bool           `json:"allowed"`
}

// Matrix returns the decisions for all combinations, in the order of roles, actions and
// targets. Use it to show a policy, and to compare it with what is declared.
func (p *Policy) Matrix(roles []string, actions []rollout.Action, targets []string) []Cell {
	cells := make([]Cell, 0, len(roles)*len(actions)*len(targets))
	for _, r := range roles {
		by := rollout.Actor{Roles: []string{r}}
		for _, a := range actions {
			for _, t := range targets {
				cells = append(cells, Cell{r, a, t, p.Authorize(context.Background(), by, a, t) == nil})
			}
		}
	}
	return cells
}
