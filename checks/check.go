package checks

import (
	"context"
	"encoding/json"
	"errors"
)

// Check is one health check, such as a condition of a deployment gate.
//
// Rules for implementations:
//   - Check is safe for concurrent and repeated calls.
//   - It returns soon after ctx ends. Otherwise it is abandoned: its goroutine
//     continues, and its result is lost.
//   - If it cannot determine the status, it returns Unknown and an error, never Fail.
//   - It does not change what it checks.
//
// Package checkstest tests these rules.
type Check interface {
	Check(ctx context.Context) Result
}

// Func adapts a function to a [Check].
type Func func(ctx context.Context) Result

var _ Check = Func(nil)

// Check calls f. If f is nil, it returns Unknown.
func (f Func) Check(ctx context.Context) Result {
	if f == nil {
		return Result{Err: errNil}
	}
	return f(ctx)
}

// Result is the outcome of a check. The zero Result is Unknown.
type Result struct {
	Status Status
	// Summary is one sentence: "certificate valid for 41 more days".
	Summary string
	// Evidence holds details by name: measured values, a version, a digest, an
	// address. It may be nil.
	Evidence map[string]string
	// Err is the reason for Unknown, or details of a Fail. A result with an error
	// never passes: [Run] turns Pass with an error into Unknown.
	Err error
}

// reason returns the reason for the status of r.
func (r Result) reason() string {
	switch {
	case r.Err == nil:
		return r.Summary
	case r.Summary == "":
		return r.Err.Error()
	}
	return r.Summary + ": " + r.Err.Error()
}

// resultJSON is a Result in JSON, its error as text.
type resultJSON struct {
	Status   Status            `json:"status"`
	Summary  string            `json:"summary,omitempty"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func (r Result) json() resultJSON {
	j := resultJSON{Status: r.Status, Summary: r.Summary, Evidence: r.Evidence}
	if r.Err != nil {
		j.Error = r.Err.Error()
	}
	return j
}

func (j resultJSON) result() Result {
	r := Result{Status: j.Status, Summary: j.Summary, Evidence: j.Evidence}
	if j.Error != "" {
		r.Err = errors.New(j.Error)
	}
	return r
}

// MarshalJSON implements [json.Marshaler]. It marshals an error as its text.
func (r Result) MarshalJSON() ([]byte, error) { return json.Marshal(r.json()) }

// UnmarshalJSON implements [json.Unmarshaler].
func (r *Result) UnmarshalJSON(data []byte) error {
	var j resultJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*r = j.result()
	return nil
}
