package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/visible"
)

// Roster is an on-call roster.
type Roster struct {
	// Shifts returns all shifts that overlap the time between from and to, in any order. It
	// may return others as well. It returns soon after ctx ends, and is safe for concurrent
	// use.
	Shifts func(ctx context.Context, from, to time.Time) ([]Shift, error)
	// Zone is the time zone of the texts. Default UTC.
	Zone *time.Location
}

// Shift says that a person is on call from From until To, To excluded. Shifts may overlap.
type Shift struct {
	Who      checklist.Person
	Role     string
	From, To time.Time
}

// zone returns the time zone.
func (r Roster) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

// stamp is a time in a text: without the parts of a minute that are zero.
func (r Roster) stamp(t time.Time) string {
	t = t.In(r.zone())
	if t.Truncate(time.Minute).Equal(t) {
		return t.Format("2006-01-02 15:04 MST")
	}
	return t.Format("2006-01-02 15:04:05.999 MST")
}

// span is a shift in a text.
func (r Roster) span(from, to time.Time) string {
	return "from " + r.stamp(from) + " to " + r.stamp(to)
}

var (
	errNoSubject = errors.New("people: subject: none in the context, so the end of the rollout is not known")
	errNoEnd     = errors.New("people: subject: the end of the rollout is not known")
	errOver      = errors.New("people: subject: the rollout should have ended, so its end is not known")
)

// end returns the end of the window of a check.
func end(ctx context.Context, now time.Time, d time.Duration) (time.Time, error) {
	if d > 0 {
		return now.Add(d), nil
	}
	s, ok := checks.SubjectOf(ctx)
	switch {
	case !ok:
		return time.Time{}, errNoSubject
	case s.Until.IsZero():
		return time.Time{}, errNoEnd
	case !s.Until.After(now):
		return time.Time{}, errOver
	}
	return s.Until.Round(0), nil
}

// read reads the shifts between from and to, and sorts them.
func (r Roster) read(ctx context.Context, from, to time.Time) ([]Shift, error) {
	all, err := read(r.Shifts(ctx, from, to))
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Shift) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	return all, err
}

// broken reports whether a shift has no person or does not end after it begins.
func (s Shift) broken() bool { return !s.To.After(s.From) || empty(s.Who) }

// overlaps reports whether a shift overlaps the time between from and to, or lies in it if it
// is empty. A shift that ends before it begins lies between its two times. If one is missing,
// that is not known, and it overlaps.
func (s Shift) overlaps(from, to time.Time) bool {
	if s.To.After(s.From) {
		return s.From.Before(to) && s.To.After(from)
	}
	return s.From.IsZero() || s.To.IsZero() || !s.To.After(to) && !s.From.Before(from)
}

// window returns the shifts of the roles that overlap the time between from and to; without
// roles, of all. Broken shifts are not returned but described.
func (r Roster) window(all []Shift, roles []string, from, to time.Time) (good []Shift, broken []string) {
	for _, s := range all {
		switch {
		case len(roles) > 0 && !slices.Contains(roles, s.Role), !s.overlaps(from, to):
		case !s.To.After(s.From):
			broken = append(broken, r.describe(s)+" does not end after it begins")
		case empty(s.Who):
			broken = append(broken, r.describe(s)+" has no person")
		default:
			good = append(good, s)
		}
	}
	slices.Sort(broken)
	return good, broken
}

func (r Roster) describe(s Shift) string {
	return "the shift of " + show(s.Who) + " (" + visible.Line(cut(s.Role, 128)) + ") " + r.span(s.From, s.To)
}

// AwakeOptions configures [Awake].
type AwakeOptions struct {
	Roster Roster
	// Roles must each be on call all the time. At least one.
	Roles []string
	// For is how long from now. If 0, until Subject.Until of the rollout that runs the check;
	// without it, the result is Unknown.
	For time.Duration
	// MaxShift is the longest time that a person of one of the Roles may be on call without a
	// break. Shifts of one person that touch or overlap count as one, whatever their roles.
	// The hour that the end of summer time adds does not count. Default 24 h.
	MaxShift time.Duration
}

