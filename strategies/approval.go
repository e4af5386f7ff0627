package strategies

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultPatience bounds the wait for an [Approval] whose Timeout is zero.
const DefaultPatience = 24 * time.Hour

const (
	maxRules   = 10  // rules of an approval
	maxNot     = 100 // entries of Approval.Not
	maxNotSize = 255 // bytes of one
)

// Approval says who must agree before a stage begins. The zero Approval wants
// one approval by anybody, within [DefaultPatience].
type Approval struct {
	// Need is the number of different people who must approve. Zero means 1.
	Need int `json:"need,omitempty"`
	// Roles are the roles that count, each approver having at least one of
	// them. None means that everybody counts.
	Roles []string `json:"roles,omitempty"`
	// Rules must all be met, by different people: one person never fills two places.
	// Need and Roles are the short form of one rule. Where Rules is not empty they
	// add a rule only if one of them is set. At most 10.
	Rules []ApprovalRule `json:"rules,omitempty"`
	// FourEyes leaves out the approval of who started the rollout.
	FourEyes bool `json:"four_eyes,omitempty"`
	// Not lists the subjects whose approval does not count, such as the authors of
	// the change; their rejection does. A name, in any case, leaves out everyone with
	// that name. At most 100 entries of 255 bytes each.
	Not []string `json:"not,omitempty"`
	// MFA is the greatest age that an approver's last multi-factor
	// authentication may have. Zero asks for none.
	MFA time.Duration `json:"mfa_ns,omitempty"`
	// Timeout is how long the rollout waits before OnTimeout says what to do.
	// Time while it is paused does not count. Zero means [DefaultPatience].
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	// OnTimeout is what happens then. The zero value holds; Continue means that
	// silence is consent.
	OnTimeout Action `json:"on_timeout"`
}

// ApprovalRule demands the approval of a number of people. The zero ApprovalRule wants
// one approval by anybody.
type ApprovalRule struct {
	// Need is the number of different people, 1 to 10. Zero means 1.
	Need int `json:"need,omitempty"`
	// Roles are the roles that count. An approver has at least one of them. If empty,
	// everyone counts.
	Roles []string `json:"roles,omitempty"`
}

// takes reports whether a person with these roles can fill a place of r.
func (r ApprovalRule) takes(roles []string) bool {
	return len(r.Roles) == 0 || slices.ContainsFunc(roles, func(s string) bool { return slices.Contains(r.Roles, s) })
}

// String returns the demand in words: "2 of sre or lead".
func (r ApprovalRule) String() string {
	if len(r.Roles) == 0 {
		return fmt.Sprintf("%d of any role", r.Need)
	}
	return fmt.Sprintf("%d of %s", r.Need, strings.Join(r.Roles, " or "))
}

// Vote is what one person has said about one gate.
type Vote struct {
	Who string `json:"who"`
	// Subject is who it is for good; see [Person].
	Subject string   `json:"subject,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	// At is when they said it, Proved when they last proved themselves with a
	// second factor; zero for never.
	At     time.Time `json:"at"`
	Proved time.Time `json:"proved,omitzero"`
	Reject bool      `json:"reject,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Person returns what two votes are compared by, to see whether they are one
// person's: the subject, byte by byte, or, if it is empty, the name in lower case and
// without outer space.
func Person(subject, name string) string {
	if subject != "" {
		return subject
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// Person returns the [Person] who has voted.
func (v Vote) Person() string { return Person(v.Subject, v.Who) }

// Consent is how the votes on a gate stand. The zero value is Awaited.
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

// Demands returns all rules that must be met, each with a Need of at least 1: the
// short form, if it is set or alone, and then Rules.
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

// place gives each vote a place of a rule that takes it, as many as possible, and
// returns how many people each rule still needs. It finds a maximum bipartite matching
// by augmenting paths: a vote may move another one to a rule that takes it too.
func place(rules []ApprovalRule, votes []Vote) (missing []ApprovalRule, placed int) {
	held := make([][]int, len(rules)) // by rule: the votes that fill its places
	var seat func(vote int, seen []bool) bool
	seat = func(vote int, seen []bool) bool {
		for i, r := range rules {
			if seen[i] || !r.takes(votes[vote].Roles) {
				continue
			}
			seen[i] = true
			if len(held[i]) < r.Need {
				held[i] = append(held[i], vote)
				return true
			}
			for j, other := range held[i] {
				if seat(other, seen) {
					held[i][j] = vote
					return true
				}
			}
		}
		return false
	}
	for vote := range votes {
		if seat(vote, make([]bool, len(rules))) {
			placed++
		}
	}
	for i, r := range rules {
		if r.Need -= len(held[i]); r.Need > 0 {
			missing = append(missing, r)
		}
	}
	return missing, placed
}

// excludes reports whether the approval of v is left out by Not.
func (a Approval) excludes(v Vote) bool {
	return slices.ContainsFunc(a.Not, func(n string) bool {
		name := Person("", n)
		return n == v.Subject || name == v.Person() || name == Person("", v.Who)
	})
}

// Admit says why v does not count, or "" if it does. starter is the [Person], or the
// name, who started the rollout. A rejection counts without a second factor: it is the
// safe direction.
func (a Approval) Admit(v Vote, starter string) string {
	rules := a.Demands()
	switch {
	case v.Person() == "":
		return "it has no name"
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
		return v.Who + " started the rollout, and four eyes are asked for"
	case a.excludes(v):
		return v.Who + " is among the people whose approval does not count"
	case a.MFA > 0 && v.Proved.IsZero():
		return v.Who + " has not proved a second factor"
	case a.MFA > 0 && v.At.Sub(v.Proved) > a.MFA:
		return fmt.Sprintf("%s proved a second factor %v ago, more than %v", v.Who, v.At.Sub(v.Proved).Round(time.Second), a.MFA)
	case a.MFA > 0 && v.Proved.Sub(v.At) > clockSkew:
		return fmt.Sprintf("%s proved a second factor %v in the future; clocks may differ by %v", v.Who, v.Proved.Sub(v.At).Round(time.Millisecond), clockSkew)
	}
	return ""
}

// clockSkew is by how much the clock that dates a proof may be ahead of the one that
// dates the vote.
const clockSkew = 5 * time.Second

// Judge counts the votes on one gate. A person's last word counts; one
// rejection that counts is enough. The text names the approvers, or the approvals that
// are still needed.
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
	text := fmt.Sprintf("%d of %d approvals", placed, need)
	if len(rules) > 1 || len(rules[0].Roles) > 0 {
		words := make([]string, len(missing))
		for i, r := range missing {
			words[i] = r.String()
		}
		text += ", still needed: " + strings.Join(words, ", ")
	}
	return Awaited, text
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
