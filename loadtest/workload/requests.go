package workload

import (
	"errors"
	"fmt"
)

// Requests is a workload of given requests, which are sent one after another, and again
// from the first. A request with a Body that is not Plain is sent to the API of the plan,
// and its answer is judged as those to prompts.
type Requests []Request

// Request returns the request with number seq modulo the number of requests.
func (r Requests) Request(seq uint64) Request { return r[seq%uint64(len(r))] }

// Validate returns an error that joins a [*checks.InvalidError] for each invalid field.
func (r Requests) Validate() error {
	if len(r) == 0 {
		return invalid("len(Requests)", 0, "at least one request")
	}
	var errs []error
	for i, one := range r {
		field := fmt.Sprintf("Requests[%d]", i)
		if one.MaxTokens < 0 || one.MaxTokens > maxLength {
			errs = append(errs, invalid(field+".MaxTokens", one.MaxTokens, "0 to 1,048,576 tokens"))
		}
		if one.Body == nil {
			errs = append(errs, one.Prompt.validate(field+".Prompt"))
			continue
		}
		errs = append(errs, one.validateTarget(field))
	}
	return errors.Join(errs...)
}
