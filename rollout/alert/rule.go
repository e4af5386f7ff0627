package alert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rule finds alerts. Each process looks at its rules by itself. An alert fires while any of
// them returns it, and it is returned by every look while it fires.
type Rule interface {
	// Look returns the alerts that fire at a time. One that it cannot decide about has
	// Unknown: it goes on if it fires, and does not begin. Look returns soon after ctx ends. A
	// look that panics, or does not return within 10 s, decides about nothing. Before it
	// returns there is no other look, and what the rule has said is Unknown.
	Look(ctx context.Context, at time.Time) []Alert
}

// RuleFunc is a function as a [Rule].
type RuleFunc func(ctx context.Context, at time.Time) []Alert

// Look implements [Rule].
func (f RuleFunc) Look(ctx context.Context, at time.Time) []Alert { return f(ctx, at) }

// Timed is a [Rule] with times of its own.
type Timed struct {
	Rule
	// Every is the time between two looks. Default 15 s.
	Every time.Duration
	// For is how long an alert must be returned without a gap before it fires. Default 0.
	For time.Duration
	// Keep is how long it goes on to fire when it is not returned any more, so that what
	// comes and goes is one alert. Default 5 min; negative is 0.
	Keep time.Duration
}

const (
	lookEvery  = 15 * time.Second
	keepFiring = 5 * time.Minute
	lookFor    = 10 * time.Second
	maxLooked  = 10_000 // alerts of one look
	quiet      = 3      // looks that a source may miss
	heardEvery = time.Minute
)

// timed returns a rule with its times.
func timed(r Rule) Timed {
	t, ok := r.(Timed)
	if !ok {
		t = Timed{Rule: r}
	}
	if t.Every <= 0 {
		t.Every = lookEvery
	}
	if t.Keep == 0 {
		t.Keep = keepFiring
	}
	t.Keep = max(t.Keep, 0)
	return t
}

// looker is what a process knows of a rule.
type looker struct {
	Timed
	source string
	began  map[string]time.Time // when alerts were returned first, without a gap
	last   map[string]time.Time // when alerts were returned last
	start  time.Time
	over   <-chan struct{} // closed when the newest look has returned
}

// source names a rule of this process.
func (m *Manager) source(rule string) string { return m.cfg.Replica + "/" + rule }

// looks looks at a rule until ctx ends.
func (m *Manager) looks(ctx context.Context, name string) {
	l := &looker{Timed: timed(m.cfg.Rules[name]), source: m.source(name), began: make(map[string]time.Time), last: make(map[string]time.Time), start: now()}
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	failing := false
	for {
		found, err := l.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			m.log.ErrorContext(ctx, "a rule of alerts cannot be looked at; what it said goes on", "rule", name, "error", err)
		}
		failing = err != nil
		if err := m.update(ctx, false, func(d *document) bool { return l.apply(d, found, err == nil, now()) }); err != nil && ctx.Err() == nil {
			m.log.ErrorContext(ctx, "what a rule of alerts has found is not stored; it is looked at again", "rule", name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look calls the rule. An error means that nothing was found out.
func (l *looker) look(ctx context.Context) (found map[string]Alert, err error) {
	if !isOver(l.over) {
		return nil, errStuck
	}
	limited, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	alerts, over, err := patient(limited, func(ctx context.Context) ([]Alert, error) { return l.Rule.Look(ctx, now()), nil })
	l.over = over
	if err == nil && limited.Err() != nil {
		err = fmt.Errorf("alert: rule: ended early: %w", context.Cause(limited))
	}
	if err != nil {
		return nil, err
	}
	found = make(map[string]Alert)
	var errs []error
	for _, a := range alerts[:min(len(alerts), maxLooked)] {
		n, err := a.normal()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found[n.Key()] = n
	}
	if len(errs) > 0 { // the others count, and nothing ends
		return found, fmt.Errorf("alert: rule: %d alerts are not valid, such as: %w", len(errs), errs[0])
	}
	return found, nil
}

// apply changes the state to what a look has found. complete means that what was not found
// does not hold.
func (l *looker) apply(d *document, found map[string]Alert, complete bool, at time.Time) (changed bool) {
	mine := false
	for _, key := range slices.Sorted(maps.Keys(found)) {
		a := found[key]
		if a.Unknown {
			l.last[key] = at // it has not ended
			changed = l.unknown(d, key, at) || changed
			continue
		}
		if _, there := l.began[key]; !there {
			l.began[key] = at
		}
		l.last[key] = at
		if e := d.Alerts[key]; at.Sub(l.began[key]) >= l.For || e != nil && e.firing() {
			changed = d.fire(key, a, at, l.source, nil) || changed
		}
	}
	for key, e := range d.Alerts {
		if !e.firing() || !slices.Contains(e.Sources, l.source) {
			continue
		}
		mine = true
		if _, there := found[key]; there {
			continue
		}
		if !complete {
			changed = l.unknown(d, key, at) || changed
			continue
		}
		last, seen := l.last[key]
		if !seen {
			last = l.start // before a restart
		}
		if e.Unknown {
			next := *e
			next.Unknown, next.Since = false, at
			e = &next
			d.Alerts[key], changed = e, true
		}
		if at.Sub(last) >= l.Keep {
			changed = d.leave(key, l.source, at) || changed
		}
	}
	for key := range l.began {
		if _, there := found[key]; !there && complete {
			delete(l.began, key)
		}
	}
	for key, last := range l.last {
		if at.Sub(last) > l.Keep+l.Every {
			delete(l.last, key)
		}
	}
	changed = d.hear(l.source, mine && complete, at) || changed
	return d.forgotten(at) || changed
}

// unknown marks an alert of this source of which nothing is known any more.
func (l *looker) unknown(d *document, key string, at time.Time) bool {
	e := d.Alerts[key]
	if e == nil || !e.firing() || e.Unknown || len(e.Sources) != 1 || e.Sources[0] != l.source {
		return false // another source knows
	}
	next := *e
	next.Unknown, next.Since = true, at
	d.Alerts[key] = &next
	return true
}

// leave takes a source off an alert, which ends with its last one.
func (d *document) leave(key, source string, at time.Time) bool {
	e := d.Alerts[key]
	if len(e.Sources) <= 1 {
		return d.end(key, at)
	}
	next := *e
	next.Sources = slices.DeleteFunc(slices.Clone(e.Sources), func(s string) bool { return s == source })
	d.Alerts[key] = &next
	return true
}

// hear notes that a source of alerts that fire was heard, at most once a minute.
func (d *document) hear(source string, fires bool, at time.Time) bool {
	if !fires || at.Sub(d.Sources[source]) < heardEvery {
		return false
	}
	d.Sources[source] = at
	return true
}

// forgotten marks alerts none of whose sources was heard for a while, such as a
// process that has ended.
func (d *document) forgotten(at time.Time) (changed bool) {
	const silent = quiet * heardEvery
	for key, e := range d.Alerts {
		if !e.firing() || e.Unknown || len(e.Sources) == 0 || at.Sub(e.Since) < silent {
			continue
		}
		heard := slices.ContainsFunc(e.Sources, func(s string) bool { return at.Sub(d.Sources[s]) < silent })
		if !heard {
			next := *e
			next.Unknown, next.Since = true, at
			d.Alerts[key], changed = &next, true
		}
	}
	return changed
}
