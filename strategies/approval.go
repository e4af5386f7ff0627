package strategies

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
)

// DefaultPatience is the Timeout of an [Approval] if it is zero.
const DefaultPatience = 24 * time.Hour

const (
	maxRules   = 10  // rules of an approval
	maxNot     = 100 // entries of Approval.Not
	maxNotSize = 255 // bytes of one
)

// Approval is the manual approval of a stage. The zero Approval requires one approval by
// any person within [DefaultPatience].
type Approval struct {
	// Need is the number of different people who must approve, 1 to 10. Default 1.
	Need int `json:"need,omitempty"`
	// Roles lists the roles that may approve. An approver has at least one of them. If
	// empty, every role may approve.
	Roles []string `json:"roles,omitempty"`
	// Rules lists rules, at most 10, that must all be met by different people. Need and
	// Roles are the short form of one rule. If Rules is not empty, they add a rule only
	// if one of them is set.
	Rules []ApprovalRule `json:"rules,omitempty"`
	// FourEyes excludes the approval of the person who started the rollout.
	FourEyes bool `json:"four_eyes,omitempty"`
	// Not lists subjects whose approval does not count, such as the authors of the
	// change. Their rejection counts. A name excludes everyone with this name,
	// regardless of case. At most 100 entries of 255 bytes each.
	Not []string `json:"not,omitempty"`
	// MFA is the maximum age of an approver's last multi-factor authentication. 0
	// means that none is required.
	MFA time.Duration `json:"mfa_ns,omitempty"`
	// Timeout is the time until OnTimeout applies. Pauses do not count. Default
	// [DefaultPatience].
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// OnTimeout is the action after Timeout. The zero value is ActionHold.
	// ActionContinue means that silence is consent.
	OnTimeout Action `json:"on_timeout"`
}

// ApprovalRule requires the approval of a number of people. The zero ApprovalRule
// requires one approval by any person.
type ApprovalRule struct {
	// Need is the number of different people, 1 to 10. Default 1.
	Need int `json:"need,omitempty"`
	// Roles lists the roles that may approve. An approver has at least one of them. If
	// empty, every role may approve.
	Roles []string `json:"roles,omitempty"`
}

// takes reports whether a person with these roles can approve for r.
func (r ApprovalRule) takes(roles []string) bool { return quorum.Rule(r).Takes(roles) }

// String returns the rule in words: "2 of sre or lead".
func (r ApprovalRule) String() string { return quorum.Rule(r).String() }

