package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
)

// SecurityKind is a kind of security events. It is plain data.
type SecurityKind struct {
	// Kind is its name; its alert is called "Security" and this.
	Kind     string
	Severity Severity
	// Count events of one source within Within make an alert, or Total of all sources.
	// Total 0 means that all are not added up.
	Count, Total int
	Within       time.Duration
	// Class is the class of the OCSF schema: 2004 detection finding, 3002 authentication,
	// 3003 authorize session, 6003 API activity.
	Class int
	// Stays means that the alert fires until a person clears it. Others end an hour after
	// the last event.
	Stays bool
	// About says what it is.
	About string
}

const securityPrefix = "Security"

var securityKinds = []SecurityKind{
	{"RefusedBurst", Warning, 10, 50, 5 * time.Minute, 3003, false, "an engine refuses one actor 10 times, or all together 50 times, in 5 min"},
	{"FactorBurst", Warning, 5, 0, 5 * time.Minute, 3002, false, "5 wrong codes of one user in 5 min"},
	{"FactorPaused", Warning, 1, 0, time.Minute, 3002, false, "the second factor of a user is paused"},
	{"SignInNew", Info, 1, 0, time.Minute, 3002, false, "the first sign-in from an address block or a device"},
	{"RightsChanged", Warning, 1, 0, time.Minute, 6003, false, "the digest of the access policy has changed"},
	{"PolicyUnreadable", Error, 1, 0, time.Minute, 6003, false, "the access policy cannot be read; the last good one stays"},
	{"SessionRevoked", Info, 1, 0, time.Minute, 3002, false, "sessions of a person were ended"},
	{"PasskeyCloned", Critical, 1, 0, time.Minute, 3002, true, "the counter of a passkey has gone back"},
	{"BreakGlass", Error, 1, 0, time.Minute, 6003, false, "an action with the right to configure, or a waiver on a candidate that serves"},
	{"TokenOld", Warning, 1, 0, time.Minute, 3002, false, "a bearer token is unused for 30 d, or older than 90 d"},
	{"CertificateExpiring", Warning, 1, 0, time.Minute, 2004, false, "a certificate ends within 21, 7 or 1 d"},
	{"KeyOld", Warning, 1, 0, time.Minute, 2004, false, "a signing key is older than it should be"},
	{"AuditTampered", Critical, 1, 0, time.Minute, 2004, true, "an entry of an audit trail or ledger does not verify"},
	{"CheckpointForked", Critical, 1, 0, time.Minute, 2004, true, "two signed checkpoints contradict each other"},
	{"AnchorBehind", Warning, 1, 0, time.Minute, 2004, false, "an anchor has not received a checkpoint in time"},
	{"ErasureOverdue", Error, 1, 0, time.Minute, 2004, false, "personal data that were to be erased are still there"},
	{"PlantedFound", Critical, 1, 0, time.Minute, 2004, true, "a planted secret has appeared in a log, a sink or an answer"},
	{"CrossTenantHit", Critical, 1, 0, time.Minute, 2004, true, "a cache has given one tenant the answer of another"},
	{"InjectionBurst", Warning, 10, 50, 5 * time.Minute, 2004, false, "a guardrail finds 10 prompt injections of one tenant, or 50 of all, in 5 min"},
	{"ClockJump", Warning, 1, 0, time.Minute, 2004, false, "the wall clock has jumped by more than 2 s"},
}

// SecurityKinds returns the kinds of security events. It returns a new slice each time.
func SecurityKinds() []SecurityKind { return slices.Clone(securityKinds) }

// SecurityEvent is something that concerns the security of the service.
type SecurityEvent struct {
	// Kind is one of [SecurityKinds].
	Kind string
	// Source is who or what it is about, such as a person, a tenant or the name of a
	// certificate. Events of one source are counted together.
	Source string
	// Target and Rollout are set if it is about one.
	Target  string
	Rollout rollout.ID
	// Summary is one line. Severity is more than usual, or zero for the one of its kind.
	Summary  string
	Severity Severity
}

const (
	maxBursts     = 1000 // sources that are counted at a time
	securityStays = time.Hour
	otherSources  = "others"
)

// bursts counts security events.
type bursts struct {
	mu    sync.Mutex
	by    map[string]*burst
	dirty bool
	lost  uint64
}

// burst counts the events of one kind and source.
type burst struct {
	kind  SecurityKind
	event SecurityEvent // the last one
	times []time.Time   // the newest, up to the number that makes an alert
	count int           // since the alert began to fire, or the first event
	first time.Time
	last  time.Time
	fires bool
	dirty bool
}

