package alert

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

// Severity is how much an [Alert] asks of people. Its text is "info", "warning", "error" or
// "critical".
type Severity int

// The severities. A receiver should wake people for Critical alone.
const (
	Info     Severity = iota // something has happened
	Warning                  // look at it within the day
	Error                    // something has failed, and nothing is at risk now
	Critical                 // act now
)

var severityNames = []string{"info", "warning", "error", "critical"}

// String returns the text of s.
func (s Severity) String() string {
	if s < Info || s > Critical {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return severityNames[s]
}

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error is a
// [*checks.InvalidError].
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames, string(text))
	if i < 0 {
		return &checks.InvalidError{Package: "alert", Field: "Severity", Value: fmt.Sprintf("%.20q", text), Want: "info, warning, error or critical"}
	}
	*s = Severity(i)
	return nil
}

// Alert is something that people should know. It is plain data.
type Alert struct {
	// Name and Labels are the identity of the alert. Name is a letter and up to 63 letters,
	// digits and '_', such as "RolloutHeld". Labels have no value that changes while the
	// alert fires. There are up to 32, with names as in Prometheus and values of up to 256
	// bytes that show. Customary names are target, rollout, check, arm and tenant.
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels,omitempty"`
	Severity Severity          `json:"severity"`
	// Summary is one line: what, since when, does it go on by itself, what can a person do.
	// Detail has the numbers. What exceeds 4 KiB and 8 KiB is cut, and characters that do
	// not show are replaced.
	Summary string `json:"summary,omitempty"`
	Detail  string `json:"detail,omitempty"`
	// Values are numbers that change while the alert fires, up to 32 with 256 bytes each.
	Values map[string]string `json:"values,omitempty"`
	// Began is when the alert began to fire. Set fills it in. Ended is zero while it fires.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Runbook says what to do, and URL is the live page. Both are filled in from [Config]
	// if they are empty.
	Runbook string `json:"runbook,omitempty"`
	URL     string `json:"url,omitempty"`
	// Unknown means that the source does not say any more whether the alert holds. The alert
	// goes on to fire.
	Unknown bool `json:"unknown,omitempty"`
}

// Key returns 32 hexadecimal digits that depend on Name and Labels. Receivers use it for
// deduplication.
func (a Alert) Key() string {
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	part(a.Name)
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		part(name)
		part(a.Labels[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// before orders alerts by severity, age and key.
func before(a, b Alert) int {
	if a.Severity != b.Severity {
		return int(b.Severity - a.Severity)
	}
	if c := a.Began.Compare(b.Began); c != 0 {
		return c
	}
	return strings.Compare(a.Key(), b.Key())
}

// The bounds of an alert.
const (
	maxLabels  = 32
	maxLabel   = 256
	maxSummary = 4 << 10
	maxDetail  = 8 << 10
	maxURL     = 2 << 10
)

var (
	alertName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
	labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)
)

// normal returns a with texts that are bounded and show, or an error about its identity.
func (a Alert) normal() (Alert, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "alert", Field: "Alert." + field, Value: value, Want: want})
	}
	if !alertName.MatchString(a.Name) {
		bad("Name", fmt.Sprintf("%.80q", a.Name), "a letter and up to 63 letters, digits and '_'")
	}
	if len(a.Labels) > maxLabels {
		bad("Labels", fmt.Sprintf("%d labels", len(a.Labels)), fmt.Sprintf("at most %d", maxLabels))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if !labelName.MatchString(name) || name == "alertname" || name == "severity" {
			bad("Labels", fmt.Sprintf("%.80q", name), "names of up to 64 letters, digits and '_', without alertname and severity")
			break
		}
		if v := a.Labels[name]; len(v) > maxLabel || visible.Line(v) != v {
			bad("Labels["+name+"]", fmt.Sprintf("%.80q", v), fmt.Sprintf("at most %d bytes that show", maxLabel))
			break
		}
	}
	if a.Severity < Info || a.Severity > Critical {
		bad("Severity", int(a.Severity), "Info, Warning, Error or Critical")
	}
	if err := errors.Join(errs...); err != nil {
		return Alert{}, err
	}
	a.Labels = maps.Clone(a.Labels)
	a.Summary = Cut(visible.Line(a.Summary), maxSummary, size)
	lines := strings.Split(Cut(a.Detail, maxDetail, size), "\n")
	for i, line := range lines {
		lines[i] = visible.Line(line)
	}
	a.Detail = Cut(strings.Join(lines, "\n"), maxDetail, size)
	a.Values = shown(a.Values)
	a.Runbook, a.URL = link(a.Runbook), link(a.URL)
	a.Began, a.Ended = a.Began.UTC().Round(0), time.Time{}
	return a, nil
}