// Vote is the vote of one person on one approval.
type Vote struct {
	Who string `json:"who"`
	// Subject identifies the person permanently; see [Person].
	Subject string   `json:"subject,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	// At is the time of the vote. Proved is the time of the last multi-factor
	// authentication, or zero.
	At     time.Time `json:"at"`
	Proved time.Time `json:"proved,omitzero"`
	Reject bool      `json:"reject,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Person returns the identity of a voter: the subject or, if it is empty, the name in
// lower case and without surrounding space. Votes with equal identities are from one
// person.
func Person(subject, name string) string { return quorum.Person(subject, name) }

// Person returns the identity of the voter.
func (v Vote) Person() string { return Person(v.Subject, v.Who) }

// Consent is the result of the votes on an approval. The zero value is Awaited.
type Consent int

const (
	Awaited Consent = iota
	Granted
	Rejected
)

func (a Approval) patience() time.Duration {
	if a.Timeout == 0 {
		return DefaultPatience
	}
	return a.Timeout
}

// Demands returns all rules that must be met, each with a Need of at least 1. The short
// form comes first, if it is set or there are no Rules.
func (a Approval) Demands() []ApprovalRule {
	var all []ApprovalRule
	if len(a.Rules) == 0 || a.Need != 0 || len(a.Roles) > 0 {
		all = append(all, ApprovalRule{Need: a.Need, Roles: a.Roles})
	}
	all = append(all, a.Rules...)
	for i := range all {
		all[i].Need = max(1, all[i].Need)
	}
	return all
}

// place counts votes for rules; see [quorum.Place].
func place(rules []ApprovalRule, votes []Vote) (missing []ApprovalRule, placed int) {
	internal := make([]quorum.Rule, len(rules))
	for i, r := range rules {
		internal[i] = quorum.Rule(r)
	}
	roles := make([][]string, len(votes))
	for i, v := range votes {
		roles[i] = v.Roles
	}
	left, placed := quorum.Place(internal, roles)
	for _, r := range left {
		missing = append(missing, ApprovalRule(r))
	}
	return missing, placed
}

// excludes reports whether Not excludes the approval of v.
func (a Approval) excludes(v Vote) bool {
	return slices.ContainsFunc(a.Not, func(n string) bool {
		name := Person("", n)
		return n == v.Subject || name == v.Person() || name == Person("", v.Who)
	})
}

// Admit returns the reason why v does not count, or "" if it counts. starter is the
// [Person] or the name of the person who started the rollout. A rejection counts without
// multi-factor authentication, because it is safe.
func (a Approval) Admit(v Vote, starter string) string {
	rules := a.Demands()
	switch {
	case v.Person() == "":
		return "the vote has no name"
	case !slices.ContainsFunc(rules, func(r ApprovalRule) bool { return r.takes(v.Roles) }):
		var roles []string
		for _, r := range rules {
			roles = append(roles, r.Roles...)
		}
		slices.Sort(roles)
		return fmt.Sprintf("%s has none of the roles %s", v.Who, strings.Join(slices.Compact(roles), ", "))
	case v.Reject:
		return ""
	case a.FourEyes && (v.Person() == starter || v.Person() == Person("", starter)):
		return v.Who + " started the rollout, and four eyes are required"
	case a.excludes(v):
		return v.Who + " is excluded from approving"
	case a.MFA > 0 && v.Proved.IsZero():
		return v.Who + " has not proved a second factor"
	case a.MFA > 0 && v.At.Sub(v.Proved) > a.MFA:
		return fmt.Sprintf("%s proved a second factor %v ago, more than %v", v.Who, v.At.Sub(v.Proved).Round(time.Second), a.MFA)
	case a.MFA > 0 && v.Proved.Sub(v.At) > clockSkew:
		return fmt.Sprintf("%s proved a second factor %v in the future; clocks may differ by %v", v.Who, v.Proved.Sub(v.At).Round(time.Millisecond), clockSkew)
	}
	return ""
}

// clockSkew is the maximum difference of the clocks that date a proof and a vote.
const clockSkew = 5 * time.Second

// Judge counts the votes on one approval. The last vote of each person counts. One
// rejection is enough to reject. starter is as in [Approval.Admit]. The text lists the
// approvers, or the approvals that are still needed.
func (a Approval) Judge(votes []Vote, starter string) (Consent, string) {
	last := make(map[string]Vote, len(votes))
	var order []string
	for _, v := range votes {
		if a.Admit(v, starter) != "" {
			continue
		}
		if _, again := last[v.Person()]; !again {
			order = append(order, v.Person())
		}
		last[v.Person()] = v
	}
	var names []string
	var approvals []Vote
	for _, person := range order {
		v := last[person]
		if v.Reject {
			return Rejected, because("rejected by "+v.Who, v.Reason)
		}
		names, approvals = append(names, v.Who), append(approvals, v)
	}
	rules := a.Demands()
	missing, placed := place(rules, approvals)
	if len(missing) == 0 {
		return Granted, "approved by " + strings.Join(names, ", ")
	}
	need := 0
	for _, r := range rules {
		need += r.Need
	}
	text := fmt.Sprintf("%d of %d approvals given", placed, need)
	if len(rules) > 1 || len(rules[0].Roles) > 0 {
		text += ": " + people(missing) + " must still approve"
	}
	return Awaited, text
}

// people words who has to approve: "2 people with the role sre and 1 person".
func people(rules []ApprovalRule) string {
	words := make([]string, len(rules))
	for i, r := range rules {
		words[i] = fmt.Sprintf("%d people", r.Need)
		if r.Need == 1 {
			words[i] = "1 person"
		}
		if len(r.Roles) > 0 {
			words[i] += " with the role " + strings.Join(r.Roles, " or ")
		}
	}
	return strings.Join(words, " and ")
}

// Validate reports everything that is wrong with a, joined; each problem is a
// [*checks.InvalidError].
func (a Approval) Validate() error {
	var errs []error
	a.problems(func(field string, value any, want string) {
		field = "Approval" + strings.TrimPrefix(field, "Approve")
		errs = append(errs, &checks.InvalidError{Package: "strategies", Field: field, Value: value, Want: want})
	})
	return errors.Join(errs...)
}

func (a *Approval) problems(bad func(field string, value any, want string)) {
	if a == nil {
		return
	}
	if a.Need < 0 || a.Need > 10 {
		bad("Approve.Need", a.Need, "0 (for 1) to 10")
	}
	roles := func(field string, list []string) {
		for i, r := range list {
			if r == "" {
				bad(fmt.Sprintf("%s[%d]", field, i), `""`, "the name of a role")
			}
		}
	}
	roles("Approve.Roles", a.Roles)
	if len(a.Rules) > maxRules {
		bad("Approve.Rules", len(a.Rules), fmt.Sprintf("at most %d rules", maxRules))
	}
	for i, r := range a.Rules {
		field := fmt.Sprintf("Approve.Rules[%d]", i)
		if r.Need < 0 || r.Need > 10 {
			bad(field+".Need", r.Need, "0 (for 1) to 10")
		}
		roles(field+".Roles", r.Roles)
	}
	if len(a.Not) > maxNot {
		bad("Approve.Not", len(a.Not), fmt.Sprintf("at most %d people", maxNot))
	}
	for i, n := range a.Not {
		if Person("", n) == "" || len(n) > maxNotSize {
			bad(fmt.Sprintf("Approve.Not[%d]", i), fmt.Sprintf("%.40q", n), fmt.Sprintf("a subject of 1 to %d bytes", maxNotSize))
		}
	}
	if a.MFA < 0 {
		bad("Approve.MFA", a.MFA, "a duration >= 0")
	}
	if a.Timeout < 0 {
		bad("Approve.Timeout", a.Timeout, "a duration >= 0")
	}
	if _, ok := actionNames.name(a.OnTimeout); !ok {
		bad("Approve.OnTimeout", int(a.OnTimeout), actionNames.want())
	}
}
