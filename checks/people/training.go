package people

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
)

// Training is the record that a person took a course. It counts from At until Until, Until
// excluded. A record without one of them does not count, and neither does one that is more
// than 2 minutes in the future.
type Training struct {
	Who       checklist.Person
	Course    string
	At, Until time.Time
}

// TrainedOptions configures [Trained].
type TrainedOptions struct {
	// Course is the course of the records that count.
	Course string
	// Records returns the training records, in any order. It may return
	// records of other courses and people.
	Records func(ctx context.Context) ([]Training, error)
	// Approvers returns the people who can approve. Roles are not evaluated.
	Approvers func(ctx context.Context) ([]checklist.Person, error)
	// Need is the number of different approvers who must be trained. Default 1.
	Need int
	// Roster says who is on call.
	Roster Roster
	// Roles are the roles of the roster that must be trained. If empty, all.
	Roles []string
	// For is how long from now. If 0, until Subject.Until of the rollout that runs the check;
	// without it, the result is Unknown.
	For time.Duration
}

// Trained returns a check that enough approvers are trained now, and that each person on
// call is trained until the end of the shift or of the window. It fails if no person is on
// call, or if a shift that overlaps the window has no person or does not end after it begins.
// Evidence: course, approvers, on-call, until.
func Trained(o TrainedOptions) checks.Check {
	bad := &options{name: "TrainedOptions"}
	bad.named("Course", o.Course)
	if o.Records == nil {
		bad.bad("Records", nil, "a function that returns training records")
	}
	if o.Approvers == nil {
		bad.bad("Approvers", nil, "a function that returns people")
	}
	if o.Need < 0 || o.Need > maxEntries {
		bad.bad("Need", o.Need, "1 to 10000, or 0 for 1")
	}
	bad.window(o.Roster, o.For)
	bad.roles(o.Roles)
	need, roles := max(1, o.Need), sorted(o.Roles)
	requirements := []any{o.Course, need, roles, o.For, o.Roster.zone().String()}
	return newCheck("trained", requirements, bad.err(), func(ctx context.Context, now time.Time) checks.Result {
		until, err := end(ctx, now, o.For)
		if err != nil {
			return checks.Result{Summary: "training is not looked at", Err: err}
		}
		records, err := read(o.Records(ctx))
		if err != nil {
			return unread("the training records", err)
		}
		approvers, err := read(o.Approvers(ctx))
		if err != nil {
			return unread("the list of approvers", err)
		}
		all, err := o.Roster.read(ctx, now, until)
		if err != nil {
			return unread("the roster", err)
		}
		shifts, problems := o.Roster.window(all, roles, now, until)
		trained := lasting(records, o.Course, now)
		able := 0
		for range humans(slices.DeleteFunc(slices.Clone(approvers), func(p checklist.Person) bool { return !now.Before(trained.of(p)) })) {
			able++
		}
		if able < need {
			problems = append(problems, fmt.Sprintf("%d of %d approvers are trained in %s", able, need, o.Course))
		}
		onCall, good := duties(shifts, until), 0
		for _, s := range onCall {
			last := trained.of(s.Who)
			switch {
			case last.IsZero():
				problems = append(problems, fmt.Sprintf("%s is on call, and has no record of %s", show(s.Who), o.Course))
			case !now.Before(last):
				problems = append(problems, fmt.Sprintf("%s is on call, and the record of %s expired %s", show(s.Who), o.Course, o.Roster.stamp(last)))
			case last.Before(s.To):
				problems = append(problems, fmt.Sprintf("%s is on call until %s, and the record of %s expires %s", show(s.Who), o.Roster.stamp(s.To), o.Course, o.Roster.stamp(last)))
			default:
				good++
			}
		}
		if len(onCall) == 0 {
			problems = append(problems, "no person is on call "+o.Roster.span(now, until))
		}
		return verdict(fmt.Sprintf("%d approvers and all %d people on call are trained in %s", able, good, o.Course), problems, map[string]string{
			"course": o.Course, "approvers": fmt.Sprintf("%d of %d", able, need), "on-call": strconv.Itoa(good) + " of " + strconv.Itoa(len(onCall)),
			"until": o.Roster.stamp(until),
		})
	})
}

// ends are the ends of the records of people that last longest: by subject, by name, and by
// name of the records without a subject.
type ends struct{ subject, name, bare map[string]time.Time }

// of returns the end of the record of p that lasts longest, or zero.
func (e ends) of(p checklist.Person) time.Time {
	switch n := name(p); {
	case p.Subject == "":
		return e.name[n]
	case e.bare[n].After(e.subject[p.Subject]):
		return e.bare[n]
	}
	return e.subject[p.Subject]
}

// lasting returns the ends of the records of a course.
func lasting(records []Training, course string, now time.Time) ends {
	e := ends{make(map[string]time.Time), make(map[string]time.Time), make(map[string]time.Time)}
	for _, t := range records {
		if t.Course != course || t.At.IsZero() || t.At.Sub(now) > clockSkew || !t.Until.After(t.At) {
			continue
		}
		note := func(m map[string]time.Time, key string) {
			if key != "" && t.Until.After(m[key]) {
				m[key] = t.Until
			}
		}
		note(e.subject, t.Who.Subject)
		note(e.name, name(t.Who))
		if t.Who.Subject == "" {
			note(e.bare, name(t.Who))
		}
	}
	return e
}

// duties returns the last shift of each person, cut at the end of the window, with the subject
// of the person if one of the shifts has it.
func duties(shifts []Shift, until time.Time) []Shift {
	who := make([]checklist.Person, len(shifts))
	for i, s := range shifts {
		who[i] = s.Who
	}
	var all []Shift
	for group := range humans(who) {
		last := shifts[group[0]]
		for _, i := range group {
			if shifts[i].To.After(last.To) {
				last.To = shifts[i].To
			}
			if last.Who.Subject == "" {
				last.Who = shifts[i].Who
			}
		}
		if last.To.After(until) {
			last.To = until
		}
		all = append(all, last)
	}
	return all
}
