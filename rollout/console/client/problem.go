package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Names of problems: the last part of [Problem.Type].
const (
	InvalidPlan          = "invalid-plan"          // 422: Errors has every mistake of the plan
	InvalidRequest       = "invalid-request"       // 400: Errors has every mistake of the request
	Busy                 = "busy"                  // 409: Active is the rollout that is active
	Refused              = "refused"               // 409: the command makes no sense now
	Conflict             = "conflict"              // 412: the rollout has changed; see Changed
	PreconditionRequired = "precondition-required" // 428: If-Match is missing
	Forbidden            = "forbidden"             // 403: the person may read, and may not do this
	Unauthenticated      = "unauthenticated"       // 401: sign in
	StepUpRequired       = "step-up-required"      // 401: prove the second factor again (RFC 9470)
	NotFound             = "not-found"             // 404: does not exist, or may not be read
	MethodNotAllowed     = "method-not-allowed"    // 405: the resource has no such method
	KeyReused            = "key-reused"            // 422: the key belongs to another request
	InProgress           = "in-progress"           // 409: the request with this key is being carried out
	TooLarge             = "too-large"             // 413: the body is too large
	TooMany              = "too-many"              // 429, and 503 for streams: see RetryAfter
	Damaged              = "damaged"               // 503: what is stored cannot be read or followed
	OutcomeUnknown       = "outcome-unknown"       // 504: repeat with the same key
	Draining             = "draining"              // 503: the server shuts down
	Internal             = "internal"              // 500: a fault of the server
)

// Problem is what the server answers when it does not do what it was asked for, in the format
// application/problem+json (RFC 9457). It is an error, and plain data.
type Problem struct {
	// Type is "/problems/" and a name; see [Problem.Name].
	Type string `json:"type"`
	// Title says what kind of problem it is, and Detail what happened here.
	Title    string `json:"title"`
	Status   int    `json:"status"` // of HTTP
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"` // path of the request
	// Errors are all mistakes of a plan or of a request.
	Errors []Mistake `json:"errors,omitempty"`
	// Active is the rollout that is active, for [Busy].
	Active string `json:"active,omitempty"`
	// Changed is the event that came before the command, for [Conflict].
	Changed *Event `json:"changed,omitempty"`
	// Allowed are the commands that make sense now, for [Refused].
	Allowed []string `json:"allowed,omitempty"`
	// RetryAfter is when to repeat the request; zero says nothing about that.
	RetryAfter Duration `json:"retry_after,omitzero"`
	// MaxAge is how old the proof of a second factor may be, for [StepUpRequired].
	MaxAge Duration `json:"max_age,omitzero"`
}

// Mistake is one mistake of a plan or of a request.
type Mistake struct {
	// Pointer is a JSON pointer (RFC 6901) to the value, such as "/strategy/bake". For a
	// header or a parameter it is empty, and Name has its name.
	Pointer string `json:"pointer,omitempty"`
	Name    string `json:"name,omitempty"`
	// Line and Column are positions in a plan file, from 1; 0 if they are unknown.
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Detail string `json:"detail"`
	// Want describes what is accepted.
	Want string `json:"want,omitempty"`
}

// String returns the mistake in one line: "line 3, column 21: /baseline/version: detail, want
// what is accepted".
func (m Mistake) String() string {
	var b strings.Builder
	if m.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", m.Line, m.Column)
	}
	if at := m.Name + m.Pointer; at != "" {
		b.WriteString(at + ": ")
	}
	b.WriteString(m.Detail)
	if m.Want != "" {
		b.WriteString(", want " + m.Want)
	}
	return b.String()
}

// Name returns the name of the kind of problem, such as [Busy].
func (p *Problem) Name() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }

// Error returns the title and the detail, and a line for each mistake.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Title)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, m := range p.Errors {
		b.WriteString("\n" + m.String())
	}
	return b.String()
}

// problem reads an answer that is a problem, or makes one of what a proxy has answered.
func problem(resp *http.Response) error {
	p := &Problem{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && kind == "application/problem+json" && json.Unmarshal(body, p) == nil && p.Status == resp.StatusCode {
		return p
	}
	return &Problem{
		Type: "about:blank", Title: http.StatusText(resp.StatusCode), Status: resp.StatusCode,
		Detail: fmt.Sprintf("answered with %q, which is no problem of Serin's API: does a proxy answer?", kind),
	}
}
