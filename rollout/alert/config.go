package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout"
)

// Config configures a [Manager]. Store and Receivers are required.
type Config struct {
	// Store keeps the state. The manager does not close it.
	Store rollout.Store `env:", noinit"`
	// Name distinguishes managers in one store: at most 40 of a-z, 0-9 and '-'. Default
	// "main".
	Name string `env:"NAME"`
	// Replica names this process among those that share the store. Default a random name.
	Replica string `env:"REPLICA"`
	// Receivers are the destinations of messages, by names of a-z, 0-9, '.', '_' and '-'.
	Receivers map[string]Notifier `env:", noinit"`
	// Routes are tried in order, and the first that matches an alert decides where it is sent,
	// unless it has Continue. Without routes, everything goes to all receivers.
	Routes []Route `env:", noinit"`
	// Rules are looked at by each process, by name.
	Rules map[string]Rule `env:", noinit"`
	// Runbooks are links by the name of the alert. Default the runbooks of this package.
	Runbooks map[string]string `env:"RUNBOOKS"`
	// URL is the address of the live pages. An alert with a label rollout links to
	// URL/chat/17. It is also the address of [Manager.Seen], as URL/seen. Empty means no
	// links.
	URL string `env:"URL"`
	// Heartbeat is a receiver that gets a message a day whatever happens, a dead man's
	// switch. The absence of the message is noticed elsewhere. Empty means none.
	Heartbeat string `env:"HEARTBEAT"`
	// Note records who has silenced what, such as in a ledger. A silence whose Note returns
	// an error is refused. Nil records nothing.
	Note func(ctx context.Context, name string, what any, by rollout.Actor) error `env:", noinit"`
	// Authorize decides who may silence: the action is [rollout.ActionConfigure], and the
	// target is the label target of the silence, or "*". If nil, every actor with a name may.
	Authorize rollout.Authorizer `env:", noinit"`
	// Logger logs what could not be sent. Nil discards all.
	Logger *slog.Logger `env:", noinit"`
}

// Route says which receivers get some alerts, and how often.
type Route struct {
	// Match are values of labels that an alert must have, and of "alertname", its name. A
	// value that ends with '*' matches what begins with the rest. Empty matches all.
	Match map[string]string `json:"match,omitempty"`
	// Min is the least severity.
	Min Severity `json:"min"`
	// To names the receivers, at least one.
	To []string `json:"to"`
	// GroupBy are labels. Alerts with the same values share a message. Default target and
	// rollout.
	GroupBy []string `json:"group_by,omitempty"`
	// Wait is how long an alert waits for others of its group, Every the least time between
	// two messages of a group, and Repeat when a message is repeated while its alerts fire.
	// Critical alerts do not wait, and alerts of severity Info are not repeated. Defaults
	// 10 s, 1 min and 4 h; at most 7 days.
	Wait   time.Duration `json:"wait_ns,omitempty"`
	Every  time.Duration `json:"every_ns,omitempty"`
	Repeat time.Duration `json:"repeat_ns,omitempty"`
	// Continue means that later routes are tried, too.
	Continue bool `json:"continue,omitempty"`
	// Confirm is how soon a test message to these receivers must be confirmed; see
	// drill.AlertPath. Zero asks for no confirmation.
	Confirm time.Duration `json:"confirm_ns,omitempty"`
}

var (
	receiverName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)
	managerName  = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

const longest = 7 * 24 * time.Hour

// Validate returns all problems of c, joined. Each is a [*checks.InvalidError].
func (c Config) Validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, &checks.InvalidError{Package: "alert", Field: "Config." + field, Value: value, Want: want})
	}
	if c.Store == nil {
		bad("Store", nil, "a store")
	}
	if c.Name != "" && !managerName.MatchString(c.Name) {
		bad("Name", fmt.Sprintf("%.60q", c.Name), "at most 40 of a-z, 0-9 and '-'")
	}
	if c.Replica != "" && !receiverName.MatchString(c.Replica) {
		bad("Replica", fmt.Sprintf("%.80q", c.Replica), "at most 64 of a-z, 0-9, '.', '_' and '-'")
	}
	if len(c.Receivers) == 0 {
		bad("Receivers", 0, "at least one receiver")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Receivers)) {
		if !receiverName.MatchString(name) {
			bad("Receivers", fmt.Sprintf("%.80q", name), "names of at most 64 of a-z, 0-9, '.', '_' and '-'")
		} else if c.Receivers[name] == nil {
			bad("Receivers["+name+"]", nil, "a notifier")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Rules)) {
		if !receiverName.MatchString(strings.ToLower(strings.ReplaceAll(name, " ", "-"))) || c.Rules[name] == nil {
			bad("Rules", fmt.Sprintf("%.80q", name), "rules with names of at most 64 letters, digits, spaces, '.', '_' and '-'")
		}
	}
	if c.Heartbeat != "" && c.Receivers[c.Heartbeat] == nil {
		bad("Heartbeat", fmt.Sprintf("%.80q", c.Heartbeat), "the name of a receiver, or empty")
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || link(c.URL) == "") {
		bad("URL", "(not shown)", "a URL of http or https without credentials and query")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Runbooks)) {
		if link(c.Runbooks[name]) == "" {
			bad("Runbooks["+Cut(name, 64, size)+"]", "(not shown)", "a URL of http or https")
		}
	}
	c.routes(bad)
	return errors.Join(errs...)
}

