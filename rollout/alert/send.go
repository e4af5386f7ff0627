package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/rollout"
)

const (
	claimFor    = 30 * time.Second // longer than an attempt takes
	impatience  = time.Second      // after which an attempt makes room for a critical message
	pollEvery   = time.Second
	refresh     = time.Minute
	longestWait = 10 * time.Minute // that a receiver may ask for
)

// lane is how messages go to a receiver: at most two attempts at a time, of which the second is for
// critical messages.
type lane struct {
	slots   [2]*attempt
	yielded map[string]bool // messages that have made room once
	left    <-chan struct{} // closed when the attempt that was left alone has returned
}

// attempt is one call of a notifier.
type attempt struct {
	key    string // of the message
	urgent bool
	began  time.Time
	cancel context.CancelCauseFunc
}

// outcome is how an attempt has ended. It waits to be stored.
type outcome struct {
	channel string
	seq     uint64
	err     error
}

var errYield = errors.New("alert: attempt: ended early for a critical message")

// Run notifies receivers, and looks at rules, until ctx ends. It returns the error of ctx. Call
// it once, in each process.
func (m *Manager) Run(ctx context.Context) error {
	group := make(chan struct{}, 1+len(m.cfg.Rules)+len(m.cfg.Receivers))
	started := 0
	begin := func(f func()) {
		started++
		go func() {
			defer func() { group <- struct{}{} }()
			f()
		}()
	}
	for _, name := range slices.Sorted(maps.Keys(m.cfg.Rules)) {
		begin(func() { m.looks(ctx, name) })
	}
	for name, n := range m.cfg.Receivers {
		if r, ok := n.(Refresher); ok {
			begin(func() { m.refreshes(ctx, name, r) })
		}
	}
	m.deliver(ctx)
	m.last.Store(nil)
	for range started {
		<-group
	}
	return ctx.Err()
}

// deliver plans and sends until ctx ends.
func (m *Manager) deliver(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
		next, err := m.step(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			m.log.ErrorContext(ctx, "the state of alerts cannot be stored; retrying every second", "error", err)
		}
		if failing = err != nil; !failing {
			at := now()
			m.last.Store(&at)
		}
		wait := pollEvery
		if !next.IsZero() && err == nil {
			wait = min(wait, max(next.Sub(now()), time.Millisecond))
		}
		timer.Reset(wait)
	}
}

// start is an attempt that begins when its claim is stored.
type start struct {
	receiver string
	slot     int
	channel  string
	seq      uint64
	urgent   bool
}

// step makes the messages that are due, stores that, and begins to send.
func (m *Manager) step(ctx context.Context) (next time.Time, err error) {
	if err := m.load(ctx); err != nil {
		return time.Time{}, err
	}
	if err := m.secure(ctx); err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "security events are not stored; retrying", "error", err)
	}
	m.mu.Lock()
	ended := maps.Clone(m.outcomes)
	m.mu.Unlock()
	var (
		starts   []start
		silences []Silence
	)
	err = m.update(ctx, false, func(d *document) bool {
		at := now()
		changed := m.settle(d, ended, at)
		var planned bool
		planned, next, silences = m.plan(d, at)
		var soon time.Time
		starts, soon = m.claim(d, at)
		if !soon.IsZero() && (next.IsZero() || soon.Before(next)) {
			next = soon
		}
		return changed || planned || len(starts) > 0
	})
	if err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	for key := range ended {
		delete(m.outcomes, key)
	}
	m.mu.Unlock()
	d := m.doc.Load()
	for _, s := range starts {
		m.begin(ctx, d, s)
	}
	for _, s := range silences {
		if err := m.note(ctx, "alert silence over", s, s.By); err != nil {
			m.log.ErrorContext(ctx, "the end of a silence is not recorded", "error", err)
		}
	}
	if len(starts) > 0 {
		m.poke() // there may be more for other slots
	}
	return next, nil
}

