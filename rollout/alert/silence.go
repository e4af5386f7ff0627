package alert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
)

// Silence keeps alerts from being sent. They go on to fire, and alerts that still do at the end
// of the silence are sent then.
type Silence struct {
	// ID is given by [Manager.Silence].
	ID string `json:"id,omitempty"`
	// Match are values of labels as in [Route]. It must not be empty.
	Match map[string]string `json:"match"`
	// From is when it begins; zero is now. To is when it ends, a year after From at most.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// NeedsSecond means that it has no effect before a second person agrees; see
	// [Manager.Second]. It is filled in: for what ends more than 7 days from now, for what is
	// longer than 7 days together with other silences of the same person for the same alerts,
	// and for a Match that has only values "*", which hides every Critical alert.
	NeedsSecond bool `json:"needs_second,omitempty"`
	// Windows are the times within From and To at which it holds, such as a weekly
	// maintenance. Empty means always.
	Windows []rollout.Window `json:"windows,omitempty"`
	// Reason says why. It must not be empty, and has at most 500 bytes.
	Reason string `json:"reason"`
	// By and Seconded are the people. They are filled in.
	By       rollout.Actor `json:"by"`
	Seconded rollout.Actor `json:"seconded,omitzero"`
	// Hidden are the names of alerts that began to fire and ended in silence, with their
	// numbers.
	Hidden map[string]int `json:"hidden,omitempty"`
	// Told is set once its end was noted.
	Told bool `json:"told,omitempty"`
}

const (
	longestSilence = 366 * 24 * time.Hour
	maxSilences    = 200
	maxReason      = 500
)

func (s Silence) problems() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "alert", Field: "Silence." + field, Value: value, Want: want})
	}
	if len(s.Match) == 0 || len(s.Match) > maxLabels {
		bad("Match", fmt.Sprintf("%d labels", len(s.Match)), fmt.Sprintf("1 to %d labels", maxLabels))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Match)) {
		if !labelName.MatchString(name) || len(s.Match[name]) > maxLabel || visible.Line(s.Match[name]) != s.Match[name] {
			bad("Match", fmt.Sprintf("%.80q", name), fmt.Sprintf("names of labels or alertname, with values of at most %d bytes that show", maxLabel))
			break
		}
	}
	switch span := s.To.Sub(s.From); {
	case span <= 0 || !s.To.After(now()):
		bad("To", s.To, "a time in the future and after From")
	case span > longestSilence:
		bad("To", s.To, "a time at most a year after From")
	}
	if s.Reason == "" || len(s.Reason) > maxReason {
		bad("Reason", fmt.Sprintf("%d bytes", len(s.Reason)), fmt.Sprintf("1 to %d bytes", maxReason))
	}
	if len(s.Windows) > 20 {
		bad("Windows", fmt.Sprintf("%d windows", len(s.Windows)), "at most 20")
	}
	for i, w := range s.Windows[:min(len(s.Windows), 20)] {
		if err := w.Validate(); err != nil {
			errs = append(errs, checks.Within(err, "alert", "Window.", fmt.Sprintf("Silence.Windows[%d].", i)))
		}
	}
	return errors.Join(errs...)
}

// needsSecond reports whether the silence is too long or too wide for one person.
func (s *Silence) needsSecond() bool { return s.NeedsSecond || s.To.Sub(s.From) > longest }

// wide reports whether the silence has only values "*".
func (s *Silence) wide() bool {
	for _, value := range s.Match {
		if value != "*" {
			return false
		}
	}
	return true
}

// alone reports whether one person may begin a silence at a time.
func (d *document) alone(s *Silence, at time.Time) bool {
	if s.wide() {
		return false
	}
	total := s.To.Sub(at)
	for _, other := range d.Silences {
		same := Route{Match: s.Match}.covers(Route{Match: other.Match}) || Route{Match: other.Match}.covers(Route{Match: s.Match})
		if same && other.Seconded.Name == "" && quorum.Same(s.By.Subject, s.By.Name, other.By.Subject, other.By.Name) {
			total += other.To.Sub(other.From)
		}
	}
	return total <= longest
}

// holds reports whether the silence is in force.
func (s *Silence) holds(at time.Time) bool {
	if at.Before(s.From) || !at.Before(s.To) || s.needsSecond() && s.Seconded.Name == "" {
		return false
	}
	return len(s.Windows) == 0 || slices.ContainsFunc(s.Windows, func(w rollout.Window) bool { return w.Contains(at) })
}

// hides reports whether a silence applies to an alert.
func (d *document) hides(s *Silence, a *Alert) bool {
	if !matches(s.Match, a) {
		return false
	}
	protected := a.Name == RolloutHeld || a.Name == SplitNotInForce || strings.HasPrefix(a.Name, securityPrefix)
	return !protected || s.Seconded.Name != "" || quorum.Person(s.By.Subject, s.By.Name) != d.starter(a)
}

