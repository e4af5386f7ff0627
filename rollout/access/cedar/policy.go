package cedar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access"
	"github.com/serin-go/serin/strategies"
)

// Schema returns the Cedar schema of policies, for editors and for cedar validate. A User has
// the identity of [rollout.Actor.Subject] or, if it is empty, the name in lower case. Actions
// without a target have a Target without a name. The context has the origin of the command, the
// time, and, if the actor has proved a second factor, the seconds since then.
func Schema() []byte {
	var names []string
	for _, a := range access.Actions() {
		names = append(names, fmt.Sprintf("%q", a))
	}
	return fmt.Appendf(nil, `entity Role;
entity User in [Role] { name: String };
entity Target { name: String };
action %s
  appliesTo { principal: User, resource: Target, context: { via: String, now: datetime, provedSecondsAgo?: Long } };
`, strings.Join(names, ", "))
}

// validator checks policies against the schema.
var validator = sync.OnceValues(func() (*validate.Validator, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar(Schema()); err != nil {
		return nil, fmt.Errorf("cedar: the schema: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("cedar: the schema: %w", err)
	}
	return validate.New(resolved), nil
})

// Policy is a set of Cedar policies. Make one with [Parse]. It is immutable and safe for
// concurrent use. A nil *Policy and the zero Policy deny everything.
type Policy struct{ set *cedar.PolicySet }

// attributes are what a condition with has may ask of a variable.
var attributes = map[string][]string{
	"context":   {"via", "now", "provedSecondsAgo"},
	"principal": {"name"},
	"resource":  {"name"},
}

// maxNodes bounds the operators, literals and variables of a policy.
const maxNodes = 10_000

// checkConditions refuses "has" with an attribute that does not exist, and on anything but a
// variable: the schema accepts both, and they are always false, so that a policy that forbids
// would have no effect.
func checkConditions(p *ast.Policy) (err error) {
	nodes := 0
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if nodes++; nodes > maxNodes {
				err = &checks.InvalidError{Package: "cedar", Field: "condition", Value: fmt.Sprintf("more than %d parts", maxNodes), Want: fmt.Sprintf("at most %d", maxNodes)}
			}
			if has, ok := n.(ast.NodeTypeHas); ok && err == nil {
				left, _ := has.Arg.(ast.NodeTypeVariable)
				known := attributes[string(left.Name)]
				if known == nil {
					err = &checks.InvalidError{Package: "cedar", Field: "has " + string(has.Value), Value: fmt.Sprintf("on %T", has.Arg), Want: "principal, resource or context before has"}
				} else if !slices.Contains(known, string(has.Value)) {
					err = &checks.InvalidError{Package: "cedar", Field: string(left.Name) + " has", Value: string(has.Value), Want: strings.Join(known, ", ")}
				}
			}
			return err == nil
		})
	}
	return err
}

// mistake is what is wrong with the policy at a line.
type mistake struct {
	line int
	err  error
}

// The parser calls itself for each bracket, and a Go program whose stack is full ends.
const (
	maxText  = 256 << 10 // bytes
	maxDepth = 100       // brackets within brackets
)

// depth returns how many brackets are open at the same time. It counts them in strings and
// comments too.
func depth(text []byte) (most int) {
	open := 0
	for _, b := range text {
		switch b {
		case '(', '[', '{':
			open++
			most = max(most, open)
		case ')', ']', '}':
			open = max(0, open-1)
		}
	}
	return most
}

