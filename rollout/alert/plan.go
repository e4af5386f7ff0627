package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	criticalEvery = time.Second      // the least time between two messages of a group about critical alerts
	shownAlerts   = 10               // in a message
	firstLost     = 30 * time.Second // before a critical alert is sent again that a receiver has refused
	longestLost   = 5 * time.Minute  // with doubling pauses
	settle        = 2 * time.Minute  // after a start, in which Unknown is not sent
	closedFor     = 15 * time.Minute // that ended alerts are repeated to a Refresher
	beatEvery     = 24 * time.Hour
	othersGroup   = "others"
)

// planner makes messages of a state at a time.
type planner struct {
	m       *Manager
	d       *document
	at      time.Time
	next    time.Time // when there may be more to do
	changed bool
	hidden  map[string]bool
	keys    []string            // of alerts that fire, the worst first
	groups  map[string]int      // of each receiver
	waiting map[string]int      // messages of each receiver that are not urgent
	urgent  map[string]int      // and that are
	toldIn  map[string]string   // the channel in which a receiver was notified, by channelKey of receiver and alert
	members map[string][]string // alerts of each channel, the worst first
}

// soon notes a time at which there is something to do.
func (p *planner) soon(at time.Time) {
	if at.After(p.at) && (p.next.IsZero() || at.Before(p.next)) {
		p.next = at
	}
}

// plan changes d to what is due at a time: alerts end by themselves, and news become
// messages. It returns whether d has changed, and when to plan again.
func (m *Manager) plan(d *document, at time.Time) (changed bool, next time.Time, ended []Silence) {
	p := &planner{m: m, d: d, at: at, groups: make(map[string]int), waiting: make(map[string]int), urgent: make(map[string]int),
		toldIn: make(map[string]string), members: make(map[string][]string)}
	p.advance()
	ended = d.digest(at)
	hidden, noted := d.hide(at)
	p.hidden = hidden
	p.changed = p.changed || noted || len(ended) > 0
	for name, c := range d.Channels {
		p.groups[c.Receiver]++
		for _, w := range c.Waiting {
			p.count(c.Receiver, w.Urgent)
		}
		for key := range c.Told {
			p.toldIn[channelKey(c.Receiver, key)] = name
		}
	}
	for key, e := range d.Alerts {
		if e.firing() {
			p.keys = append(p.keys, key)
		}
	}
	slices.SortFunc(p.keys, d.order)
	p.assign()
	for _, key := range slices.Sorted(maps.Keys(d.Channels)) {
		p.channel(key)
	}
	p.heartbeat()
	for _, s := range d.Silences {
		p.soon(s.From)
		p.soon(s.To)
		if len(s.Windows) > 0 {
			p.soon(at.Add(time.Minute))
		}
	}
	return p.changed, p.next, ended
}

// advance ends alerts whose time has come.
func (p *planner) advance() {
	for key, e := range p.d.Alerts {
		if !e.firing() {
			continue
		}
		if !e.Until.IsZero() && !p.at.Before(e.Until) {
			p.d.end(key, p.at)
			p.changed = true
			continue
		}
		p.soon(e.Until)
	}
	for name, c := range p.d.Channels { // of receivers that no process has any more
		if p.m.cfg.Receivers[c.Receiver] == nil && p.at.Sub(c.Last) > keepEnded {
			delete(p.d.Channels, name)
			p.changed = true
		}
	}
}

// count counts a message under way.
func (p *planner) count(receiver string, urgent bool) {
	if urgent {
		p.urgent[receiver]++
	} else {
		p.waiting[receiver]++
	}
}

// assign finds the channels of each alert that fires and is not silenced.
func (p *planner) assign() {
	for _, key := range p.keys {
		if p.hidden[key] {
			continue
		}
		e := p.d.Alerts[key]
		for i := range p.m.routes {
			r := &p.m.routes[i]
			if e.Severity < r.Min || !matches(r.Match, &e.Alert) {
				continue
			}
			for _, to := range r.To {
				if e.Name == DeadLetter && e.Labels["receiver"] == to && len(p.m.cfg.Receivers) > 1 {
					continue // it does not take messages
				}
				p.place(key, e, to, r)
			}
			if !r.Continue {
				break
			}
		}
	}
}

// place puts an alert into a channel, which is made if it does not exist.
func (p *planner) place(key string, e *entry, to string, r *Route) {
	group := r.group(&e.Alert)
	name := channelKey(to, group)
	if told, there := p.toldIn[channelKey(to, key)]; there {
		name = told // it may be another group, since the routes have changed
		group = p.d.Channels[told].Group
	} else if p.d.Channels[name] == nil && p.groups[to] >= maxGroups {
		group = othersGroup
		name = channelKey(to, group)
	}
	if in := p.members[name]; len(in) > 0 && in[len(in)-1] == key {
		return // by an earlier route
	}
	c := p.d.Channels[name]
	if c == nil {
		c = &channel{Receiver: to, Group: group}
		p.groups[to]++
	}
	if c.Wait != r.Wait || c.Every != r.Every || c.Repeat != r.Repeat {
		c = c.clone()
		c.Wait, c.Every, c.Repeat = r.Wait, r.Every, r.Repeat
	}
	p.d.Channels[name] = c
	p.members[name] = append(p.members[name], key)
}

