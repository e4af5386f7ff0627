package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/units"
)

// ErrorKind is the type and the code of an error that an answer states, such as
// "overloaded_error", or "BadRequestError" with "400". Either may be empty. A name of
// more than 64 bytes, or with other characters than letters, digits, '_', '.' and '-',
// is left out, so that no kind has text of the server.
type ErrorKind struct {
	Type string `json:"type,omitempty"`
	Code string `json:"code,omitempty"`
}

// String returns the type and the code as text.
func (k ErrorKind) String() string {
	switch {
	case k.Code == "":
		return k.Type
	case k.Type == "":
		return "code " + k.Code
	}
	return k.Type + ", code " + k.Code
}

// otherErrors counts the errors of all kinds after the first 50 of a report.
var otherErrors = ErrorKind{Type: "(other kinds)"}

// maxErrorKinds is the number of kinds that a report counts individually.
const maxErrorKinds = 50

// errorKindOf returns the kind of the error of an outcome.
func errorKindOf(o *answer.Outcome) (k ErrorKind) {
	var e *answer.Error
	if errors.As(o.Err, &e) {
		k = ErrorKind{e.Type, e.Code}
	}
	return k
}

// countError counts n errors of a kind.
func (r *Report) countError(k ErrorKind, n int) {
	if k == (ErrorKind{}) {
		return
	}
	if _, known := r.Errors[k]; !known && len(r.Errors) >= maxErrorKinds {
		k = otherErrors
	}
	r.Errors[k] += n
}

// errorCount is the number of errors of a kind.
type errorCount struct {
	ErrorKind
	N int `json:"count"`
}

// Text returns the number and the kind as text.
func (e errorCount) Text() string { return fmt.Sprintf("%s %v", units.Grouped(e.N), e.ErrorKind) }

// errorCounts returns the counts of all kinds, the most frequent one first.
func (r *Report) errorCounts() (all []errorCount) {
	for _, k := range slices.SortedFunc(maps.Keys(r.Errors), func(a, b ErrorKind) int {
		return cmp.Or(cmp.Compare(r.Errors[b], r.Errors[a]), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	}) {
		all = append(all, errorCount{k, r.Errors[k]})
	}
	return all
}
