package alert

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
)

// The bounds of the state.
const (
	maxAlerts    = 1_000  // that are kept; further ones are counted
	maxCounted   = 10_000 // that are known by a fingerprint
	maxDisplaced = 2_000  // whose ends are still to be sent
	maxGroups    = 1_000  // of one receiver; further alerts share a group
	maxWaiting   = 64     // messages of one receiver that are under way, and as many that are urgent
	maxRollouts  = 500    // whose events are followed
	maxState     = 240 << 10
	packFrom     = 64 << 10
	packedMark   = 'z' // before a state that is packed
	maxUnpacked  = 64 << 20
	keepEnded    = 24 * time.Hour
)

// document is the state that all processes share. Values behind pointers are never changed:
// they are replaced.
type document struct {
	Format int `json:"format"`
	// Epoch is random. With Seq, it distinguishes messages of this state from those that a
	// lost state has sent.
	Epoch string `json:"epoch,omitempty"`
	// Alerts are those that fire, and those that have ended in the last 24 h, by key.
	Alerts map[string]*entry `json:"alerts,omitempty"`
	// Counted are fingerprints of alerts beyond maxAlerts, by the key of the storm that
	// stands for them. Lost counts alerts, and texts, that were not kept at all.
	Counted map[string][]string `json:"counted,omitempty"`
	// Displaced are alerts that are not kept any more, and that receivers know, by key. They
	// have no texts.
	Displaced map[string]*Alert `json:"displaced,omitempty"`
	Lost      uint64            `json:"lost,omitempty"`
	// Channels say what each receiver knows, by receiver and group.
	Channels map[string]*channel `json:"channels,omitempty"`
	// Broken are receivers that have given a message up, and since when.
	Broken map[string]*broken `json:"broken,omitempty"`
	// Rollouts are the newest events that were followed, by rollout and alert.
	Rollouts map[rollout.ID]*followed `json:"rollouts,omitempty"`
	Silences map[string]*Silence      `json:"silences,omitempty"`
	// Sources say when each source of alerts was last heard.
	Sources map[string]time.Time `json:"sources,omitempty"`
	Tests   map[string]*test     `json:"tests,omitempty"`
	Seq     uint64               `json:"seq"`           // of the newest message
	Beat    time.Time            `json:"beat,omitzero"` // of the newest heartbeat

	rev rollout.Revision
}

// entry is an alert with its state.
type entry struct {
	Alert
	// Since is when there was news about the alert last: when it began, rose or became Unknown.
	Since time.Time `json:"since"`
	// Written is when its texts were stored.
	Written time.Time `json:"written"`
	// Until is when it ends by itself.
	Until time.Time `json:"until,omitzero"`
	// Sources are the rules that say that it fires. Empty for other alerts.
	Sources []string `json:"sources,omitempty"`
	// Hidden are the silences that have hidden it.
	Hidden []string `json:"hidden,omitempty"`
}

func (e *entry) firing() bool { return e.Ended.IsZero() }

// known is what a receiver knows of an alert.
type known struct {
	Severity Severity `json:"s"`
	Unknown  bool     `json:"u,omitempty"`
	Taken    bool     `json:"t,omitempty"` // it has taken a message about the alert
	// Lost means that the newest message was given up, at At. Losses counts messages given
	// up since one was taken, and Answers means that the receiver has taken one since At.
	Lost    bool      `json:"lost,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Losses  int       `json:"losses,omitempty"`
	Answers bool      `json:"answers,omitempty"`
}

// again returns when a receiver gets again what it did not take, where others are repeated
// after a time: at once if it answers again, and after a pause if it does not take this message,
// or if it is critical.
func (k known) again(repeat time.Duration) time.Time {
	pause := min(longestLost, firstLost<<min(max(k.Losses, 1)-1, 10))
	switch {
	case k.Answers && k.Losses <= 1:
		return k.At
	case k.Answers || k.Severity == Critical:
		return k.At.Add(pause)
	}
	return k.At.Add(max(repeat, pause))
}

// channel is one group of alerts for one receiver.
type channel struct {
	Receiver string           `json:"receiver"`
	Group    string           `json:"group"`
	Told     map[string]known `json:"told,omitempty"` // that the receiver believes to fire, by key
	Closed   map[string]int64 `json:"closed,omitempty"`
	Waiting  []message        `json:"waiting,omitempty"` // under way
	Last     time.Time        `json:"last,omitzero"`     // when the newest message was made
	// Of the route.
	Wait   time.Duration `json:"wait,omitempty"`
	Every  time.Duration `json:"every,omitempty"`
	Repeat time.Duration `json:"repeat,omitempty"`
}

// message is a notification that is under way. Its content does not change.
type message struct {
	Seq      uint64    `json:"seq"`
	At       time.Time `json:"at"`
	Refs     []ref     `json:"refs,omitempty"`
	More     int       `json:"more,omitempty"`
	Urgent   bool      `json:"urgent,omitempty"`
	Beat     bool      `json:"beat,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	Decided  bool      `json:"decided,omitempty"` // the receiver has decided Next
	Owner    string    `json:"owner,omitempty"`   // the process that sends it, until Until
	Until    time.Time `json:"until,omitzero"`
}