// news is what the receiver of a channel does not know yet.
type news struct {
	firing, ended []string
	urgent        bool
	due           time.Time // of what is not urgent
	urgentDue     time.Time
}

// isNews reports whether an alert that fires is news to a receiver that knows k.
func (p *planner) isNews(c *channel, e *entry, k known, told bool) bool {
	switch {
	case !told:
		return true
	case e.Severity > k.Severity:
		return true
	case k.Lost:
		again := k.again(c.Repeat)
		p.soon(again)
		return !p.at.Before(again)
	case e.Unknown != k.Unknown:
		return !e.Unknown || p.at.Sub(p.m.began) >= settle
	}
	return false
}

// channel makes the message of a channel, if one is due.
func (p *planner) channel(name string) {
	c := p.d.Channels[name]
	if c.Receiver == "" || p.m.cfg.Receivers[c.Receiver] == nil {
		return
	}
	n := p.newsOf(c, name)
	repeat := p.repeats(c, name)
	for key, at := range c.Closed {
		if p.at.Unix()-at > int64(closedFor/time.Second) {
			c = c.clone()
			delete(c.Closed, key)
			p.d.Channels[name], p.changed = c, true
		}
	}
	switch {
	case n.urgent && !p.at.Before(n.urgentDue) && p.urgent[c.Receiver] < maxWaiting:
		p.make(name, n, true)
	case p.waiting[c.Receiver] >= maxWaiting:
		// an attempt that ends makes room
	case len(c.Waiting) > 0:
	case len(n.firing)+len(n.ended) > 0 && !p.at.Before(n.due):
		p.make(name, n, false)
	case repeat != nil && len(n.firing)+len(n.ended) == 0:
		p.make(name, news{firing: repeat}, false)
	default:
		p.soon(n.due)
	}
	if n.urgent {
		p.soon(n.urgentDue)
	}
}

// newsOf returns the news of a channel.
func (p *planner) newsOf(c *channel, name string) news {
	busy := make(map[string]bool) // alerts of messages under way: their order must not change
	for _, w := range c.Waiting {
		for _, r := range w.Refs {
			busy[r.Key] = true
		}
	}
	var n news
	since := func(at time.Time) {
		if n.due.IsZero() || at.Before(n.due) {
			n.due = at
		}
	}
	for _, key := range p.members[name] {
		e := p.d.Alerts[key]
		if busy[key] {
			if _, told := c.Told[key]; !told && e.Severity == Critical {
				p.hurry(name, key) // it waits for the message that it had ended
			}
			continue
		}
		k, told := c.Told[key]
		if !p.isNews(c, e, k, told) {
			if told && e.Unknown != k.Unknown {
				p.soon(p.m.began.Add(settle))
			}
			continue
		}
		n.firing = append(n.firing, key)
		if e.Severity == Critical && (!told || k.Severity < Critical || k.Lost) {
			n.urgent = true
		}
		since(e.Since.Add(c.Wait))
	}
	for _, key := range slices.Sorted(maps.Keys(c.Told)) {
		if e := p.d.Alerts[key]; !busy[key] && (e == nil && !p.d.counted(key) || e != nil && !e.firing()) {
			if k := c.Told[key]; k.Lost && k.Taken && p.at.Before(k.again(c.Repeat)) {
				p.soon(k.again(c.Repeat))
				continue
			}
			n.ended = append(n.ended, key)
			if e != nil {
				since(e.Ended.Add(c.Wait))
			} else {
				since(p.at)
			}
		}
	}
	if next := c.Last.Add(c.Every); !c.Last.IsZero() && next.After(n.due) {
		n.due = next
	}
	n.urgentDue = c.Last.Add(criticalEvery)
	return n
}

// hurry has the messages about an alert sent before others.
func (p *planner) hurry(name, key string) {
	c := p.d.Channels[name]
	for i, w := range c.Waiting {
		if !w.Urgent && slices.ContainsFunc(w.Refs, func(r ref) bool { return r.Key == key }) {
			c = c.clone()
			c.Waiting[i].Urgent = true
			if !w.Decided {
				c.Waiting[i].Next = minTime(w.Next, p.at)
			}
			p.d.Channels[name], p.changed = c, true
		}
	}
}