// settle writes down how attempts have ended.
func (m *Manager) settle(d *document, ended map[string]outcome, at time.Time) (changed bool) {
	for _, key := range slices.Sorted(maps.Keys(ended)) {
		o := ended[key]
		c := d.Channels[o.channel]
		if c == nil || m.messageKey(d, c, o.seq) != key {
			continue // of a state that was lost
		}
		i := slices.IndexFunc(c.Waiting, func(w message) bool { return w.Seq == o.seq })
		if i < 0 {
			continue
		}
		changed = true
		c = c.clone()
		d.Channels[o.channel] = c
		w := &c.Waiting[i]
		w.Owner, w.Until = "", time.Time{}
		switch {
		case o.err == nil:
			c.took(w.Refs)
			c.Waiting = slices.Delete(c.Waiting, i, i+1)
			d.answers(c.Receiver, at)
		case errors.Is(o.err, errYield):
			w.Next = at
		default:
			w.Attempts++
			if permanent(o.err) || w.Attempts >= rollout.MaxAttempts {
				d.giveUp(c, i, o.err, at)
				continue
			}
			if errors.Is(o.err, errAbandoned) { // it may take no message any more
				d.breaks(c.Receiver, w.Attempts, o.err, at)
			}
			w.Next, w.Decided = retryAt(o.err, w.Attempts, at)
		}
	}
	return changed
}

// answers notes that a receiver has taken a message: others for it are tried again now.
func (d *document) answers(receiver string, at time.Time) {
	if b := d.Broken[receiver]; b != nil {
		delete(d.Broken, receiver)
		d.end(Alert{Name: DeadLetter, Labels: map[string]string{"receiver": receiver}}.Key(), at)
	}
	for name, c := range d.Channels {
		if c.Receiver != receiver {
			continue
		}
		waits := slices.ContainsFunc(c.Waiting, func(w message) bool { return w.Attempts > 0 && !w.Decided && w.Next.After(at) })
		lost := false
		for _, k := range c.Told {
			lost = lost || k.Lost && !k.Answers
		}
		if !waits && !lost {
			continue
		}
		c = c.clone()
		for key, k := range c.Told {
			k.Answers = k.Lost
			c.Told[key] = k
		}
		for i := range c.Waiting {
			if w := &c.Waiting[i]; w.Attempts > 0 && !w.Decided {
				w.Next = minTime(w.Next, at)
			}
		}
		d.Channels[name] = c
	}
}

// took notes that the receiver has taken a message about some alerts.
func (c *channel) took(refs []ref) {
	for _, r := range refs {
		if k, told := c.Told[r.Key]; told && r.Ended.IsZero() {
			c.Told[r.Key] = known{Severity: k.Severity, Unknown: k.Unknown, Taken: true}
		}
	}
}

// lose notes that the receiver does not take a message about some alerts.
func (d *document) lose(c *channel, refs []ref, at time.Time) {
	for _, r := range refs {
		k, told := c.Told[r.Key]
		if !r.Ended.IsZero() {
			if e := d.Alerts[r.Key]; told || e == nil || e.firing() {
				continue // it has the message that it fires
			}
			k = known{Severity: r.Severity, Taken: true, Losses: r.Losses}
		} else if !told {
			continue
		}
		k.Lost, k.At, k.Answers = true, at, false
		k.Losses++
		c.Told[r.Key] = k
	}
}

// giveUp takes a message out that a receiver does not take. Its alerts are sent again later.
func (d *document) giveUp(c *channel, i int, err error, at time.Time) {
	w := c.Waiting[i]
	c.Waiting = slices.Delete(c.Waiting, i, i+1)
	lost := w.Refs
	var partly interface{ Refused() []string }
	if errors.As(err, &partly) {
		refused := partly.Refused()
		lost = slices.DeleteFunc(slices.Clone(w.Refs), func(r ref) bool { return !slices.Contains(refused, r.Key) })
		c.took(w.Refs)
	}
	d.lose(c, lost, at)
	d.breaks(c.Receiver, w.Attempts, err, at)
}

