package checks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// NamedResult is the result of one of several checks.
type NamedResult struct {
	Name string
	Result
	// Took is the duration of the check, or zero if it did not start.
	Took time.Duration
}

type namedJSON struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
	resultJSON
}

// MarshalJSON implements [json.Marshaler].
func (n NamedResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(namedJSON{Name: n.Name, Took: n.Took, resultJSON: n.Result.json()})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (n *NamedResult) UnmarshalJSON(data []byte) error {
	var j namedJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*n = NamedResult{Name: j.Name, Took: j.Took, Result: j.result()}
	return nil
}

// Report is the outcome of several checks. It is plain data. The zero Report is
// Unknown.
type Report struct {
	// Status is the worst status of all results, in the order Pass, Warn,
	// Unknown, Fail. It is Unknown if there are no results.
	Status Status `json:"status"`
	// Results has one element for each check, ordered by name.
	Results []NamedResult `json:"results"`
}

// newReport sorts results and sets the worst status.
func newReport(results []NamedResult) Report {
	slices.SortFunc(results, func(a, b NamedResult) int { return cmp.Compare(a.Name, b.Name) })
	rep := Report{Results: results}
	for i, r := range results {
		if i == 0 {
			rep.Status = r.Status
		}
		rep.Status = rep.Status.Worse(r.Status)
	}
	return rep
}

// Summary returns one line: the number of checks that passed, and the reasons of the
// others, the worst first.
func (r Report) Summary() string {
	if len(r.Results) == 0 {
		return "no checks"
	}
	var rest []NamedResult
	for _, res := range r.Results {
		if res.Status != Pass {
			rest = append(rest, res)
		}
	}
	if len(rest) == 0 {
		return fmt.Sprintf("%d of %d pass", len(r.Results), len(r.Results))
	}
	slices.SortStableFunc(rest, func(a, b NamedResult) int { return b.Status.severity() - a.Status.severity() })
	parts := make([]string, len(rest))
	for i, res := range rest {
		parts[i] = res.line()
	}
	return fmt.Sprintf("%d of %d pass; %s", len(r.Results)-len(rest), len(r.Results), strings.Join(parts, "; "))
}

// line returns one result as text.
func (n NamedResult) line() string {
	s := n.Name + ": " + n.Status.String()
	if why := n.reason(); why != "" {
		s += " (" + why + ")"
	}
	return s
}

// Failure returns nil if r opens a gate. Otherwise it returns a [*FailedError] with the
// results that do not.
func (r Report) Failure() error {
	if r.Status.Opens() {
		return nil
	}
	e := new(FailedError)
	for _, res := range r.Results {
		if !res.Status.Opens() {
			e.Results = append(e.Results, res)
		}
	}
	return e
}

// FailedError lists the checks that do not open a gate.
type FailedError struct {
	// Results lists the results that are Fail or Unknown, ordered by name. It is
	// empty if there were no checks.
	Results []NamedResult
}

// Error lists each check with its status and reason.
func (e *FailedError) Error() string {
	if len(e.Results) == 0 {
		return "checks: report: no checks"
	}
	lines := make([]string, len(e.Results))
	for i, res := range e.Results {
		lines[i] = res.line()
	}
	return "checks: " + strings.Join(lines, "; ")
}

// Unwrap returns the errors of the results.
func (e *FailedError) Unwrap() []error {
	var errs []error
	for _, res := range e.Results {
		if res.Err != nil {
			errs = append(errs, res.Err)
		}
	}
	return errs
}
