package alert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
)

// rewrite is the least time between two writings of the texts of an alert that goes on.
const rewrite = time.Minute

// Set has an alert fire, or go on. It returns after the state was stored. An alert that fires
// already with these texts, or with others that were stored less than a minute ago, needs no
// writing. What another process has cleared less than a second ago may count as firing. Began
// is now unless it is set; Ended is ignored.
//
// Errors are [*checks.InvalidError] values for an alert that is not valid, or from the store:
// then it is not known whether the alert fires, and the caller should set it again.
func (m *Manager) Set(ctx context.Context, a Alert) error {
	a, err := a.normal()
	if err != nil {
		return err
	}
	key := a.Key()
	if e := m.doc.Load().Alerts[key]; e != nil && e.goesOn(&a, now()) {
		return nil
	}
	return m.update(ctx, false, func(d *document) bool { return d.fire(key, a, now(), "", nil) })
}

// goesOn reports whether setting a would change nothing.
func (e *entry) goesOn(a *Alert, at time.Time) bool {
	if !e.firing() || e.Severity != a.Severity || e.Unknown != a.Unknown {
		return false
	}
	same := e.Summary == a.Summary && e.Detail == a.Detail && e.Runbook == a.Runbook && e.URL == a.URL && maps.Equal(e.Values, a.Values)
	return same || at.Sub(e.Written) < rewrite
}

// fire has an alert fire, or go on. shape adds to the entry. It reports whether something has
// changed. An alert that is Unknown does not begin to fire.
func (d *document) fire(key string, a Alert, at time.Time, source string, shape func(*entry)) bool {
	old := d.Alerts[key]
	if old == nil || !old.firing() {
		if a.Unknown {
			return false
		}
		return d.begin(key, a, at, source, shape)
	}
	e := *old
	if source != "" && len(e.Sources) > 0 && !slices.Contains(e.Sources, source) && len(e.Sources) < 100 {
		e.Sources = append(slices.Clone(e.Sources), source)
		slices.Sort(e.Sources)
	}
	changed := len(e.Sources) != len(old.Sources)
	if a.Severity != e.Severity || a.Unknown != e.Unknown {
		e.Since, changed = at, true
	} else if !old.goesOn(&a, at) {
		changed = true
	}
	began := e.Began
	e.Alert = a
	e.Began = began
	if shape != nil {
		shape(&e)
		changed = changed || e.Until != old.Until
	}
	if !changed {
		return false
	}
	e.Written = at
	d.Alerts[key] = &e
	return true
}

// begin has an alert fire that does not yet.
func (d *document) begin(key string, a Alert, at time.Time, source string, shape func(*entry)) bool {
	d.uncount(key, at)
	firing := 0
	for _, e := range d.Alerts {
		firing += flag(e.firing())
	}
	if firing >= maxAlerts {
		least := d.least()
		if least == "" || d.Alerts[least].Severity >= a.Severity {
			return d.count(key, a, at)
		}
		d.countAlert(least)
	}
	if a.Began.IsZero() || a.Began.After(at) {
		a.Began = at
	}
	e := &entry{Alert: a, Since: at, Written: at}
	if source != "" {
		e.Sources = []string{source}
	}
	if shape != nil {
		shape(e)
	}
	d.Alerts[key] = e
	return true
}

// least returns the key of the least alert that fires and stands for itself.
func (d *document) least() string {
	least := ""
	for k, e := range d.Alerts {
		if e.firing() && e.Name != stormName && (least == "" || d.order(least, k) < 0) {
			least = k
		}
	}
	return least
}

// end has an alert end. It reports whether it was firing.
func (d *document) end(key string, at time.Time) bool {
	e := d.Alerts[key]
	if e == nil || !e.firing() {
		return d.uncount(key, at)
	}
	next := *e
	next.Ended, next.Unknown, next.Sources, next.Until = at, false, nil, time.Time{}
	d.Alerts[key] = &next
	return true
}

var keyForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Clear has an alert end, given by [Alert.Key]. The receivers that got its beginning are notified. An alert
// that does not fire is left as it is. Errors are as for [Manager.Set].
func (m *Manager) Clear(ctx context.Context, key string) error {
	if !keyForm.MatchString(key) {
		return &checks.InvalidError{Package: "alert", Field: "key", Value: fmt.Sprintf("%.40q", key), Want: "the Key of an alert"}
	}
	return m.update(ctx, true, func(d *document) bool { return d.end(key, now()) })
}

// Firing returns the alerts that fire, the worst first, as far as this process knows: other
// processes' changes are seen within a second while [Manager.Run] runs.
func (m *Manager) Firing() []Alert {
	return m.list(true, before)
}

// History returns the alerts that have ended in the last 24 h, the newest first, as far as
// this process knows.
func (m *Manager) History() []Alert {
	return m.list(false, func(a, b Alert) int { return cmp.Or(b.Ended.Compare(a.Ended), before(a, b)) })
}

func (m *Manager) list(firing bool, order func(a, b Alert) int) []Alert {
	var all []Alert
	for _, e := range m.doc.Load().Alerts {
		if e.firing() == firing {
			all = append(all, m.dress(e.Alert))
		}
	}
	slices.SortFunc(all, order)
	return all
}

// Counts are numbers of alerts and messages.
type Counts struct {
	Firing int
	// Counted are alerts beyond the first 1,000. They fire, and only their number is kept.
	Counted int
	// Waiting are messages under way.
	Waiting int
	// Lost are alerts and texts that exceeded all bounds.
	Lost uint64
	// Broken are the receivers that have given a message up, or have not returned from a call,
	// and have taken none since, with the number of times.
	Broken map[string]int
}

// Counts returns numbers for metrics, as far as this process knows.
func (m *Manager) Counts() Counts {
	d := m.doc.Load()
	c := Counts{Lost: d.Lost, Broken: make(map[string]int)}
	for _, e := range d.Alerts {
		c.Firing += flag(e.firing())
	}
	for _, list := range d.Counted {
		c.Counted += len(list)
	}
	for _, ch := range d.Channels {
		c.Waiting += len(ch.Waiting)
	}
	for name, b := range d.Broken {
		c.Broken[name] = b.Count
	}
	return c
}

// dress fills in runbook and link.
func (m *Manager) dress(a Alert) Alert {
	a.Labels, a.Values = maps.Clone(a.Labels), maps.Clone(a.Values)
	if a.Runbook == "" {
		a.Runbook = cmp.Or(m.cfg.Runbooks[a.Name], runbook(a.Name))
	}
	if a.URL == "" && m.cfg.URL != "" {
		a.URL = strings.TrimSuffix(m.cfg.URL, "/")
		if id := cmp.Or(a.Labels["rollout"], a.Labels["target"]); id != "" {
			target, n, numbered := strings.Cut(id, "/")
			a.URL += "/" + url.PathEscape(target)
			if numbered {
				a.URL += "/" + url.PathEscape(n)
			}
		}
	}
	return a
}
