package checklist

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
)

// State is the state of an item. The zero value is Unknown, which does not hold.
type State uint8

// The states of items.
const (
	Unknown State = iota // no evidence, or evidence that does not count
	Pass                 // good
	Warn                 // acceptable, but needs attention
	Fail                 // bad
	Expired              // was good, and the evidence is too old
	Waived               // accepted by people until a given time
	Skipped              // does not apply, for the reason in [Item.Skip]
	Blocked              // an item that it needs does not hold
)

var states = []string{"unknown", "pass", "warn", "fail", "expired", "waived", "skipped", "blocked"}

// Holds reports whether s is Pass, Warn or Waived.
func (s State) Holds() bool { return s == Pass || s == Warn || s == Waived }

// String returns the lower-case name of s, or "unknown".
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return states[Unknown]
}

// MarshalText implements encoding.TextMarshaler. It returns an error for a value that is
// no state.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(states) {
		return nil, &checks.InvalidError{Package: "checklist", Field: "State", Value: uint8(s), Want: "one of the constants"}
	}
	return []byte(states[s]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It accepts the results of
// [State.String].
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(states, string(text))
	if i < 0 {
		return &checks.InvalidError{Package: "checklist", Field: "State", Value: string(text), Want: fmt.Sprint(states)}
	}
	*s = State(i)
	return nil
}

// stateOf converts the status of a check.
func stateOf(s checks.Status) State {
	switch s {
	case checks.Pass:
		return Pass
	case checks.Warn:
		return Warn
	case checks.Fail:
		return Fail
	}
	return Unknown
}

// Scope says what evidence is about. The zero value is [OfCandidate].
type Scope string

// The scopes of evidence.
const (
	OfCandidate    Scope = ""             // one digest of the candidate
	OfPlan         Scope = "plan"         // one digest of the plan and its checks
	OfTarget       Scope = "target"       // one target, whatever its versions
	OfOrganisation Scope = "organisation" // everything
)

// Level says how much an item matters. The zero value is [Must].
type Level string

// The levels of items.
const (
	Must   Level = ""       // the list fails unless the item holds
	Should Level = "should" // the list warns unless the item holds
	Info   Level = "info"   // the list only shows the item
)

// Item is one item of a checklist. It has a Check, an Attest, or both, which must both
// hold.
type Item struct {
	// ID identifies the item in its list, such as "encryption". At most 128 bytes that
	// print. Title is for people; default ID.
	ID, Title string
	// Owner is the person or the team that is responsible. It is required.
	Owner string
	// Check verifies the item. If nil, people vouch for it.
	Check checks.Check
	// Attest says who must vouch for the item. If nil, no vote is needed.
	Attest *Attest
	// Valid is how long a passed Check counts. It runs again when no stored pass counts.
	// 0 means that it runs at each evaluation and is not stored.
	Valid time.Duration
	// Scope is what the evidence is about. Default one digest of the candidate.
	Scope Scope
	// Needs are the IDs of items that must hold first.
	Needs []string
	// Level is how much the item matters. Default [Must].
	Level Level
	// Firm items cannot be waived.
	Firm bool
	// Skip is the reason why the item does not apply here. If it is set, the item is not
	// evaluated. Items of level Must cannot be skipped.
	Skip string
	// Controls are the controls of regulations and standards that the item serves, such
	// as "gdpr:32". Package packs has them as data.
	Controls []string
	// Runbook is the address of the instructions for the owner.
	Runbook string
}

// Attest says who must vouch for an item. The zero Attest requires one person.
type Attest struct {
	// Rules must all be met, by different people. Default: one person of any role.
	Rules []Rule
	// Valid is how long a vote counts. Default 90 days. The item expires with the oldest
	// vote that is needed.
	Valid time.Duration
	// MFA is the maximum age of the voter's last multi-factor authentication. 0 means that
	// none is required. A rejection never needs one.
	MFA time.Duration
	// Others excludes the vote and the waiver of the person who started the rollout.
	Others bool
	// Proof requires a link and the SHA-256 of what it points to.
	Proof bool
}

// Rule requires a number of different people who each have one of the roles.
type Rule struct {
	// Need is the number of people, 1 to 10. Default 1.
	Need int `json:"need,omitempty"`
	// Roles lists the roles. If empty, every role will do.
	Roles []string `json:"roles,omitempty"`
}

// By returns one rule: one person who has one of the roles.
func By(roles ...string) []Rule { return []Rule{{Need: 1, Roles: roles}} }

// defaultVote is how long a vote counts by default.
const defaultVote = 90 * 24 * time.Hour

// rules returns what must be met.
func (a *Attest) rules() []quorum.Rule {
	if len(a.Rules) == 0 {
		return []quorum.Rule{{Need: 1}}
	}
	all := make([]quorum.Rule, len(a.Rules))
	for i, r := range a.Rules {
		all[i] = quorum.Rule{Need: max(1, r.Need), Roles: r.Roles}
	}
	return all
}

func (a *Attest) valid() time.Duration {
	if a.Valid == 0 {
		return defaultVote
	}
	return a.Valid
}

// declared is an item as the digest of its list sees it.
type declared struct {
	Section, ID, Title, Owner, Check string
	Attest                           *Attest
	Valid                            time.Duration
	Scope                            Scope
	Needs                            []string
	Level                            Level
	Firm                             bool
	Skip                             string
	Controls                         []string
	Runbook                          string
}

// marshal returns the JSON of d, with sorted lists.
func (d declared) marshal() ([]byte, error) {
	d.Needs, d.Controls = sorted(d.Needs), sorted(d.Controls)
	return json.Marshal(d)
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