// Security counts an event, and has an alert fire when there are enough of its kind: one with
// a count, however many there are. It does not block, and is for hooks of other packages. Of
// more than 1,000 sources at a time the rest is counted together. What is counted is stored
// within a second while [Manager.Run] runs, and lost in a crash before. The error is a
// [*checks.InvalidError] for an unknown kind.
func (m *Manager) Security(e SecurityEvent) error {
	i := slices.IndexFunc(securityKinds, func(k SecurityKind) bool { return k.Kind == e.Kind })
	if i < 0 || e.Severity < Info || e.Severity > Critical {
		return &checks.InvalidError{Package: "alert", Field: "SecurityEvent.Kind", Value: fmt.Sprintf("%.40q", e.Kind), Want: "one of SecurityKinds, and a known severity"}
	}
	kind := securityKinds[i]
	e.Source, e.Target, e.Rollout = Cut(visible.Line(e.Source), 200, size), Cut(visible.Line(e.Target), 64, size), rollout.ID(Cut(visible.Line(string(e.Rollout)), 128, size))
	e.Summary = Cut(visible.Line(e.Summary), 1000, size)
	b := &m.bursts
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(kind, kind.Count, e)
	if kind.Total > 0 {
		e.Source = "all"
		b.add(kind, kind.Total, e)
	}
	if b.dirty {
		m.poke()
	}
	return nil
}

func (b *bursts) add(kind SecurityKind, enough int, e SecurityEvent) {
	if b.by == nil {
		b.by = make(map[string]*burst)
	}
	name := kind.Kind + " " + e.Source
	n := b.by[name]
	if n == nil && len(b.by) >= maxBursts {
		e.Source = otherSources
		name = kind.Kind + " " + e.Source
		n = b.by[name]
		b.lost++
	}
	at := now()
	if n == nil {
		n = &burst{kind: kind, first: at}
		b.by[name] = n
	}
	n.event, n.last = e, at
	n.count++
	n.times = append(n.times, at)
	if len(n.times) > enough {
		n.times = n.times[1:]
	}
	if n.fires || len(n.times) == enough && at.Sub(n.times[0]) <= kind.Within {
		n.fires, n.dirty, b.dirty = true, true, true
	}
}

// take returns alerts about what has been counted, and forgets what is over.
func (b *bursts) take(at time.Time) (alerts []Alert, kinds []SecurityKind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(b.by)) {
		n := b.by[name]
		if n.dirty {
			n.dirty = false
			alerts, kinds = append(alerts, n.alert()), append(kinds, n.kind)
		}
		if at.Sub(n.last) > max(n.kind.Within, securityStays*time.Duration(flag(n.fires))) {
			delete(b.by, name)
		}
	}
	b.dirty = false
	return alerts, kinds
}

// again has alerts taken once more, since they could not be stored.
func (b *bursts) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.by {
		n.dirty = n.fires
	}
	b.dirty = true
}

func (n *burst) alert() Alert {
	e := n.event
	a := Alert{Name: securityPrefix + n.kind.Kind, Labels: map[string]string{"ocsf_class": strconv.Itoa(n.kind.Class)}, Severity: max(n.kind.Severity, e.Severity), Began: n.first,
		Values: map[string]string{"count": strconv.Itoa(n.count)}}
	for name, value := range map[string]string{"source": e.Source, "target": cmp.Or(e.Target, e.Rollout.Target()), "rollout": string(e.Rollout)} {
		if value != "" {
			a.Labels[name] = value
		}
	}
	a.Summary = fmt.Sprintf("%s: %s (%d since %s)", n.kind.Kind, cmp.Or(e.Summary, n.kind.About), n.count, n.first.Format("15:04 MST"))
	return a
}

// secure stores what was counted.
func (m *Manager) secure(ctx context.Context) error {
	m.bursts.mu.Lock()
	dirty := m.bursts.dirty
	m.bursts.mu.Unlock()
	if !dirty {
		return nil
	}
	alerts, kinds := m.bursts.take(now())
	var bad []error
	err := m.update(ctx, false, func(d *document) (changed bool) {
		bad = nil
		at := now()
		for i, a := range alerts {
			a, err := a.normal()
			if err != nil {
				bad = append(bad, err)
				continue
			}
			changed = d.fire(a.Key(), a, at, "", func(e *entry) {
				if !kinds[i].Stays {
					e.Until = at.Add(securityStays)
				}
			}) || changed
		}
		return changed
	})
	if err != nil {
		m.bursts.again()
	}
	return errors.Join(append(bad, err)...)
}

// Refused counts what an engine refuses, for [rollout.Config.Refused], as security events of
// kind RefusedBurst. Refusals for the state of a rollout and for conflicts between people are
// left out. It does not block.
func (m *Manager) Refused(_ context.Context, r rollout.Refusal) {
	switch r.Rule {
	case "authorize", "demands":
	default:
		return
	}
	_ = m.Security(SecurityEvent{Kind: "RefusedBurst", Source: quorum.Person(r.By.Subject, r.By.Name), Target: r.Target, // the kind is known
		Summary: fmt.Sprintf("%s is refused %s: %s", r.By.Name, strings.TrimSpace(string(r.Action)+" "+r.Target), r.Reason)})
}
