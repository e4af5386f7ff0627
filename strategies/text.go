package strategies

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/serin-go/serin/checks"
)

// names lists the texts of the values of an integer type, in logs, stored documents and
// plans.
type names[T ~int] []string

func (n names[T]) name(v T) (string, bool) {
	if v < 0 || int(v) >= len(n) {
		return "", false
	}
	return n[v], true
}

func (n names[T]) string(v T) string {
	if s, ok := n.name(v); ok {
		return s
	}
	return fmt.Sprintf("%T(%d)", v, int(v))
}

func (n names[T]) marshal(v T) ([]byte, error) {
	s, ok := n.name(v)
	if !ok {
		return nil, &checks.InvalidError{Package: "strategies", Field: typeName(v), Value: int(v), Want: n.want()}
	}
	return []byte(s), nil
}

func (n names[T]) unmarshal(v *T, text []byte) error {
	name := string(text)
	if now, ok := formerNames[name]; ok {
		name = now
	}
	for i, s := range n {
		if s == name {
			*v = T(i)
			return nil
		}
	}
	return &checks.InvalidError{Package: "strategies", Field: typeName(*v), Value: fmt.Sprintf("%q", text), Want: n.want()}
}

func typeName(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "strategies.") }

func (n names[T]) want() string { return "one of " + strings.Join(n, ", ") }

// formerNames are spellings of earlier versions, which stored plans and documents have.
var formerNames = map[string]string{
	"watching":      "monitoring",
	"reweigh":       "rebalance",
	"promote fully": "promote-fully",
	"ramp down":     "ramp-down",
}

var (
	untilNames   = names[Until]{"safe", "baked"}
	actionNames  = names[Action]{"hold", "roll back", "continue", "escalate"}
	phaseNames   = names[Phase]{"preflight", "approving", "before", "baking", "after", "monitoring", "postflight", "ramping down", "promoted", "rolled back", "aborted", "superseded", "failed"}
	commandNames = names[Command]{"none", "pause", "resume", "promote", "abort", "supersede", "approve", "reject", "skip", "promote-fully", "ramp-down"}
	doNames      = names[Do]{"stay", "enter", "pause", "resume", "refuse", "take vote", "drop", "rebalance"}
)

// String returns "safe" or "baked".
func (u Until) String() string { return untilNames.string(u) }

// MarshalText implements [encoding.TextMarshaler].
func (u Until) MarshalText() ([]byte, error) { return untilNames.marshal(u) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of String.
func (u *Until) UnmarshalText(text []byte) error { return untilNames.unmarshal(u, text) }

// String returns "hold", "roll back", "continue" or "escalate".
func (a Action) String() string { return actionNames.string(a) }

// MarshalText implements [encoding.TextMarshaler].
func (a Action) MarshalText() ([]byte, error) { return actionNames.marshal(a) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of String.
func (a *Action) UnmarshalText(text []byte) error { return actionNames.unmarshal(a, text) }

// String returns the lower-case name of the phase.
func (p Phase) String() string { return phaseNames.string(p) }

// MarshalText implements [encoding.TextMarshaler].
func (p Phase) MarshalText() ([]byte, error) { return phaseNames.marshal(p) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of String.
func (p *Phase) UnmarshalText(text []byte) error { return phaseNames.unmarshal(p, text) }

// String returns the lower-case name of the command. Its words are joined by hyphens, for
// URLs and shells.
func (c Command) String() string { return commandNames.string(c) }

// MarshalText implements [encoding.TextMarshaler].
func (c Command) MarshalText() ([]byte, error) { return commandNames.marshal(c) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of String,
// also with blanks between the words.
func (c *Command) UnmarshalText(text []byte) error {
	return commandNames.unmarshal(c, bytes.ReplaceAll(text, []byte(" "), []byte("-")))
}

// String returns the lower-case name of d.
func (d Do) String() string { return doNames.string(d) }

var consentNames = names[Consent]{"awaited", "granted", "rejected"}

// String returns "awaited", "granted" or "rejected".
func (c Consent) String() string { return consentNames.string(c) }
