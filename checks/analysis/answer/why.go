package answer

import (
	"fmt"
	"strconv"

	"github.com/serin-go/serin/checks/analysis"
)

// The reasons of classes. They are stable, since dashboards and rules name them.
const (
	whyNoAnswer     = "no answer"
	whyNoFirstByte  = "no first byte"
	whyStalled      = "stalled"
	whyLeftWaiting  = "caller left while waiting"
	whyLeft         = "caller left"
	whyBrokenOff    = "broken off"
	whyMalformed    = "bad response"
	whyRedirect     = "redirect"
	whyUnknownRoute = "unknown route"
	whyNoInference  = "no inference"
	whyEncoding     = "unknown content encoding"
	whyTooLarge     = "too large"
	whyNoContent    = "no content"
	whyNoTokens     = "no tokens"
	whyHTML         = "html"
	whyErrorInside  = "error in the answer"
	whyNotJSON      = "not json"
	whyTrailing     = "more than one document"
	whyWantStream   = "stream asked, document came"
	whyWantDocument = "document asked, stream came"
	whyWrongForm    = "wrong form"
	whyNoChoices    = "no choices"
	whyOther        = "another interface"
	whyUnknown      = "unknown shape"
	whyFewChoices   = "too few choices"
	whyFewItems     = "too few results"
	whyEmptyVector  = "empty vector"
	whyUnfinished   = "no finish reason"
	whyBadCall      = "malformed tool call"
	whyFailedFinish = "failed"
	whyDeclined     = "declined"
)

// WhyUnknownFinish is the reason of an answer whose finish reason is in no table.
const WhyUnknownFinish = "unknown finish reason"

// Error describes why an answer is not good. It holds no byte of the answer but
// two short names of a fixed alphabet.
type Error struct {
	Class analysis.Class
	// Why is [Outcome].Why.
	Why string
	// Status is the status of the response, 0 if there was none.
	Status int
	// Type and Code are the type and the code of an error within the answer, such as
	// "overloaded_error" or "BadRequestError" and "400". Each is "" unless it has up
	// to 64 bytes of A-Z, a-z, 0-9, '_', '.' and '-'.
	Type, Code string
	// Cause is what broke the response off, nil if it ended by itself.
	Cause error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("answer: %s: %s", e.Class, e.Why)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d", e.Status)
		if e.Type != "" {
			s += ", type " + e.Type
		}
		if e.Code != "" {
			s += ", code " + e.Code
		}
		s += ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns what broke the response off.
func (e *Error) Unwrap() error { return e.Cause }

// whyStatus returns the reason of a status that says it all.
func whyStatus(status int) string {
	if status >= 100 && status < 1000 {
		return "status " + strconv.Itoa(status)
	}
	return "status"
}
