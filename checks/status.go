package checks

import (
	"fmt"
	"slices"
	"strings"
)

// Status is the outcome of a check. The zero value is Unknown, which does not open a
// gate.
type Status int

const (
	Unknown Status = iota // not checked, or the check was not possible
	Pass                  // good
	Warn                  // acceptable, but needs attention
	Fail                  // bad
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

func (s Status) invalid() error {
	return fmt.Errorf("checks: status: invalid (have %d, want 0 to %d)", int(s), len(statusNames)-1)
}

// Opens reports whether s opens a gate, that is, whether it is Pass or Warn.
func (s Status) Opens() bool { return s == Pass || s == Warn }

// severity orders statuses from good to bad. Unknown is worse than Warn, and better than
// Fail.
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
		return nil, s.invalid()
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts the results of
// [Status.String].
func (s *Status) UnmarshalText(text []byte) error {
	i := slices.Index(statusNames, string(text))
	if i < 0 {
		return fmt.Errorf("checks: status: unknown name (have %q, want one of %s)", text, strings.Join(statusNames, ", "))
	}
	*s = Status(i)
	return nil
}
