package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout/alert"
)

// title is one line about a notification.
func title(n alert.Notification) string {
	var parts []string
	switch {
	case n.Test:
		parts = append(parts, "TEST")
	case n.Resolved:
		parts = append(parts, "RESOLVED")
	default:
		parts = append(parts, strings.ToUpper(n.Worst().String()))
	}
	if len(n.Alerts) > 0 {
		parts = append(parts, n.Alerts[0].Name)
	}
	text := strings.Join(parts, " ")
	if n.Group != "" && !n.Test {
		text += " (" + n.Group + ")"
	}
	if more := len(n.Alerts) - 1 + n.More; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// mark is the state of an alert, in a word.
func mark(a alert.Alert) string {
	switch {
	case !a.Ended.IsZero():
		return "resolved"
	case a.Unknown:
		return a.Severity.String() + ", unknown"
	}
	return a.Severity.String()
}

// line is one line about an alert.
func line(a alert.Alert) string {
	text := a.Summary
	if text == "" {
		text = a.Name
	}
	if a.Unknown {
		text = "its source has gone quiet: " + text
	}
	return text
}

// values are the numbers of an alert, in order.
func values(a alert.Alert) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(a.Values)) {
		parts = append(parts, name+" "+a.Values[name])
	}
	return strings.Join(parts, ", ")
}

// span says when an alert fired.
func span(a alert.Alert) string {
	text := "since " + stamp(a.Began)
	if !a.Ended.IsZero() {
		text = "from " + stamp(a.Began) + " to " + stamp(a.Ended)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2 Jan 15:04 MST") }

// whole is everything about a notification, as plain text.
func whole(n alert.Notification) string {
	var b strings.Builder
	for _, a := range n.Alerts {
		fmt.Fprintf(&b, "[%s] %s\n%s\n", mark(a), a.Name, line(a))
		fmt.Fprintf(&b, "%s", span(a))
		if v := values(a); v != "" {
			fmt.Fprintf(&b, " · %s", v)
		}
		b.WriteByte('\n')
		if a.Detail != "" {
			b.WriteString(a.Detail + "\n")
		}
		for _, l := range []struct{ name, url string }{{"page", a.URL}, {"runbook", a.Runbook}} {
			if l.url != "" {
				fmt.Fprintf(&b, "%s: %s\n", l.name, l.url)
			}
		}
		b.WriteByte('\n')
	}
	if n.More > 0 {
		fmt.Fprintf(&b, "and %d more\n", n.More)
	}
	return b.String()
}