// routes reports what is wrong with the routes.
func (c Config) routes(bad func(field string, value any, want string)) {
	all := len(c.Routes) == 0
	for i, r := range c.Routes {
		at := fmt.Sprintf("Routes[%d].", i)
		if len(r.To) == 0 {
			bad(at+"To", "empty", "at least one receiver")
		}
		for _, to := range r.To {
			if c.Receivers[to] == nil {
				bad(at+"To", fmt.Sprintf("%.80q", to), fmt.Sprintf("a receiver of %q", slices.Sorted(maps.Keys(c.Receivers))))
			}
		}
		if r.Min < Info || r.Min > Critical {
			bad(at+"Min", int(r.Min), "Info, Warning, Error or Critical")
		}
		for _, name := range append(slices.Sorted(maps.Keys(r.Match)), r.GroupBy...) {
			if !labelName.MatchString(name) {
				bad(at+"Match", fmt.Sprintf("%.80q", name), "names of labels, or alertname")
			}
		}
		if name, there := r.Match["alertname"]; there && !alertName.MatchString(strings.TrimSuffix(name, "*")) && name != "*" {
			bad(at+"Match[alertname]", fmt.Sprintf("%.80q", name), "the name of an alert, or the beginning of names with '*'")
		}
		for _, d := range []struct {
			field string
			time.Duration
		}{{"Wait", r.Wait}, {"Every", r.Every}, {"Repeat", r.Repeat}, {"Confirm", r.Confirm}} {
			if d.Duration < 0 || d.Duration > longest {
				bad(at+d.field, d.Duration, "a duration from 0 to 7 days")
			}
		}
		for j, earlier := range c.Routes[:i] {
			if !earlier.Continue && earlier.covers(r) {
				bad(at+"Match", fmt.Sprintf("nothing, since all goes to route %d", j), "alerts that no earlier route takes")
				break
			}
		}
		all = all || len(r.Match) == 0 && len(r.To) > 0
	}
	if !all {
		bad("Routes", "a Critical alert may match none", "a route without Match, so that every Critical alert has a receiver")
	}
}

// covers reports whether r takes all that other takes.
func (r Route) covers(other Route) bool {
	for name, want := range r.Match {
		prefix, open := strings.CutSuffix(want, "*")
		if have, there := other.Match[name]; !there || have != want && !(open && strings.HasPrefix(have, prefix)) {
			return false
		}
	}
	return r.Min <= other.Min
}

// matches reports whether an alert has the values.
func matches(match map[string]string, a *Alert) bool {
	for name, want := range match {
		have, there := a.Labels[name]
		if name == "alertname" {
			have, there = a.Name, true
		}
		prefix, open := strings.CutSuffix(want, "*")
		if !there || have != want && !(open && strings.HasPrefix(have, prefix)) {
			return false
		}
	}
	return true
}

// full returns r with its defaults.
func (r Route) full() Route {
	if len(r.GroupBy) == 0 {
		r.GroupBy = []string{"target", "rollout"}
	}
	r.Wait, r.Every, r.Repeat = cmp.Or(r.Wait, 10*time.Second), cmp.Or(r.Every, time.Minute), cmp.Or(r.Repeat, 4*time.Hour)
	return r
}

// group returns the group of an alert.
func (r Route) group(a *Alert) string {
	var parts []string
	for _, name := range r.GroupBy {
		value := a.Labels[name]
		if name == "alertname" {
			value = a.Name
		}
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return cmp.Or(strings.Join(parts, ","), "all")
}

// size is the size of a text in bytes.
func size(s string) int { return len(s) }
