package planfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/internal/visible"
)

// Problem is one thing that is wrong with a plan file.
type Problem struct {
	// Line and Column are where the value is, counted from 1, columns in characters. For
	// a field that is missing they are where its object is. Both are 0 for a problem of a
	// [Setting] and for a problem of the whole text.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Pointer is the path to the value as a JSON Pointer (RFC 6901): "/strategy/canary/bake".
	// It is empty for the whole plan.
	Pointer string `json:"pointer"`
	// Path is the same path for people: "strategy.canary.bake".
	Path string `json:"path,omitempty"`
	// Detail says what is wrong. It is one line without characters that do not show.
	Detail string `json:"detail"`
	// Want says what is accepted. It may be empty.
	Want string `json:"want,omitempty"`
}

// Error returns "line:column: path: detail, want accepted values".
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Detail)
	if p.Want != "" {
		b.WriteString(", want " + p.Want)
	}
	return b.String()
}

// Unwrap returns the problem as an [*checks.InvalidError] with the path as its field.
func (p *Problem) Unwrap() error {
	return &checks.InvalidError{Package: "planfile", Field: p.Path, Value: p.Detail, Want: p.Want}
}

// maxProblems is how many problems an [Errors] lists.
const maxProblems = 100

// Errors is the error of [Read]: everything that is wrong with a plan file, ordered by line
// and column.
type Errors struct {
	// Name is the name that was given to Read.
	Name string
	// Problems has 1 to 100 entries.
	Problems []*Problem
	// Omitted is how many problems beyond these were found.
	Omitted int
}

// Error returns one line for each problem: "name:line:column: path: detail, want ...".
func (e *Errors) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(visible.Line(e.Name))
		if p.Line > 0 {
			b.WriteByte(':')
		} else {
			b.WriteString(": ")
		}
		b.WriteString(p.Error())
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&b, "\n%s: %d more problems", visible.Line(e.Name), e.Omitted)
	}
	return b.String()
}

// Unwrap returns the problems.
func (e *Errors) Unwrap() []error {
	all := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p
	}
	return all
}

// errorsOf returns the error for problems, or nil for none.
func errorsOf(name string, problems []*Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	e := &Errors{Name: name, Problems: problems}
	if len(problems) > maxProblems {
		e.Problems, e.Omitted = problems[:maxProblems], len(problems)-maxProblems
	}
	return e
}

// shown returns s as one line of up to 60 characters.
func shown(s string) string {
	s = visible.Line(s)
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// suggest returns the name that is most like s, or "" if none is.
func suggest(s string, names []string) string {
	best, distance := "", 1+max(1, len(s)/3)
	for _, name := range names {
		if d := edits(s, name); d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits returns how many insertions, deletions and replacements turn a into b. It looks at
// the first 64 bytes.
func edits(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// oneOf lists the accepted names.
func oneOf(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
