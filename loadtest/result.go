package loadtest

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Result is one finished request. Durations count from Sent; the package
// documentation defines them. A zero TTFB, TTFT, TTFC, E2E, TPOT or NTPOT means
// that there was none.
type Result struct {
	// Seq numbers the requests of a run from 0, in the order they were due.
	Seq uint64
	// Prompt is the index of the prompt in [Plan.Prompts].
	Prompt int
	// Method and URL say where the request went if its [Workload] said so, without
	// password and query; they are empty for prompts.
	Method, URL string
	// Trimmed says that the request belongs to the warm-up or the cool-down.
	Trimmed bool
	// Due is when the request should have been sent, Sent when it was.
	Due, Sent time.Time

	// Class says how the request ended. It is the class that live traffic has for
	// the same request and answer; see package answer.
	Class analysis.Class
	// Why is the reason of Class, one of a fixed set such as "no choices". It is ""
	// for OK.
	Why string
	// Fault says what went wrong more closely, and in which phase.
	Fault Fault
	// Status is the HTTP status, 0 if there was no response.
	Status int
	// Err is what went wrong, for people. It is nil for OK and Refused.
	Err error

	TTFB, TTFT, TTFC, E2E, Latency, TPOT, NTPOT time.Duration

	// LongestGap is the longest ITL of the stream.
	LongestGap time.Duration
	// BytesOut is the size of the body that was sent, BytesIn of what arrived.
	BytesOut, BytesIn int64

	// Chunks is the number of token chunks, Coalesced how many of them arrived
	// in one piece with the one before.
	Chunks, Coalesced int
	// InputTokens includes CachedTokens, OutputTokens includes ReasoningTokens.
	InputTokens, CachedTokens, OutputTokens, ReasoningTokens int
	// TokenSource says where OutputTokens comes from.
	TokenSource TokenSource
	// FinishReason is why the model stopped, as the server put it.
	FinishReason string

	// Version and RequestID are the response headers Serin-Version and
	// Serin-Request-Id: which version served the request, and its name for
	// feedback. They are empty when no Serin router is in the way.
	Version, RequestID string

	// Recording is the stream as it arrived, nil unless [Plan.Record] is set or
	// when there was no response.
	Recording *Recording
}

// TokenSource says where a number of output tokens comes from.
type TokenSource string

const (
	FromUsage     TokenSource = "usage"     // the server reported it
	FromTokenizer TokenSource = "tokenizer" // [Plan.Tokenizer] counted the text
	FromChunks    TokenSource = "chunks"    // each token chunk counts as one
)

// SchedLag returns how much later than due the request was sent, at least 0.
func (r Result) SchedLag() time.Duration { return max(0, r.Sent.Sub(r.Due)) }

// stopped reports whether the request was cancelled together with its run.
func (r Result) stopped() bool {
	return r.Class == analysis.Cancelled || r.Class == analysis.Abandoned
}

// complete reports whether the answer came to its own end.
func (r Result) complete() bool {
	switch r.Class {
	case analysis.OK, analysis.Refused, analysis.Empty, analysis.Invalid:
		return true
	}
	return false
}
