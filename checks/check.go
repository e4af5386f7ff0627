package checks

import (
	"context"
	"encoding/json"
	"errors"
)

// Check looks at one thing.
//
// Rules for implementations:
//   - Check may be called concurrently, and again after it has returned.
//   - It returns soon after ctx ends. One that does not is abandoned: its
//     goroutine goes on, its result is lost.
//   - If it cannot look, it returns Unknown and the error, never Fail.
//   - It changes nothing that it looks at.
type Check interface {
	Check(ctx context.Context) Result
}

// Func is a function as a [Check].
type Func func(ctx context.Context) Result

var _ Check = Func(nil)

// Check calls f. A nil f is Unknown.
func (f Func) Check(ctx context.Context) Result {
	if f == nil {
		return Result{Err: errNil}
	}
	return f(ctx)
}

// Result is what a check found. The zero Result is Unknown and says nothing.
type Result struct {
	Status Status
	// Summary is one sentence for people: "certificate valid for 41 more days".
	Summary string
	// Evidence is what the sentence rests on, by name: measured values, a
	// version, a digest, an address. It may be nil.
	Evidence map[string]string
	// Err says why nothing could be found out, or what is wrong. A result with
	// an error never passes: [Run] turns Pass with an error into Unknown.
	Err error
}

// reason returns what is known about why r is as it is.
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

// MarshalJSON implements [json.Marshaler]. Of the error only its text is kept.
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
