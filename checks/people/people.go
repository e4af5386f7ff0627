package people

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/internal/quorum"
	"github.com/serin-go/serin/internal/redact"
	"github.com/serin-go/serin/internal/visible"
)

const (
	limit      = 10 * time.Second // of one run
	maxEntries = 10_000           // of a source
	maxSummary = 1000             // bytes that every engine keeps
	clockSkew  = 2 * time.Minute  // how far in the future a record may be
)

// check is a check with a digest of its requirements.
type check struct {
	checks.Func
	digest string
}

// Digest implements [checks.Digester].
func (c *check) Digest() string { return c.digest }

// newCheck returns a check of one kind. requirements identify what the check requires; they
// marshal to JSON. If invalid is an error, look never runs.
func newCheck(kind string, requirements any, invalid error, look func(ctx context.Context, now time.Time) checks.Result) checks.Check {
	text, err := json.Marshal(requirements)
	invalid = errors.Join(invalid, err)
	sum := sha256.Sum256(fmt.Appendf(text, "\n%s", kind))
	within := checks.WithTimeout(limit, checks.Func(func(ctx context.Context) checks.Result {
		if invalid != nil {
			return checks.Result{Summary: "the options are invalid", Err: invalid}
		}
		return look(ctx, time.Now().Round(0))
	}))
	return &check{digest: "sha256:" + hex.EncodeToString(sum[:]), Func: within.Check}
}

// options collects what is wrong with the options of one function.
type options struct {
	name string
	errs []error
}

func (o *options) bad(field string, value any, want string) {
	o.errs = append(o.errs, &checks.InvalidError{Package: "people", Field: o.name + "." + field, Value: value, Want: want})
}

func (o *options) err() error { return errors.Join(o.errs...) }

// named refuses texts that are empty, long or do not print.
func (o *options) named(field, value string) {
	if value == "" || len(value) > bounded.MaxName || !bounded.Printable(value) {
		o.bad(field, cut(value, bounded.MaxName), "1 to 128 bytes that print")
	}
}

func (o *options) roles(roles []string) {
	for i, r := range roles {
		o.named(fmt.Sprintf("Roles[%d]", i), r)
	}
}

func (o *options) window(roster Roster, d time.Duration) {
	if roster.Shifts == nil {
		o.bad("Roster.Shifts", nil, "a function that returns shifts")
	}
	if d < 0 {
		o.bad("For", d, "a positive duration, or 0 for the end of the rollout")
	}
}

// unread is the result if a source cannot be read.
func unread(what string, err error) checks.Result {
	return checks.Result{Summary: what + " cannot be read", Err: &sourceError{err}}
}

// sourceError is the error of a source, without credentials in its text.
type sourceError struct{ err error }

func (e *sourceError) Error() string {
	return cut(visible.Line(redact.Text(e.err.Error())), 509)
}

func (e *sourceError) Unwrap() error { return e.err }

// read reads a source and refuses too many entries.
func read[T any](all []T, err error) ([]T, error) {
	if err == nil && len(all) > maxEntries {
		err = fmt.Errorf("people: source: too many entries (have %d, want at most %d)", len(all), maxEntries)
	}
	return all, err
}

// empty reports whether a person has neither a subject nor a name.
func empty(p checklist.Person) bool { return p.Subject == "" && name(p) == "" }

// same reports whether two entries are one person.
func same(a, b checklist.Person) bool { return quorum.Same(a.Subject, a.Name, b.Subject, b.Name) }

// name is the name of a person as it is compared.
func name(p checklist.Person) string { return quorum.Person("", p.Name) }

// humans groups entries by person, as same does, and returns their indices. An entry without
// a subject is in the group of each subject that has its name, or else in the group of its
// name. Empty entries are in none.
func humans(all []checklist.Person) iter.Seq[[]int] {
	own, bare := make(map[string][]int), make(map[string][]int) // by subject; by name, without a subject
	taken := make(map[string]bool)                              // names of people with a subject
	var subjects, names []string
	for i, p := range all {
		n := name(p)
		switch {
		case p.Subject != "":
			if own[p.Subject] == nil {
				subjects = append(subjects, p.Subject)
			}
			own[p.Subject] = append(own[p.Subject], i)
			taken[n] = true
		case n != "":
			if bare[n] == nil {
				names = append(names, n)
			}
			bare[n] = append(bare[n], i)
		}
	}
	return func(yield func([]int) bool) {
		for _, s := range subjects {
			group, seen := slices.Clone(own[s]), make(map[string]bool)
			for _, i := range own[s] {
				if n := name(all[i]); !seen[n] {
					seen[n] = true
					group = append(group, bare[n]...)
				}
			}
			slices.Sort(group)
			if !yield(group) {
				return
			}
		}
		for _, n := range names {
			if !taken[n] && !yield(bare[n]) {
				return
			}
		}
	}
}

// show is a person in a text.
func show(p checklist.Person) string {
	return visible.Line(cut(cmp.Or(strings.TrimSpace(p.Name), p.Subject, "an unnamed person"), bounded.MaxName))
}

// cut shortens a text.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// verdict is Pass with the text, or Fail with the problems, as many as fit.
func verdict(good string, problems []string, evidence map[string]string) checks.Result {
	if len(problems) == 0 {
		return checks.Result{Status: checks.Pass, Summary: good, Evidence: evidence}
	}
	var text strings.Builder
	for n, p := range problems {
		if text.Len()+len(p) > maxSummary-20 {
			fmt.Fprintf(&text, "; and %d more", len(problems)-n)
			break
		}
		if n > 0 {
			text.WriteString("; ")
		}
		text.WriteString(p)
	}
	return checks.Result{Status: checks.Fail, Summary: text.String(), Evidence: evidence}
}

func sorted(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