// breaks begins an alert about a receiver that has not taken a message.
func (d *document) breaks(receiver string, attempts int, err error, at time.Time) {
	b := broken{Since: at}
	if old := d.Broken[receiver]; old != nil {
		b = *old
	}
	b.Error, b.Count = Cut(redact.Text(err.Error()), maxLabel, size), b.Count+1
	d.Broken[receiver] = &b
	a, bad := Alert{
		Name: DeadLetter, Labels: map[string]string{"receiver": receiver}, Severity: Error, Began: at,
		Summary: fmt.Sprintf("receiver %s has not taken a message after %d attempts: %s · what still fires is sent again later · mend the receiver, then test it", receiver, attempts, b.Error),
		Values:  map[string]string{"given up": fmt.Sprint(b.Count)},
	}.normal()
	if bad == nil {
		d.fire(a.Key(), a, at, "", nil)
	}
}

// permanent reports whether no repetition mends an error.
func permanent(err error) bool {
	return rollout.IsPermanent(err)
}

// retryAt returns when to try again after the given number of attempts.
func retryAt(err error, attempts int, at time.Time) (next time.Time, decided bool) {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) && r.RetryAfter() > 0 {
		return at.Add(min(r.RetryAfter(), longestWait)), true
	}
	pause := min(time.Minute, time.Second<<min(attempts-1, 10))
	return at.Add(pause/2 + rand.N(pause/2+1)), false
}

