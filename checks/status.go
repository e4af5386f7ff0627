package checks

import (
	"fmt"
	"slices"
	"strings"
)

// Status is the outcome of a check. The zero value is Unknown, which opens no
// gate.
type Status int

const (
	Unknown Status = iota // nobody has looked, or could
	Pass                  // good
	Warn                  // good enough to go on; somebody should look
	Fail                  // looked, and it is not good
)

var statusNames = []string{"unknown", "pass", "warn", "fail"}

// String returns the lower-case name of s.
func (s Status) String() string {
	if s.valid() {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", int(s))
}

func (s Status) valid() bool { return s >= 0 && int(s) < len(statusNames) }

// Opens reports whether s lets a gate open: Pass and Warn do.
func (s Status) Opens() bool { return s == Pass || s == Warn }

// severity orders statuses from good to bad. Unknown is worse than Warn, since
// a warning has at least been looked at, and better than Fail.
func (s Status) severity() int {
	switch s {
	case Pass:
		return 0
	case Warn:
		return 1
	case Fail:
		return 3
	}
	return 2
}

// Worse returns the worse of s and t, in the order Pass, Warn, Unknown, Fail.
func (s Status) Worse(t Status) Status {
	if t.severity() > s.severity() {
		return t
	}
	return s
}

// MarshalText implements [encoding.TextMarshaler].
func (s Status) MarshalText() ([]byte, error) {
	if !s.valid() {
		return nil, fmt.Errorf("checks: status %d does not exist", int(s))
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what
// [Status.String] returns.
func (s *Status) UnmarshalText(text []byte) error {
	i := slices.Index(statusNames, string(text))
	if i < 0 {
		return fmt.Errorf("checks: status %q, want one of %s", text, strings.Join(statusNames, ", "))
	}
	*s = Status(i)
	return nil
}
