package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// Window is a time of the week in which stages may begin. Outside all windows
// of a plan a rollout stays where it is, with its guards on; rolling back is
// always allowed. A plan without windows may begin stages at any time.
type Window struct {
	// Days lists days and ranges of days, such as "mon-tue,thu"; empty means
	// every day. A day is the one on which the window opens.
	Days string `json:"days,omitempty"`
	// From and To are times of day, "09:00". The window ends just before To; a
	// To that is not after From is on the next day. Both empty mean the whole
	// day.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Zone is an IANA name such as "America/Los_Angeles"; empty means UTC.
	Zone string `json:"zone,omitempty"`
	// Budget is how many rollouts of a target may move their first traffic in
	// one opening of the window, at most [MaxBudget]. Zero means any number.
	Budget int `json:"budget,omitempty"`
}

// Freeze is a span in which no stage may begin, whatever the windows say.
type Freeze struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason,omitempty"`
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// days returns which days of the week s names.
func days(s string) (on [7]bool, err error) {
	if strings.TrimSpace(s) == "" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(strings.ToLower(s), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		i, j := slices.Index(dayNames, from), slices.Index(dayNames, to)
		if !isRange {
			j = i
		}
		if i < 0 || j < 0 {
			return on, fmt.Errorf("%q is not a day or a range of days", part)
		}
		for on[i] = true; i != j; {
			i = (i + 1) % 7
			on[i] = true
		}
	}
	return on, nil
}

// clock parses a time of day.
func clock(s string) (hour, minute int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour(), t.Minute(), err
}

func (w Window) problems(bad func(field string, value any, want string)) {
	if _, err := days(w.Days); err != nil {
		bad("Days", fmt.Sprintf("%q", w.Days), `days and ranges such as "mon-tue,thu"`)
	}
	for _, f := range []struct{ field, clock string }{{"From", w.From}, {"To", w.To}} {
		if _, _, err := clock(f.clock); err != nil {
			bad(f.field, fmt.Sprintf("%q", f.clock), `a time of day such as "09:00"`)
		}
	}
	// Local differs between machines.
	if _, err := time.LoadLocation(w.Zone); err != nil || w.Zone == "Local" {
		bad("Zone", fmt.Sprintf("%q", w.Zone), "an IANA time zone that this system knows")
	}
	if w.Budget < 0 || w.Budget > MaxBudget {
		bad("Budget", w.Budget, fmt.Sprintf("a number from 0 to %d", MaxBudget))
	}
}

// Validate returns all problems of w, joined. Each is a [*checks.InvalidError].
func (w Window) Validate() error {
	var errs []error
	w.problems(func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "rollout", Field: "Window." + field, Value: value, Want: want})
	})
	return errors.Join(errs...)
}

// Contains reports whether the window is open at a time, without regard to its Budget. A
// window that is not valid is never open.
func (w Window) Contains(at time.Time) (open bool) {
	if w.Validate() != nil {
		return false
	}
	w.openings(at, func(from, _ time.Time) bool {
		open = !at.Before(from)
		return false
	})
	return open
}

// MaxBudget is the largest budget of a [Window].
const MaxBudget = 1000

// longestOpening is longer than any window is open: a day, and the hour by which the
// longest day of a time zone exceeds it, with room to spare.
const longestOpening = 48 * time.Hour

// openings calls f with the openings of w that end after now, in order, for
// the next nine days, until f returns false. w must be valid.
func (w Window) openings(now time.Time, f func(from, to time.Time) bool) {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return
	}
	on, _ := days(w.Days)
	fh, fm, _ := clock(w.From)
	th, tm, _ := clock(w.To)
	y, m, d := now.In(zone).Date()
	for day := -1; day <= 9; day++ {
		from := time.Date(y, m, d+day, fh, fm, 0, 0, zone)
		to := time.Date(y, m, d+day, th, tm, 0, 0, zone)
		if !to.After(from) {
			to = time.Date(y, m, d+day+1, th, tm, 0, 0, zone)
		}
		// The day by its date, not from.Weekday: midnight may not exist there.
		if !on[time.Date(y, m, d+day, 12, 0, 0, 0, time.UTC).Weekday()] || !to.After(now) {
			continue
		}
		if !f(from, to) {
			return
		}
	}
}

// frozen says why no stage of p may begin now, and until when; empty if one
// may. moved holds when the target's earlier rollouts moved their first
// traffic, in seconds since 1970; first says that this one has moved none yet.
func (p Plan) frozen(now time.Time, moved []int64, first bool) string {
	for _, f := range p.Freezes {
		if !now.Before(f.From) && now.Before(f.To) {
			return because("frozen until "+f.To.UTC().Format(time.RFC3339), f.Reason)
		}
	}
	if len(p.Windows) == 0 {
		return ""
	}
	var opens time.Time
	spent := ""
	for _, w := range p.Windows {
		isOpen := false
		w.openings(now, func(from, to time.Time) bool {
			if now.Before(from) {
				if opens.IsZero() || from.Before(opens) {
					opens = from
				}
				return false
			}
			used := 0
			for _, at := range moved {
				if t := time.Unix(at, 0); !t.Before(from) && t.Before(to) {
					used++
				}
			}
			if first && w.Budget > 0 && used >= w.Budget {
				spent = fmt.Sprintf("the window's budget of %d rollouts is spent, ", w.Budget)
				return true
			}
			isOpen = true
			return false
		})
		if isOpen {
			return ""
		}
	}
	if opens.IsZero() {
		return spent + "no window opens within nine days"
	}
	return spent + "the next window opens at " + opens.Format(time.RFC3339)
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
