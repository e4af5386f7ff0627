package sse

import (
	"math/bits"
	"time"
)

// Stream is what a [Meter] saw. All instants are as given to [Meter.Feed]. The
// zero value is a stream in which nothing was seen.
type Stream struct {
	// First and Last are the instants of the first and the last chunk that bore
	// tokens of any kind; in a stream that is not Known, of the first and the last
	// event. They are zero if there was none, and for a document.
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

	// InputTokens includes CachedTokens and WrittenTokens, which were read from and
	// written to a cache; OutputTokens includes ReasoningTokens.
	InputTokens, OutputTokens, CachedTokens, WrittenTokens, ReasoningTokens int
	// Billed is the rest of the usage report.
	Billed Billed
	// FromUsage reports whether OutputTokens was reported by the server. Otherwise
	// it is the number of chunks that bore tokens.
	FromUsage bool
	// Text is how many bytes of text were generated, as JSON writes them, and
	// Unreported is how many of them came after the last report of OutputTokens.
	Text, Unreported int
	// Reported is the last report of OutputTokens.
	Reported int

	Model, ServiceTier string // as the answer names them, if asked for; see [Meter]

	// Shapes are the interfaces whose documents were seen, and Listed reports
	// whether there was a list of choices, empty ones included.
	Shapes Shape
	Listed bool
	// Choices is the number of choices seen, Open the number of those without a
	// finish reason.
	Choices, Open int
	// Finishes are the different finish reasons as sent, in order, the first
	// NumFinishes of them. FinishReason is the last one.
	Finishes     [maxFinish]string
	NumFinishes  int
	FinishReason string
	// Refusal reports whether the model said that it declines, Blocked whether the
	// prompt was blocked.
	Refusal, Blocked bool
	// Visible reports whether there is content, a refusal or a tool call.
	Visible   bool
	ToolCalls int // that were begun
	// Items is the number of embeddings, results or images; EmptyItems of those
	// without content.
	Items, EmptyItems int

	// Terminated reports whether the stream said that it is complete: [DONE],
	// message_stop, response.completed, "done": true and the like. Of a document
	// it reports that the document is complete in itself. Marker reports [DONE].
	Terminated, Marker bool
	// Failed reports an error within the answer, Limited that it is about a rate
	// or a quota. Fault is its type and Code its code if they are short and plain.
	Failed, Limited bool
	Fault, Code     string
	// Deferred reports whether the answer is to come later.
	Deferred bool
	// Known reports whether at least one event had a shape that this package knows.
	Known bool

	Events    int // documents seen, [DONE] included
	Malformed int // events that are no JSON
	Strange   int // lines of an event stream that are no fields
	// Cut reports whether a document, or the last event, ended before its end, and Trailing whether
	// there was something behind it. TooLarge reports that an event was too complex
	// to be read.
	Cut, Trailing, TooLarge bool
}

// TPOT returns the mean time per output token after the first one,
// (Last - First) / (OutputTokens - 1), or 0 when there were fewer than two
// chunks to measure between.
func (s *Stream) TPOT() time.Duration {
	if s.Chunks < 2 || s.OutputTokens < 2 {
		return 0
	}
	return (s.Last - s.First) / time.Duration(s.OutputTokens-1)
}

// count returns the number of bits.
func count(set [2]uint64) int { return bits.OnesCount64(set[0]) + bits.OnesCount64(set[1]) }