// ref is an alert in a message.
type ref struct {
	Key      string    `json:"key"`
	Severity Severity  `json:"s"`
	Unknown  bool      `json:"u,omitempty"`
	Ended    time.Time `json:"ended,omitzero"`
	Losses   int       `json:"losses,omitempty"` // of messages about its end
}

// broken is a receiver that does not take messages.
type broken struct {
	Since time.Time `json:"since"`
	Error string    `json:"error"`
	Count int       `json:"count"`
}

// followed is what was followed of a rollout.
type followed struct {
	Starter string            `json:"starter,omitempty"` // the person
	Seen    map[string]uint64 `json:"seen,omitempty"`    // number of the newest event, by name of the alert
	Started time.Time         `json:"started,omitzero"`
	At      time.Time         `json:"at"` // of the newest event
}

const stateFormat = 1

func newDocument() *document {
	return &document{
		Format: stateFormat, Epoch: strings.ToLower(rand.Text()), Alerts: make(map[string]*entry), Counted: make(map[string][]string), Displaced: make(map[string]*Alert), Channels: make(map[string]*channel),
		Broken: make(map[string]*broken), Rollouts: make(map[rollout.ID]*followed), Silences: make(map[string]*Silence),
		Sources: make(map[string]time.Time), Tests: make(map[string]*test),
	}
}

// clone returns a copy that may be changed.
func (d *document) clone() *document {
	c := *d
	c.Alerts, c.Counted, c.Channels, c.Broken = maps.Clone(d.Alerts), maps.Clone(d.Counted), maps.Clone(d.Channels), maps.Clone(d.Broken)
	c.Displaced = maps.Clone(d.Displaced)
	c.Rollouts, c.Silences, c.Sources, c.Tests = maps.Clone(d.Rollouts), maps.Clone(d.Silences), maps.Clone(d.Sources), maps.Clone(d.Tests)
	return &c
}

func (c *channel) clone() *channel {
	n := *c
	n.Told, n.Closed, n.Waiting = maps.Clone(c.Told), maps.Clone(c.Closed), slices.Clone(c.Waiting)
	if n.Told == nil {
		n.Told = make(map[string]known)
	}
	if n.Closed == nil {
		n.Closed = make(map[string]int64)
	}
	return &n
}

func channelKey(receiver, group string) string { return receiver + " " + group }

// parseDocument reads a stored state. What is not one is an error.
func parseDocument(value []byte) (*document, error) {
	if len(value) > 0 && value[0] == packedMark {
		r := flate.NewReader(bytes.NewReader(value[1:]))
		plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
		if err != nil {
			return nil, fmt.Errorf("alert: state: %w", err)
		}
		value = plain
	}
	d := newDocument()
	d.Epoch = "" // a state of an earlier version has none
	if err := json.Unmarshal(value, d); err != nil {
		return nil, fmt.Errorf("alert: state: %w", err)
	}
	if d.Format != stateFormat {
		return nil, fmt.Errorf("alert: state: unknown format (have %d, want %d)", d.Format, stateFormat)
	}
	if err := d.sound(); err != nil {
		return nil, err
	}
	fill(&d.Alerts)
	fill(&d.Counted)
	fill(&d.Displaced)
	fill(&d.Channels)
	fill(&d.Broken)
	fill(&d.Rollouts)
	fill(&d.Silences)
	fill(&d.Sources)
	fill(&d.Tests)
	return d, nil
}

// fill makes a map that was stored as null.
func fill[K comparable, V any](m *map[K]V) {
	if *m == nil {
		*m = make(map[K]V)
	}
}