// shown returns values that are bounded and show.
func shown(values map[string]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	out := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(out) == maxLabels {
			break
		}
		out[Cut(visible.Line(name), 64, size)] = Cut(visible.Line(values[name]), maxLabel, size)
	}
	return out
}

// link returns a link of http or https, or "".
func link(s string) string {
	if len(s) > maxURL || visible.Line(s) != s || !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
		return ""
	}
	return s
}

// Cut returns s with a size of at most n, where size measures a text, such as
// [utf8.RuneCountInString] or, for bytes, a function that returns len(s). A text that is cut
// ends at a rune, with "… (+17)" if 17 runes were left out. size must not shrink if a text
// grows.
func Cut(s string, n int, size func(string) int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if size(s) <= n {
		return s
	}
	total := utf8.RuneCountInString(s)
	starts := make([]int, 0, total) // where each rune begins
	for i := range s {
		starts = append(starts, i)
	}
	fit := func(keep int) string { return fmt.Sprintf("%s… (+%d)", s[:starts[keep]], total-keep) }
	low, high := 0, total-1
	for low < high {
		if mid := (low + high + 1) / 2; size(fit(mid)) <= n {
			low = mid
		} else {
			high = mid - 1
		}
	}
	if text := fit(low); size(text) <= n {
		return text
	}
	return ""
}

// Notifier sends messages to one receiver, such as a chat room or a pager. Package notify has some.
//
// A notification may come again with the same [Notification.Key], such as after a crash.
// An error that [rollout.Permanent] has marked makes it a dead letter; after any other one it
// is offered again, up to [rollout.MaxAttempts] times. What a dead letter has said is sent again as
// soon as the receiver takes any message, when it becomes worse, and, while a Critical alert
// fires, after 30 s to 5 min. An error with a method RetryAfter()
// time.Duration decides when. One with a method Refused() []string says that only the alerts with
// these keys were not taken. ctx ends after 10 s, or earlier if something urgent waits.
// Notify may be called twice at a time, and returns soon after ctx ends. A call that does not
// is left alone after a second: it has failed, there is a [DeadLetter], and others go on. While
// one is left alone, further ones keep their places.
type Notifier interface {
	Notify(ctx context.Context, n Notification) error
}

// NotifierFunc is a function as a [Notifier].
type NotifierFunc func(ctx context.Context, n Notification) error

// Notify implements [Notifier].
func (f NotifierFunc) Notify(ctx context.Context, n Notification) error { return f(ctx, n) }

// Refresher is an optional interface for a [Notifier] whose receiver forgets what is not
// repeated, such as an Alertmanager. If implemented, Refresh is called every minute with the
// alerts that the receiver was sent, and with alerts that have ended in the last 15 min.
type Refresher interface {
	Refresh(ctx context.Context, alerts []Alert) error
}

// Confirmer is an optional interface for a [Notifier] that can find out whether a
// notification has arrived behind the server that accepted it. If implemented, it is asked
// about notifications of [Manager.Test].
type Confirmer interface {
	Confirmed(ctx context.Context, n Notification) (bool, error)
}

// Notification is one message to one receiver. It is plain data.
type Notification struct {
	// Key identifies the message, also if it is sent again.
	Key string `json:"key"`
	// Group names what the alerts have in common, such as "target=chat,rollout=chat/17".
	Group string `json:"group"`
	// Alerts are up to ten, the worst first. More is the number of further ones, which are in
	// the next messages, or are only counted; see [Counts].
	Alerts []Alert `json:"alerts"`
	More   int     `json:"more,omitempty"`
	// Resolved means that all of them have ended.
	Resolved bool `json:"resolved,omitempty"`
	// Test means that the message is a rehearsal, and no action is needed.
	Test bool      `json:"test,omitempty"`
	At   time.Time `json:"at"`
}

// Worst returns the highest severity of the alerts that fire, or Info.
func (n Notification) Worst() Severity {
	worst := Info
	for _, a := range n.Alerts {
		if a.Ended.IsZero() {
			worst = max(worst, a.Severity)
		}
	}
	return worst
}