// Parse parses the text of policies, at most 256 KiB with brackets at most 100 deep and 10,000
// parts of a condition, and checks each of them against [Schema]. The keyword has may only
// follow principal, resource or context. Errors mention name, which is the name of the file. An
// empty text is a policy that denies everything.
// An error joins all mistakes of policies that can be parsed, each with its line.
func Parse(name string, text []byte) (p *Policy, err error) {
	if len(text) > maxText {
		return nil, &checks.InvalidError{Package: "cedar", Field: name, Value: fmt.Sprintf("%d bytes", len(text)), Want: "at most 256 KiB"}
	}
	if d := depth(text); d > maxDepth {
		return nil, &checks.InvalidError{Package: "cedar", Field: name, Value: fmt.Sprintf("brackets %d deep", d), Want: "at most 100 deep"}
	}
	set, err := cedar.NewPolicySetFromBytes(name, text)
	if err != nil {
		return nil, fmt.Errorf("cedar: %w", err)
	}
	v, err := validator()
	if err != nil {
		return nil, err
	}
	var mistakes []mistake
	for id, one := range set.All() {
		err := checkConditions((*ast.Policy)(one.AST()))
		if err == nil {
			err = v.Policy(string(id), (*ast.Policy)(one.AST()))
		}
		if err != nil {
			line := one.Position().Line
			mistakes = append(mistakes, mistake{line, fmt.Errorf("cedar: %s:%d: %w", name, line, err)})
		}
	}
	slices.SortFunc(mistakes, func(a, b mistake) int { return a.line - b.line })
	var errs []error
	for _, m := range mistakes {
		errs = append(errs, m.err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Policy{set}, nil
}

// The reasons of a denial. An engine adds who, what and where.
var (
	errUnknown = errors.New("it is not a known action")
	errDenied  = errors.New("a policy forbids it")
	errNone    = errors.New("no policy permits it")
)

// Authorize is a [rollout.Authorizer]. It returns nil if a policy permits the action, none
// forbids it, and all could be evaluated.
func (p *Policy) Authorize(_ context.Context, by rollout.Actor, what rollout.Action, target string) error {
	_, err := p.decide(by, what, target)
	return err
}

// Explain says which policies decide, by their annotation @id or their position in the text.
func (p *Policy) Explain(by rollout.Actor, what rollout.Action, target string) string {
	diagnostic, err := p.decide(by, what, target)
	head := visible.Line(fmt.Sprintf("%s may %s on %q: ", by.Name, what, target))
	if err != nil {
		head = visible.Line(fmt.Sprintf("%s may not %s on %q: %v", by.Name, what, target, err))
	}
	var names []string
	for _, r := range diagnostic.Reasons {
		id := string(p.set.Get(r.PolicyID).Annotations()["id"])
		if id == "" {
			id = fmt.Sprintf("%s:%d", r.Position.Filename, r.Position.Line)
		}
		names = append(names, id)
	}
	slices.Sort(names)
	switch list := strings.Join(names, ", "); {
	case list == "":
		return head
	case err != nil:
		return head + ": " + list
	default:
		return head + "permitted by " + list
	}
}

// decide returns the policies that decide, and an error if the action is denied.
func (p *Policy) decide(by rollout.Actor, what rollout.Action, target string) (types.Diagnostic, error) {
	name := rollout.Action(strings.ReplaceAll(string(what), " ", "-"))
	if !slices.Contains(access.Actions(), name) {
		return types.Diagnostic{}, errUnknown
	}
	if p == nil || p.set == nil {
		return types.Diagnostic{}, errNone
	}
	req, entities := request(by, name, target, time.Now())
	decision, diagnostic := cedar.Authorize(p.set, entities, req)
	switch {
	case len(diagnostic.Errors) > 0:
		first := slices.MinFunc(diagnostic.Errors, func(a, b types.DiagnosticError) int { return a.Position.Line - b.Position.Line })
		return diagnostic, fmt.Errorf("the policy at line %d could not be evaluated: %s", first.Position.Line, first.Message)
	case decision == cedar.Allow:
		return diagnostic, nil
	case len(diagnostic.Reasons) > 0:
		return diagnostic, errDenied
	}
	return diagnostic, errNone
}

// request returns a request of the schema, and its entities.
func request(by rollout.Actor, what rollout.Action, target string, now time.Time) (cedar.Request, cedar.EntityMap) {
	user := cedar.NewEntityUID("User", cedar.String(strategies.Person(by.Subject, by.Name)))
	place := cedar.NewEntityUID("Target", cedar.String(target))
	roles := make([]cedar.EntityUID, len(by.Roles))
	entities := make(cedar.EntityMap, len(roles)+2)
	for i, r := range by.Roles {
		roles[i] = cedar.NewEntityUID("Role", cedar.String(r))
		entities[roles[i]] = cedar.Entity{UID: roles[i]}
	}
	name := func(s string) cedar.Record { return cedar.NewRecord(cedar.RecordMap{"name": cedar.String(s)}) }
	entities[user] = cedar.Entity{UID: user, Parents: cedar.NewEntityUIDSet(roles...), Attributes: name(by.Name)}
	entities[place] = cedar.Entity{UID: place, Attributes: name(target)}
	about := cedar.RecordMap{"via": cedar.String(by.Via), "now": cedar.NewDatetime(now)}
	// A proof in the future does not count.
	if ago := now.Sub(by.Proved); !by.Proved.IsZero() && ago >= 0 {
		about["provedSecondsAgo"] = cedar.Long(ago / time.Second)
	}
	return cedar.Request{Principal: user, Action: cedar.NewEntityUID("Action", cedar.String(what)), Resource: place, Context: cedar.NewRecord(about)}, entities
}