// repeats returns the alerts of a channel if they must be repeated.
func (p *planner) repeats(c *channel, name string) (keys []string) {
	worth := false
	for _, key := range p.members[name] {
		if _, told := c.Told[key]; told {
			keys = append(keys, key)
			worth = worth || p.d.Alerts[key].Severity >= Warning
		}
	}
	if !worth || c.Repeat <= 0 {
		return nil
	}
	if due := c.Last.Add(c.Repeat); p.at.Before(due) {
		p.soon(due)
		return nil
	}
	return keys
}

// make makes a message of news. What does not fit goes into the next ones.
func (p *planner) make(name string, n news, urgent bool) {
	c := p.d.Channels[name].clone()
	p.d.Seq++
	w := message{Seq: p.d.Seq, At: p.at, Urgent: urgent, Next: p.at}
	room := shownAlerts
	if !urgent { // ends do not wait without limit
		room = max(shownAlerts-len(n.ended), shownAlerts/2)
	}
	for i, key := range n.firing {
		e := p.d.Alerts[key]
		if e.Name == stormName {
			var count int
			_, _ = fmt.Sscan(e.Values["count"], &count) // 0 if it is damaged
			w.More += count
		}
		if i >= room {
			w.More++
			continue
		}
		w.Refs = append(w.Refs, ref{Key: key, Severity: e.Severity, Unknown: e.Unknown})
		old := c.Told[key]
		c.Told[key] = known{Severity: e.Severity, Unknown: e.Unknown, Taken: old.Taken, Losses: old.Losses}
	}
	for _, key := range n.ended {
		k := c.Told[key]
		a := p.d.alert(key)
		if a == nil || k.Lost && !k.Taken { // the receiver does not know it, or no receiver does
			delete(c.Told, key)
			continue
		}
		if len(w.Refs) == shownAlerts {
			w.More++
			continue
		}
		ended := a.Ended
		if ended.IsZero() {
			ended = p.at
		}
		w.Refs = append(w.Refs, ref{Key: key, Severity: a.Severity, Ended: ended, Losses: k.Losses})
		c.Closed[key] = p.at.Unix()
		delete(c.Told, key)
	}
	if _, refreshed := p.m.cfg.Receivers[c.Receiver].(Refresher); !refreshed {
		c.Closed = nil
	}
	p.changed = true
	if len(w.Refs) > 0 {
		c.Waiting = append(c.Waiting, w)
		c.Last = p.at
		p.count(c.Receiver, urgent)
	}
	p.d.Channels[name] = c
}

// heartbeat makes the daily message of Config.Heartbeat.
func (p *planner) heartbeat() {
	to := p.m.cfg.Heartbeat
	if to == "" {
		return
	}
	if due := p.d.Beat.Add(beatEvery); p.at.Before(due) {
		p.soon(due)
		return
	}
	name := channelKey(to, "heartbeat")
	c := p.d.Channels[name]
	if c == nil {
		c = &channel{Receiver: to, Group: "heartbeat"}
	}
	c = c.clone()
	p.d.Seq++
	c.Waiting = []message{{Seq: p.d.Seq, At: p.at, Next: p.at, Beat: true}} // an older one is of no use
	p.d.Channels[name], p.d.Beat, p.changed = c, p.at, true
}

// messageKey identifies a message among all of a store.
func (m *Manager) messageKey(d *document, c *channel, seq uint64) string {
	of := fmt.Appendf(nil, "%q %q %q %d", m.key, c.Receiver, c.Group, seq)
	if d.Epoch != "" {
		of = fmt.Appendf(of, " %q", d.Epoch)
	}
	sum := sha256.Sum256(of)
	return hex.EncodeToString(sum[:16])
}

// notification returns a message as it is sent.
func (m *Manager) notification(d *document, c *channel, w *message) Notification {
	n := Notification{Key: m.messageKey(d, c, w.Seq), Group: c.Group, More: w.More, At: w.At}
	if w.Beat {
		n.Alerts = []Alert{m.dress(Alert{Name: "Heartbeat", Severity: Info, Began: w.At, Summary: "alerts arrive; if this daily message is missing, they do not"})}
		return n
	}
	n.Resolved = true
	for _, r := range w.Refs {
		of := d.alert(r.Key)
		if of == nil {
			continue
		}
		a := m.dress(*of)
		a.Severity, a.Unknown, a.Ended = r.Severity, r.Unknown, r.Ended
		n.Alerts = append(n.Alerts, a)
		n.Resolved = n.Resolved && !a.Ended.IsZero()
	}
	slices.SortStableFunc(n.Alerts, func(a, b Alert) int {
		if x, y := flag(!a.Ended.IsZero()), flag(!b.Ended.IsZero()); x != y {
			return x - y
		}
		return before(a, b)
	})
	return n
}
