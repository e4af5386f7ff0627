package people

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
)

// Call is a test call to a person.
type Call struct {
	Who checklist.Person
	At  time.Time
	// Answered reports whether the person answered.
	Answered bool
}

// ReachableOptions configures [Reachable].
type ReachableOptions struct {
	// Contact is the escalation contact.
	Contact checklist.Person
	// Calls returns the test calls, in any order. It may return calls to other people.
	Calls func(ctx context.Context) ([]Call, error)
	// Within is the maximum age of the last test call. Default 30 days.
	Within time.Duration
}

// Reachable returns a check that the escalation contact answered the last test call, and
// that the call is recent. It fails if the last call was not answered, is too old or does
// not exist. If calls at the same time disagree, the one without an answer counts. A call
// without a time, or more than 2 minutes in the future, does not count. Evidence: contact,
// call, until.
func Reachable(o ReachableOptions) checks.Check {
	bad := &options{name: "ReachableOptions"}
	if empty(o.Contact) {
		bad.bad("Contact", "empty", "a person with a subject or a name")
	}
	if o.Calls == nil {
		bad.bad("Calls", nil, "a function that returns test calls")
	}
	if o.Within < 0 {
		bad.bad("Within", o.Within, "a positive duration, or 0 for 30 days")
	}
	valid := cmp.Or(o.Within, 30*24*time.Hour)
	return newCheck("reachable", []any{o.Contact.Subject, name(o.Contact), valid}, bad.err(), func(ctx context.Context, now time.Time) checks.Result {
		calls, err := read(o.Calls(ctx))
		if err != nil {
			return unread("the test calls", err)
		}
		var last Call
		for _, c := range calls {
			if !same(c.Who, o.Contact) || c.At.IsZero() || c.At.Sub(now) > clockSkew {
				continue
			}
			if c.At.After(last.At) || c.At.Equal(last.At) && !c.Answered {
				last = c
			}
		}
		evidence := map[string]string{"contact": show(o.Contact)}
		if last.At.IsZero() {
			return verdict("", []string{show(o.Contact) + " has no test call"}, evidence)
		}
		utc := Roster{}
		at, until := utc.stamp(last.At), last.At.Add(valid)
		evidence["call"] = at
		switch {
		case !last.Answered:
			return verdict("", []string{show(o.Contact) + " did not answer the test call of " + at}, evidence)
		case !now.Before(until):
			evidence["until"] = utc.stamp(until)
			return verdict("", []string{fmt.Sprintf("%s answered the last test call of %s, which is more than %v ago", show(o.Contact), at, valid)}, evidence)
		}
		evidence["until"] = utc.stamp(until)
		return verdict(show(o.Contact)+" answered the test call of "+at, nil, evidence)
	})
}
