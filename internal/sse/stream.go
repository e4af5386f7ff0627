package sse

import "time"

// Stream is what a [Meter] saw. All instants are as given to [Meter.Feed]. The
// zero value is a stream in which nothing was seen.
type Stream struct {
	// First and Last are the instants of the first and the last chunk that bore
	// tokens of any kind; in a stream that is not Known, of the first and the last
	// event. They are zero if there was none, and for a document that was not
	// streamed.
	First, Last time.Duration
	// FirstContent is the instant of the first chunk that bore content, as
	// opposed to reasoning, refusals and tool calls. It means something only
	// when ContentChunks > 0.
	FirstContent time.Duration
	// Stall is the longest time between two chunks that bore tokens.
	Stall time.Duration

	Chunks        int // chunks that bore tokens
	ContentChunks int // those among them that bore content
	Coalesced     int // those that passed at the same instant as the one before

	// InputTokens includes the cached ones; OutputTokens includes reasoning.
	InputTokens, OutputTokens, CachedTokens, ReasoningTokens int
	// FromUsage says that OutputTokens was reported by the server; otherwise it
	// is the number of chunks that bore tokens.
	FromUsage bool

	Model        string // as the answer names it, if it was asked for; see [Meter]
	FinishReason string // as sent: "stop", "length", "tool_calls", "end_turn", ...
	Refused      bool   // a refusal, or ended by a content filter
	ToolCalls    int    // tool calls that were begun

	// Done says that the stream said it was complete: a finish reason, [DONE],
	// message_stop, response.completed or "done": true. For a document that was not streamed
	// it says that the document was whole.
	Done bool
	// Known says that at least one event had a shape that this package knows.
	Known bool
	// Err is the text of the first error that was sent inside the stream, "" if
	// there was none.
	Err string

	Events    int // documents seen, [DONE] included
	Malformed int // events that were not what this package can read
}

// TPOT returns the mean time per output token after the first one,
// (Last - First) / (OutputTokens - 1), or 0 when there were fewer than two
// chunks to measure between.
func (s Stream) TPOT() time.Duration {
	if s.Chunks < 2 || s.OutputTokens < 2 {
		return 0
	}
	return (s.Last - s.First) / time.Duration(s.OutputTokens-1)
}