// claim chooses what is sent next, and notes that this process does it. It returns when there
// may be more to send.
func (m *Manager) claim(d *document, at time.Time) (starts []start, soon time.Time) {
	type ready struct {
		channel string
		i       int
		message
	}
	list := make(map[string][]ready)
	later := func(t time.Time) {
		if t.After(at) && (soon.IsZero() || t.Before(soon)) {
			soon = t
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, c := range d.Channels {
		if m.lanes[c.Receiver] == nil {
			continue
		}
		for i, w := range c.Waiting {
			key := m.messageKey(d, c, w.Seq)
			_, over := m.outcomes[key]
			mine := w.Owner == m.life || w.Owner == ""
			switch {
			case over || m.inFlight(c.Receiver, key):
			case !mine && at.Before(w.Until):
				later(w.Until)
			case at.Before(w.Next):
				later(w.Next)
			default:
				list[c.Receiver] = append(list[c.Receiver], ready{name, i, w})
			}
		}
	}
	for _, to := range slices.Sorted(maps.Keys(list)) {
		waiting := list[to]
		slices.SortFunc(waiting, func(a, b ready) int {
			return cmp.Or(flag(b.Urgent)-flag(a.Urgent), cmp.Compare(a.Seq, b.Seq))
		})
		l := m.lanes[to]
		for _, w := range waiting {
			slot := -1
			if l.slots[0] == nil && !slices.ContainsFunc(starts, func(s start) bool { return s.receiver == to && s.slot == 0 }) {
				slot = 0
			} else if w.Urgent && l.slots[1] == nil && !slices.ContainsFunc(starts, func(s start) bool { return s.receiver == to && s.slot == 1 }) {
				slot = 1
			}
			if slot < 0 {
				if w.Urgent {
					later(m.yield(l, at))
				}
				break
			}
			c := d.Channels[w.channel].clone()
			c.Waiting[w.i].Owner, c.Waiting[w.i].Until = m.life, at.Add(claimFor)
			d.Channels[w.channel] = c
			starts = append(starts, start{to, slot, w.channel, w.Seq, w.Urgent})
		}
	}
	return starts, soon
}

// inFlight reports whether a message is being sent by this process.
func (m *Manager) inFlight(receiver, key string) bool {
	for _, a := range m.lanes[receiver].slots {
		if a != nil && a.key == key {
			return true
		}
	}
	return false
}

// yield has an attempt make room for a critical message, or returns when one will: a message
// that is not critical immediately, and each critical one once, after a second.
func (m *Manager) yield(l *lane, at time.Time) time.Time {
	var soon time.Time
	for _, a := range l.slots {
		if a == nil || l.yielded[a.key] {
			continue
		}
		due := a.began.Add(impatience)
		if a.urgent && at.Before(due) {
			if soon.IsZero() || due.Before(soon) {
				soon = due
			}
			continue
		}
		if a.urgent {
			if l.yielded == nil || len(l.yielded) > 1000 {
				l.yielded = make(map[string]bool)
			}
			l.yielded[a.key] = true
		}
		a.cancel(errYield)
		return time.Time{}
	}
	return soon
}

// begin sends a message that this process has claimed.
func (m *Manager) begin(ctx context.Context, d *document, s start) {
	c := d.Channels[s.channel]
	if c == nil {
		return
	}
	i := slices.IndexFunc(c.Waiting, func(w message) bool { return w.Seq == s.seq })
	if i < 0 || c.Waiting[i].Owner != m.life {
		return
	}
	n := m.notification(d, c, &c.Waiting[i])
	trying, cancel := context.WithCancelCause(ctx)
	limited, stop := context.WithTimeout(trying, rollout.NotifyTimeout)
	a := &attempt{key: n.Key, urgent: s.urgent, began: now(), cancel: cancel}
	m.mu.Lock()
	l := m.lanes[s.receiver]
	if l.slots[s.slot] != nil || m.inFlight(s.receiver, n.Key) {
		m.mu.Unlock()
		stop()
		cancel(nil)
		return
	}
	l.slots[s.slot] = a
	m.mu.Unlock()
	go func() {
		defer cancel(nil)
		defer stop()
		over, err := notify(limited, m.cfg.Receivers[s.receiver], n)
		if err != nil && !errors.Is(err, errAbandoned) && context.Cause(trying) == errYield {
			err = errYield
		}
		if err != nil && err != errYield {
			m.log.WarnContext(ctx, "alert not delivered; it is tried again, or given up", "receiver", s.receiver, "group", n.Group, "error", redact.Text(err.Error()))
		}
		m.mu.Lock()
		if ctx.Err() == nil || err == nil {
			m.outcomes[n.Key] = outcome{s.channel, s.seq, err}
		}
		if err != errYield {
			delete(l.yielded, n.Key)
		}
		if !isOver(over) {
			if !isOver(l.left) { // one is left alone already: this one keeps its slot
				m.mu.Unlock()
				m.poke()
				<-over
				m.mu.Lock()
			} else {
				l.left = over
			}
		}
		l.slots[s.slot] = nil
		m.mu.Unlock()
		m.poke()
	}()
}

// notify calls a notifier. over is closed when it has returned.
func notify(ctx context.Context, to Notifier, n Notification) (over <-chan struct{}, err error) {
	_, over, err = patient(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, to.Notify(ctx, n) })
	return over, err
}

// refreshes calls a Refresher every minute until ctx ends.
func (m *Manager) refreshes(ctx context.Context, name string, r Refresher) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	failing := false
	var over <-chan struct{} // closed when the newest call has returned
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		alerts := m.believed(name)
		if len(alerts) == 0 {
			continue
		}
		err := errStuck
		if isOver(over) {
			limited, cancel := context.WithTimeout(ctx, rollout.NotifyTimeout)
			_, over, err = patient(limited, func(ctx context.Context) (struct{}, error) { return struct{}{}, r.Refresh(ctx, alerts) })
			cancel()
		}
		if err != nil && ctx.Err() == nil && !failing {
			m.log.WarnContext(ctx, "alerts are not repeated to a receiver; retrying in a minute", "receiver", name, "error", err)
		}
		failing = err != nil
	}
}

// believed returns the alerts that a receiver was sent: what fires, and what has ended lately.
func (m *Manager) believed(receiver string) (alerts []Alert) {
	d := m.doc.Load()
	seen := make(map[string]bool)
	for _, c := range d.Channels {
		if c.Receiver != receiver {
			continue
		}
		for _, key := range append(slices.Collect(maps.Keys(c.Told)), slices.Collect(maps.Keys(c.Closed))...) {
			if e := d.Alerts[key]; e != nil && !seen[key] {
				seen[key] = true
				alerts = append(alerts, m.dress(e.Alert))
			}
		}
	}
	slices.SortFunc(alerts, before)
	return alerts
}
