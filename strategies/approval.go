package strategies

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultPatience bounds the wait for an [Approval] whose Timeout is zero.
const DefaultPatience = 24 * time.Hour

// Approval says who must agree before a stage begins. The zero Approval wants
// one approval by anybody, within [DefaultPatience].
type Approval struct {
	// Need is the number of different people who must approve. Zero means 1.
	Need int `json:"need,omitempty"`
	// Roles are the roles that count, each approver having at least one of
	// them. None means that everybody counts.
	Roles []string `json:"roles,omitempty"`
	// FourEyes leaves out the approval of who started the rollout.
	FourEyes bool `json:"four_eyes,omitempty"`
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

func (a Approval) need() int { return max(1, a.Need) }

// Admit says why v does not count, or "" if it does. starter is the [Person], or the
// name, of who started the rollout. A rejection counts without a second factor: it is the safe direction.
func (a Approval) Admit(v Vote, starter string) string {
	switch {
	case v.Person() == "":
		return "it has no name"
	case len(a.Roles) > 0 && !slices.ContainsFunc(v.Roles, func(r string) bool { return slices.Contains(a.Roles, r) }):
		return fmt.Sprintf("%s has none of the roles %s", v.Who, strings.Join(a.Roles, ", "))
	case v.Reject:
		return ""
	case a.FourEyes && (v.Person() == starter || v.Person() == Person("", starter)):
		return v.Who + " started the rollout, and four eyes are asked for"
	case a.MFA > 0 && v.Proved.IsZero():
		return v.Who + " has not proved a second factor"
	case a.MFA > 0 && v.At.Sub(v.Proved) > a.MFA:
		return fmt.Sprintf("%s proved a second factor %v ago, more than %v", v.Who, v.At.Sub(v.Proved).Round(time.Second), a.MFA)
	case a.MFA > 0 && v.Proved.After(v.At):
		return v.Who + " proved a second factor in the future"
	}
	return ""
}

// Judge counts the votes on one gate. A person's last word counts; one
// rejection that counts is enough.
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
	for _, person := range order {
		v := last[person]
		if v.Reject {
			return Rejected, because("rejected by "+v.Who, v.Reason)
		}
		names = append(names, v.Who)
	}
	if len(order) >= a.need() {
		return Granted, "approved by " + strings.Join(names, ", ")
	}
	return Awaited, fmt.Sprintf("%d of %d approvals", len(order), a.need())
}

func (a *Approval) problems(bad func(field string, value any, want string)) {
	if a == nil {
		return
	}
	if a.Need < 0 || a.Need > 10 {
		bad("Approve.Need", a.Need, "0 (for 1) to 10")
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
