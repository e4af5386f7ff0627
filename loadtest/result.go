package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Result is the result of one request. Durations count from Sent; the package
// documentation defines them. A TTFB, TTFT, TTFC, E2E, TPOT or NTPOT of 0 means that
// there is no such duration.
type Result struct {
	// Seq is the number of the request in the schedule, from 0.
	Seq uint64
	// Prompt is the index in [Plan].Prompts, or -1.
	Prompt int
	// Tag is the group of the request in [Report].Tags; see [workload.Request].
	Tag string
	// Method and URL are the method and the URL of a request of a Workload with a
	// body, without password and query. They are empty for prompts.
	Method, URL string
	// Trimmed means that the request is in the warm-up or the cool-down.
	Trimmed bool
	// Due is the instant at which the request was due, Sent the instant at which it
	// was sent.
	Due, Sent time.Time
	// UserWait is the part of SchedLag in which the user of the request still waited for
	// the answer to an earlier one; see [Plan].Users. It is not the generator's fault.
	UserWait time.Duration

	// Class is the outcome. Live traffic has the same class for the same request and
	// answer; see package answer.
	Class analysis.Class
	// Why is the reason for Class, one of a fixed set such as "no choices". It is
	// empty for OK.
	Why string
	// Fault is the cause of a failure.
	Fault Fault
	// Error is the error that the answer states: an error object of OpenAI's API, or
	// an error event of a stream. It is zero if it states none.
	Error ErrorKind
	// Status is the HTTP status, or 0 if there was no response.
	Status int
	// Err is the error with its text for people. It is nil for OK and Refused.
	Err error

	TTFB, TTFT, TTFC, E2E, Latency, TPOT, NTPOT time.Duration

	// LongestGap is the longest ITL of the stream.
	LongestGap time.Duration
	// BytesOut and BytesIn are the sizes of the bodies of request and answer.
	BytesOut, BytesIn int64

	// Chunks is the number of token chunks. Coalesced is the number of them that
	// arrived together with the previous one.
	Chunks, Coalesced int
	// InputTokens includes CachedTokens, OutputTokens includes ReasoningTokens.
	InputTokens, CachedTokens, OutputTokens, ReasoningTokens int
	// TokenSource is the source of OutputTokens. A usage with more tokens than the answer
	// has bytes is not believed.
	TokenSource TokenSource
	// FinishReason is the finish reason from the server.
	FinishReason string

	// Version and RequestID are the response headers Serin-Version and
	// Serin-Request-Id of a Serin router: the version that served the request, and
	// its ID for feedback.
	Version, RequestID string

	// Recording is the answer as it arrived. It is nil without [Plan].Record or if
	// there was no response.
	Recording *Recording
}

// TokenSource is the source of a number of output tokens. It is empty if there are
// no tokens.
type TokenSource string

const (
	FromUsage     TokenSource = "usage"     // the server reported it
	FromTokenizer TokenSource = "tokenizer" // [Plan.Tokenizer] counted the text
	FromChunks    TokenSource = "chunks"    // each token chunk counts as one
)

// SchedLag returns the delay between Due and Sent, at least 0.
func (r Result) SchedLag() time.Duration { return max(0, r.Sent.Sub(r.Due)) }

// stopped reports whether the request was canceled together with its run.
func (r Result) stopped() bool {
	return r.Class == analysis.Cancelled || r.Class == analysis.Abandoned
}

// complete reports whether the answer is complete.
func (r Result) complete() bool {
	switch r.Class {
	case analysis.OK, analysis.Refused, analysis.Empty, analysis.Invalid:
		return true
	}
	return false
}
