package people

import (
	"context"
	"fmt"
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
// call, or if a shift has no person or does not end after it begins. Evidence: course,
// approvers, on-call, until.
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
		shifts, problems, err := o.Roster.window(ctx, roles, now, until)
		if err != nil {
			return unread("the roster", err)
		}
		trained := lasting(records, o.Course, now)
		able := make(map[string]bool)
		for _, p := range approvers {
			if id := identity(p); now.Before(trained[id]) {
				able[id] = true
			}
		}
		if len(able) < need {
			problems = append(problems, fmt.Sprintf("%d of %d approvers are trained in %s", len(able), need, o.Course))
		}
		onCall, good := duties(shifts, until), 0
		for _, s := range onCall {
			last, known := trained[identity(s.Who)]
			switch {
			case !known:
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
		return verdict(fmt.Sprintf("%d approvers and all %d people on call are trained in %s", len(able), good, o.Course), problems, map[string]string{
			"course": o.Course, "approvers": fmt.Sprintf("%d of %d", len(able), need), "on-call": strconv.Itoa(good) + " of " + strconv.Itoa(len(onCall)),
			"until": o.Roster.stamp(until),
		})
	})
}

// lasting returns the end of the record of each person that lasts longest.
func lasting(records []Training, course string, now time.Time) map[string]time.Time {
	last := make(map[string]time.Time)
	for _, t := range records {
		id := identity(t.Who)
		if id == "" || t.Course != course || t.At.IsZero() || t.At.Sub(now) > clockSkew || !t.Until.After(t.At) {
			continue
		}
		if t.Until.After(last[id]) {
			last[id] = t.Until
		}
	}
	return last
}

// duties returns the last shift of each person, cut at the end of the window, in the order
// of the first shifts.
func duties(shifts []Shift, until time.Time) []Shift {
	var all []Shift
	seen := make(map[string]int)
	for _, s := range shifts {
		if s.To.After(until) {
			s.To = until
		}
		id := identity(s.Who)
		if i, known := seen[id]; !known {
			seen[id] = len(all)
			all = append(all, s)
		} else if s.To.After(all[i].To) {
			all[i].To = s.To
		}
	}
	return all
}