// Awake returns a check that a person of each role is on call at all times from now on. It
// fails if there is a hole, however short, and names its beginning and its end in the zone
// of the roster. It also fails if a shift that overlaps this time is too long, has no person or
// does not end after it begins. One person may have several roles. Evidence: from, until,
// shifts, holes.
func Awake(o AwakeOptions) checks.Check {
	bad := &options{name: "AwakeOptions"}
	bad.window(o.Roster, o.For)
	if len(o.Roles) == 0 {
		bad.bad("Roles", "empty", "at least one role")
	}
	bad.roles(o.Roles)
	if o.MaxShift < 0 {
		bad.bad("MaxShift", o.MaxShift, "a positive duration, or 0 for 24 h")
	}
	longest := cmp.Or(o.MaxShift, 24*time.Hour)
	roles := sorted(o.Roles)
	r := o.Roster
	requirements := []any{roles, o.For, longest, r.zone().String()}
	return newCheck("awake", requirements, bad.err(), func(ctx context.Context, now time.Time) checks.Result {
		until, err := end(ctx, now, o.For)
		if err != nil {
			return checks.Result{Summary: "the roster is not looked at", Err: err}
		}
		// Shifts before and after the window may belong to one that is too long.
		all, err := r.read(ctx, now.Add(-longest), until.Add(longest))
		if err != nil {
			return unread("the roster", err)
		}
		shifts, problems := r.window(all, roles, now, until)
		holes := 0
		for _, role := range roles {
			for _, h := range gaps(shifts, role, now, until) {
				problems = append(problems, "no "+role+" is on call "+r.span(h[0], h[1]))
				holes++
			}
		}
		problems = append(problems, r.tooLong(all, roles, longest, now, until)...)
		return verdict(strings.Join(roles, ", ")+": on call until "+r.stamp(until), problems, map[string]string{
			"from": r.stamp(now), "until": r.stamp(until), "holes": strconv.Itoa(holes),
			"shifts": strconv.Itoa(len(shifts)),
		})
	})
}

// within returns the shifts that overlap the time between from and to.
func within(shifts []Shift, from, to time.Time) []Shift {
	var all []Shift
	for _, s := range shifts {
		if s.overlaps(from, to) {
			all = append(all, s)
		}
	}
	return all
}

// gaps returns the times without a shift of the role, each with its beginning and its end.
// The shifts are in order.
func gaps(shifts []Shift, role string, from, to time.Time) [][2]time.Time {
	var all [][2]time.Time
	for _, s := range within(shifts, from, to) {
		if s.Role != role {
			continue
		}
		if s.From.After(from) {
			all = append(all, [2]time.Time{from, s.From})
		}
		if s.To.After(from) {
			from = s.To
		}
	}
	if from.Before(to) {
		all = append(all, [2]time.Time{from, to})
	}
	return all
}

// tooLong describes the people of the roles who are on call for longer than longest without a
// break, with shifts of all roles, if that time overlaps the time between from and to. The
// shifts are in order.
func (r Roster) tooLong(shifts []Shift, roles []string, longest time.Duration, from, to time.Time) []string {
	shifts = slices.DeleteFunc(slices.Clone(shifts), Shift.broken)
	who := make([]checklist.Person, len(shifts))
	for i, s := range shifts {
		who[i] = s.Who
	}
	var all []string
	for group := range humans(who) {
		var duties []Shift // with a role of the list if one of their shifts has one
		for _, i := range group {
			s, n := shifts[i], len(duties)-1
			if n < 0 || s.From.After(duties[n].To) {
				duties = append(duties, s)
				continue
			}
			if s.To.After(duties[n].To) {
				duties[n].To = s.To
			}
			if slices.Contains(roles, s.Role) {
				duties[n].Role = s.Role
			}
		}
		for _, d := range within(duties, from, to) {
			have := min(d.To.Sub(d.From), r.clock(d.To).Sub(r.clock(d.From)))
			if have > longest && slices.Contains(roles, d.Role) {
				all = append(all, fmt.Sprintf("%s is on call %s, which is %v, want at most %v", show(d.Who), r.span(d.From, d.To), have, longest))
			}
		}
	}
	return all
}

// clock is what a clock in the zone shows at t, as a time in UTC.
func (r Roster) clock(t time.Time) time.Time {
	_, offset := t.In(r.zone()).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