// sound reports an error for a state that no manager writes.
func (d *document) sound() error {
	for key, e := range d.Alerts {
		if e == nil || !alertName.MatchString(e.Name) {
			return fmt.Errorf("alert: state: alert %.40q is damaged", key)
		}
	}
	for key, c := range d.Channels {
		if c == nil || channelKey(c.Receiver, c.Group) != key {
			return fmt.Errorf("alert: state: channel %.80q is damaged", key)
		}
	}
	for _, m := range []struct {
		name string
		null bool
	}{{"broken", anyNil(d.Broken)}, {"displaced", anyNil(d.Displaced)}, {"rollouts", anyNil(d.Rollouts)}, {"silences", anyNil(d.Silences)}, {"tests", anyNil(d.Tests)}} {
		if m.null {
			return fmt.Errorf("alert: state: %s are damaged", m.name)
		}
	}
	return nil
}

func anyNil[K comparable, V any](m map[K]*V) bool {
	for _, v := range m {
		if v == nil {
			return true
		}
	}
	return false
}

// encode returns d as it is stored. A state that is too large loses the details of its
// alerts and then, counted, its least alerts.
func (d *document) encode() ([]byte, error) {
	for step := 0; ; step++ {
		value, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("alert: %w", err)
		}
		if len(value) > packFrom {
			packed := bytes.NewBuffer([]byte{packedMark})
			w, err := flate.NewWriter(packed, flate.BestSpeed)
			if err != nil {
				return nil, fmt.Errorf("alert: %w", err)
			}
			if _, err := w.Write(value); err != nil {
				return nil, fmt.Errorf("alert: %w", err)
			}
			if err := w.Close(); err != nil {
				return nil, fmt.Errorf("alert: %w", err)
			}
			value = packed.Bytes()
		}
		if len(value) <= maxState {
			return value, nil
		}
		if !d.shrink(step) {
			return nil, &rollout.ValueSizeError{Key: "alert", Size: len(value)}
		}
	}
}

// shrink makes d smaller, and reports whether there was something to leave out.
func (d *document) shrink(step int) bool {
	keys := d.worst()
	if step == 0 {
		for _, key := range keys {
			e := *d.Alerts[key]
			if e.Detail != "" || len(e.Values) > 0 {
				e.Detail, e.Values = "", nil
				e.Summary = Cut(e.Summary, 300, size)
				d.Alerts[key] = &e
				d.Lost++
			}
		}
		return true
	}
	for _, key := range keys[len(keys)-len(keys)/4:] {
		d.countAlert(key)
	}
	if step > 5 && len(d.Displaced) > 0 {
		d.Lost += uint64(len(d.Displaced))
		clear(d.Displaced)
	}
	return len(keys) > 4 && step < 20
}

// worst returns the keys of all alerts: those that fire before those that have ended, and
// the worst first.
func (d *document) worst() []string {
	keys := slices.Collect(maps.Keys(d.Alerts))
	slices.SortFunc(keys, func(a, b string) int {
		if x, y := d.Alerts[a].firing(), d.Alerts[b].firing(); x != y {
			return flag(y) - flag(x)
		}
		return d.order(a, b)
	})
	return keys
}