// starter returns who has started the rollout that an alert is about, or the newest one of its
// target.
func (d *document) starter(a *Alert) string {
	if f := d.Rollouts[rollout.ID(a.Labels["rollout"])]; f != nil {
		return f.Starter
	}
	var newest *followed
	for id, f := range d.Rollouts {
		if id.Target() == a.Labels["target"] && (newest == nil || f.Started.After(newest.Started)) {
			newest = f
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Starter
}

// inForce returns the silences that hold, by ID.
func (d *document) inForce(at time.Time) (list []*Silence) {
	for _, id := range slices.Sorted(maps.Keys(d.Silences)) {
		if s := d.Silences[id]; s.holds(at) {
			list = append(list, s)
		}
	}
	return list
}

// may asks whether an actor may silence these alerts.
func (m *Manager) may(ctx context.Context, by rollout.Actor, match map[string]string) error {
	if err := by.Validate(); err != nil {
		return err
	}
	if m.cfg.Authorize == nil {
		return nil
	}
	target := match["target"]
	if target == "" || strings.HasSuffix(target, "*") {
		target = "*"
	}
	return m.cfg.Authorize(ctx, by, rollout.ActionConfigure, target)
}

// Silence begins a silence, and returns its ID. The starter of a rollout cannot alone
// silence what says that the rollout is held, that its split is not in force, or that its
// security is in doubt.
//
// Errors are [*checks.InvalidError] values, the errors of [Config.Authorize] and [Config.Note],
// and of the store. With any of them there is no silence, except that after an error of the
// store there may be one.
func (m *Manager) Silence(ctx context.Context, s Silence, by rollout.Actor) (string, error) {
	if s.From.IsZero() {
		s.From = now()
	}
	s.From, s.To = s.From.UTC().Round(0), s.To.UTC().Round(0)
	s.Reason = visible.Line(s.Reason)
	if err := s.problems(); err != nil {
		return "", err
	}
	if err := m.may(ctx, by, s.Match); err != nil {
		return "", err
	}
	s.ID, s.By, s.Seconded, s.Hidden, s.Told = strings.ToLower(rand.Text()), by, rollout.Actor{}, nil, false
	s.Match, s.Windows = maps.Clone(s.Match), slices.Clone(s.Windows)
	if err := m.load(ctx); err != nil {
		return "", err
	}
	s.NeedsSecond = !m.doc.Load().alone(&s, now())
	if err := m.note(ctx, "alert silence", s, by); err != nil {
		return "", err
	}
	full := false
	err := m.update(ctx, true, func(d *document) bool {
		if full = len(d.Silences) >= maxSilences; full {
			return false
		}
		stored := s
		stored.NeedsSecond = s.NeedsSecond || !d.alone(&s, now())
		d.Silences[s.ID] = &stored
		return true
	})
	if full {
		err = &checks.InvalidError{Package: "alert", Field: "Silences", Value: maxSilences, Want: "fewer: end some"}
	}
	if err != nil {
		return "", err
	}
	return s.ID, nil
}

func (m *Manager) note(ctx context.Context, name string, what any, by rollout.Actor) error {
	if m.cfg.Note == nil {
		return nil
	}
	if err := m.cfg.Note(ctx, name, what, by); err != nil {
		return fmt.Errorf("alert: the silence is not recorded: %w", err)
	}
	return nil
}

// Second agrees to a silence that one person alone may not begin. by must be another person
// than its author. Agreeing again changes nothing. Errors are as for [Manager.Silence], also for
// a silence that has ended or that another person has agreed to; one that wraps
// [rollout.ErrNotFound] means that there is no such silence.
func (m *Manager) Second(ctx context.Context, id string, by rollout.Actor) error {
	return m.changeSilence(ctx, id, "alert silence seconded", by, func(s *Silence) error {
		if err := s.second(by); err != nil {
			return err
		}
		s.Seconded = by
		return nil
	})
}

// MaySecond returns the error that [Manager.Second] would return now, as far as it does not come
// from the store or from [Config.Note]. It changes nothing.
func (m *Manager) MaySecond(ctx context.Context, id string, by rollout.Actor) error {
	s := m.doc.Load().Silences[id]
	if s == nil {
		return fmt.Errorf("alert: silence %.40q: %w", id, rollout.ErrNotFound)
	}
	if err := m.may(ctx, by, s.Match); err != nil {
		return err
	}
	return s.second(by)
}

// second returns why by cannot agree to the silence.
func (s *Silence) second(by rollout.Actor) error {
	bad := func(field, value, want string) error {
		return &checks.InvalidError{Package: "alert", Field: field, Value: value, Want: want}
	}
	same := func(a rollout.Actor) bool { return quorum.Same(a.Subject, a.Name, by.Subject, by.Name) }
	switch {
	case same(s.By):
		return bad("by", fmt.Sprintf("%.80q", by.Name), "another person than the author of the silence")
	case !s.To.After(now()):
		return bad("id", s.ID, "a silence that has not ended")
	case s.Seconded.Name != "" && !same(s.Seconded):
		return bad("id", s.ID, "a silence that no other person has agreed to")
	}
	return nil
}

// Unsilence ends a silence. What still fires is sent. Errors are as for [Manager.Second].
func (m *Manager) Unsilence(ctx context.Context, id string, by rollout.Actor) error {
	return m.changeSilence(ctx, id, "alert silence ended", by, func(s *Silence) error {
		if at := now(); s.To.After(at) {
			s.To = at
			s.From = minTime(s.From, at)
		}
		return nil
	})
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (m *Manager) changeSilence(ctx context.Context, id, what string, by rollout.Actor, change func(*Silence) error) error {
	if err := m.load(ctx); err != nil {
		return err
	}
	s := m.doc.Load().Silences[id]
	if s == nil {
		return fmt.Errorf("alert: silence %.40q: %w", id, rollout.ErrNotFound)
	}
	if err := m.may(ctx, by, s.Match); err != nil {
		return err
	}
	trial := *s
	if err := change(&trial); err != nil {
		return err
	}
	if err := m.note(ctx, what, trial, by); err != nil {
		return err
	}
	var late error // another change came first
	err := m.update(ctx, true, func(d *document) bool {
		late = nil
		s := d.Silences[id]
		if s == nil {
			return false
		}
		next := *s
		if late = change(&next); late != nil {
			return false
		}
		d.Silences[id] = &next
		return true
	})
	if err != nil {
		return err
	}
	return late
}

// Silences returns the silences that have not ended, and those that ended in the last 24 h,
// by their ends, as far as this process knows.
func (m *Manager) Silences() []Silence {
	var all []Silence
	for _, s := range m.doc.Load().Silences {
		c := *s
		c.Match, c.Hidden = maps.Clone(s.Match), maps.Clone(s.Hidden)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Silence) int {
		if c := a.To.Compare(b.To); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// hide notes which alerts the silences in force hide, and which of them have ended without being sent. It returns those that are hidden.
func (d *document) hide(at time.Time) (hidden map[string]bool, changed bool) {
	list := d.inForce(at)
	hidden = make(map[string]bool)
	for key, e := range d.Alerts {
		if e.firing() {
			for _, s := range list {
				if !d.hides(s, &e.Alert) {
					continue
				}
				hidden[key] = true
				if !slices.Contains(e.Hidden, s.ID) {
					next := *e
					next.Hidden = append(slices.Clone(e.Hidden), s.ID)
					e, changed = &next, true
					d.Alerts[key] = e
				}
			}
			continue
		}
		if len(e.Hidden) == 0 {
			continue
		}
		if !d.known(key) {
			for _, id := range e.Hidden {
				if s := d.Silences[id]; s != nil {
					next := *s
					if next.Hidden = maps.Clone(s.Hidden); next.Hidden == nil {
						next.Hidden = make(map[string]int)
					}
					next.Hidden[e.Name]++
					d.Silences[id] = &next
				}
			}
		}
		next := *e
		next.Hidden, changed = nil, true
		d.Alerts[key] = &next
	}
	return hidden, changed
}

// known reports whether a receiver believes that an alert fires.
func (d *document) known(key string) bool {
	for _, c := range d.Channels {
		if _, there := c.Told[key]; there {
			return true
		}
	}
	return false
}

// silenceDigest is the alert that says what a silence has hidden.
const silenceDigest = "SilenceEnded"

// digest begins an alert for each silence that has ended and has hidden alerts. It returns those that have ended.
func (d *document) digest(at time.Time) (ended []Silence) {
	for _, id := range slices.Sorted(maps.Keys(d.Silences)) {
		s := d.Silences[id]
		if s.Told || at.Before(s.To) {
			continue
		}
		next := *s
		next.Told = true
		d.Silences[id] = &next
		ended = append(ended, next)
		if len(s.Hidden) == 0 {
			continue
		}
		total, parts := 0, []string(nil)
		for _, name := range slices.Sorted(maps.Keys(s.Hidden)) {
			total += s.Hidden[name]
			parts = append(parts, fmt.Sprintf("%s %d", name, s.Hidden[name]))
		}
		a := Alert{Name: silenceDigest, Labels: map[string]string{"silence": id}, Severity: Info,
			Summary: Cut(fmt.Sprintf("silence of %s has ended; %d alerts fired and ended meanwhile: %s", s.By.Name, total, strings.Join(parts, ", ")), maxSummary, size)}
		if target := s.Match["target"]; target != "" && !strings.HasSuffix(target, "*") {
			a.Labels["target"] = target
		}
		if a, err := a.normal(); err == nil {
			d.fire(a.Key(), a, at, "", func(e *entry) { e.Until = at.Add(time.Hour) })
		}
	}
	return ended
}
