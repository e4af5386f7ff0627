package analysis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
)

// Verdict is the word on a candidate. The zero value is Continue: nothing has
// been shown yet, go on measuring. No verdict but Safe says that the candidate
// is good.
type Verdict int

const (
	// Continue means that nothing has been shown yet.
	Continue Verdict = iota
	// Harmed means that the candidate has been shown to be worse than the
	// baseline, or has tripped a [Breaker]. It stays.
	Harmed
	// Safe means that the candidate has been shown to be no worse than the
	// baseline, within the margins, in everything that gates. It stays unless
	// harm is shown.
	Safe
	// NoEvidence means that not one request of the candidate was answered, OK or
	// Refused.
	NoEvidence
	// Unmeasurable means that requests are counted, but no comparison can come
	// of them: the baseline has none, what gates is not measured on one arm, most
	// answers of the baseline on a route cannot be read, or traffic is not split as
	// intended.
	Unmeasurable
	// Incident means that both arms have got worse together, so that nothing is
	// the candidate's fault: hold, and alert.
	Incident
)

var verdictNames = []string{"continue", "harmed", "safe", "no evidence", "unmeasurable", "incident"}

// String returns the name of v in lower case.
func (v Verdict) String() string { return nameOf(v, verdictNames) }

// MarshalText implements [encoding.TextMarshaler].
func (v Verdict) MarshalText() ([]byte, error) { return marshalName(v, verdictNames, "verdict") }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (v *Verdict) UnmarshalText(text []byte) error {
	return unmarshalName(v, text, verdictNames, "verdict")
}

// nameOf, marshalName and unmarshalName give the small enumerations of this
// package their text.

func nameOf[T ~int](v T, names []string) string {
	if v >= 0 && int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, int(v))
}

func marshalName[T ~int](v T, names []string, what string) ([]byte, error) {
	if v < 0 || int(v) >= len(names) {
		return nil, &checks.InvalidError{Package: "analysis", Field: what, Value: int(v), Want: "one of " + strings.Join(names, ", ")}
	}
	return []byte(names[v]), nil
}

func unmarshalName[T ~int](v *T, text []byte, names []string, what string) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return &checks.InvalidError{Package: "analysis", Field: what, Value: fmt.Sprintf("%q", text), Want: "one of " + strings.Join(names, ", ")}
	}
	*v = T(i)
	return nil
}