// order compares two alerts, given by their keys: the worse one is first.
func (d *document) order(a, b string) int {
	x, y := d.Alerts[a], d.Alerts[b]
	if x.Severity != y.Severity {
		return int(y.Severity - x.Severity)
	}
	return cmp.Or(x.Began.Compare(y.Began), strings.Compare(a, b))
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stormName is the alert that stands for alerts beyond the bounds.
const stormName = "AlertStorm"

// storm returns the alert that stands for further alerts like a.
func storm(a *Alert) Alert {
	s := Alert{Name: stormName, Labels: map[string]string{"of": a.Name}, Severity: a.Severity}
	for _, name := range []string{"target", "rollout", "tenant"} {
		if v := a.Labels[name]; v != "" {
			s.Labels[name] = v
		}
	}
	return s
}

// fingerprint is what is kept of an alert that is only counted.
func fingerprint(key string) string { return key[:min(len(key), 12)] }

// countAlert takes an alert out, and counts it if it fires.
func (d *document) countAlert(key string) {
	e := d.Alerts[key]
	delete(d.Alerts, key)
	if e == nil {
		return
	}
	if d.mentioned(key) {
		if len(d.Displaced) < maxDisplaced {
			d.Displaced[key] = &Alert{Name: e.Name, Labels: e.Labels, Severity: e.Severity, Began: e.Began, Ended: e.Ended}
		} else {
			d.Lost++
		}
	}
	if e.firing() && e.Name != stormName {
		d.count(key, e.Alert, e.Since)
	}
}

// alert returns an alert that fires, has ended lately, or is displaced, or nil.
func (d *document) alert(key string) *Alert {
	if e := d.Alerts[key]; e != nil {
		return &e.Alert
	}
	return d.Displaced[key]
}

// counted reports whether an alert fires that is only counted.
func (d *document) counted(key string) bool {
	print := fingerprint(key)
	for _, list := range d.Counted {
		if _, there := slices.BinarySearch(list, print); there {
			return true
		}
	}
	return false
}

// mentioned reports whether a receiver knows an alert, or is about to.
func (d *document) mentioned(key string) bool {
	if d.known(key) {
		return true
	}
	for _, c := range d.Channels {
		for _, w := range c.Waiting {
			if slices.ContainsFunc(w.Refs, func(r ref) bool { return r.Key == key }) {
				return true
			}
		}
	}
	return false
}

// count counts an alert that is not kept. It reports whether something has changed.
func (d *document) count(key string, a Alert, at time.Time) bool {
	s := storm(&a)
	of, print := s.Key(), fingerprint(key)
	i, there := slices.BinarySearch(d.Counted[of], print)
	if there {
		return false
	}
	total := 0
	for _, list := range d.Counted {
		total += len(list)
	}
	if total >= maxCounted {
		d.Lost++
		return true
	}
	d.Counted[of] = slices.Insert(slices.Clone(d.Counted[of]), i, print)
	e, there := d.Alerts[of]
	if !there || !e.firing() || a.Severity > e.Severity {
		if there && e.firing() {
			s.Began = e.Began
		} else {
			s.Began = at
		}
		e = &entry{Alert: s, Since: at, Written: at}
	}
	d.Alerts[of] = e.counts(len(d.Counted[of]), a.Name)
	return true
}

// counts returns e with a number of alerts that it stands for.
func (e *entry) counts(n int, name string) *entry {
	next := *e
	next.Summary = fmt.Sprintf("%d further alerts %s fire and are only counted", n, name)
	next.Values = map[string]string{"count": strconv.Itoa(n)}
	return &next
}

// uncount forgets an alert that was only counted. It reports whether there was one.
func (d *document) uncount(key string, at time.Time) bool {
	print := fingerprint(key)
	for of, list := range d.Counted {
		i, there := slices.BinarySearch(list, print)
		if !there {
			continue
		}
		list = slices.Delete(slices.Clone(list), i, i+1)
		d.Counted[of] = list
		e := d.Alerts[of]
		if len(list) == 0 {
			delete(d.Counted, of)
		}
		if e != nil && e.firing() {
			if len(list) == 0 {
				next := *e
				next.Ended = at
				d.Alerts[of] = &next
			} else {
				d.Alerts[of] = e.counts(len(list), e.Labels["of"])
			}
		}
		return true
	}
	return false
}

// trim forgets what is too old and what exceeds the bounds.
func (d *document) trim(at time.Time) {
	told := make(map[string]bool)
	for _, c := range d.Channels {
		for key := range c.Told {
			told[key] = true
		}
		for _, m := range c.Waiting {
			for _, r := range m.Refs {
				told[r.Key] = true
			}
		}
	}
	for key, e := range d.Alerts {
		if age := at.Sub(e.Ended); !e.firing() && (age > keepEnded && !told[key] || age > 7*keepEnded) {
			delete(d.Alerts, key)
		}
	}
	for key := range d.Displaced {
		if d.Alerts[key] != nil || !told[key] {
			delete(d.Displaced, key)
		}
	}
	if over := len(d.Alerts) - maxAlerts; over > 0 {
		keys := d.worst()
		for _, key := range keys[len(keys)-over:] {
			d.countAlert(key)
		}
	}
	for id, s := range d.Silences {
		if at.Sub(s.To) > keepEnded {
			delete(d.Silences, id)
		}
	}
	for source, heard := range d.Sources {
		if at.Sub(heard) > 7*keepEnded {
			delete(d.Sources, source)
		}
	}
	for key, t := range d.Tests {
		if at.Sub(t.Made) > 7*keepEnded {
			delete(d.Tests, key)
		}
	}
	for key, c := range d.Channels {
		if len(c.Told) == 0 && len(c.Waiting) == 0 && len(c.Closed) == 0 && at.Sub(c.Last) > max(c.Every, time.Hour) {
			delete(d.Channels, key)
		}
	}
	for len(d.Rollouts) > maxRollouts {
		oldest := rollout.ID("")
		for id, f := range d.Rollouts {
			if oldest == "" || f.At.Before(d.Rollouts[oldest].At) || f.At.Equal(d.Rollouts[oldest].At) && id < oldest {
				oldest = id
			}
		}
		delete(d.Rollouts, oldest)
	}
}
