package answer

import (
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// Usage counts what a server bills. Counters are in tokens unless they say otherwise,
// and 0 if the server did not report them. Of several reports the last one counts.
type Usage struct {
	// Input includes Cached, CacheWrite, AudioInput and ImageInput. Output includes
	// Reasoning, AudioOutput and ImageOutput. CacheWrite includes CacheWriteHour,
	// which is kept for an hour and not for five minutes.
	Input, Output, Cached, CacheWrite, CacheWriteHour, Reasoning int
	AudioInput, ImageInput, AudioOutput, ImageOutput             int
	// CachedAudio and CachedImage are the parts of AudioInput and ImageInput that
	// Cached includes, if the server says so.
	CachedAudio, CachedImage int
	// WebSearches and WebFetches are how often the server has used a tool of its own.
	// OpenAI does not report searches: each web_search_call in the output counts that
	// is not the opening of a page. Images is how many images it has generated.
	WebSearches, WebFetches, Images int
	// Seconds is the length of audio that is billed by time, which may be a fraction.
	Seconds float64
	// Reported reports whether the server has reported Output. Otherwise Output is the
	// number of chunks of a stream that carried generated tokens, a lower bound, and 0
	// for a document.
	Reported bool
	// Inconsistent reports whether the server's counters contradict each other: one
	// is negative, more was cached than read, or the total is not the sum. They are
	// reduced to what is possible.
	Inconsistent bool
	// Text is the number of bytes of generated text, as JSON writes it. Unreported is
	// how many of them came after the last report of output tokens, which was
	// LastOutput: a stream that breaks off has generated more.
	Text, Unreported, LastOutput int
}

// Outcome is what one response was. In the zero Outcome nothing is known. Durations
// count from the start of the request; 0 means that there was no such instant.
type Outcome struct {
	Class analysis.Class
	// Why says in a few words why Class is not OK: "html", "no choices", "stalled".
	// It is one of a fixed set of values, fit for a metric's label. "" for OK.
	Why string
	// Err describes the failure for people. It holds no byte of the answer or of
	// the request.
	Err error

	Form   Form
	Status int
	// Model, Finish and ServiceTier are as the answer spells them, bounded in
	// length. Finish is the finish reason that decided Class.
	Model, Finish, ServiceTier string
	// Stop is why the model stopped, by all finish reasons of the answer: one choice
	// that was cut makes it [analysis.FinishLength].
	Stop analysis.Finish

	// FirstByte is the instant of the first byte of the body, First of the first
	// generated token, FirstContent of the first one that is not reasoning, Last of
	// the last token. Stall is the longest gap between tokens and ITL the mean one.
	FirstByte, First, FirstContent, Last, Stall, ITL time.Duration

	Usage Usage
	// Choices is the number of choices seen, Chunks the number of events with
	// generated tokens, Coalesced how many of them came together with the one
	// before, ToolCalls the number of tool calls begun, Malformed the number of
	// events that are not JSON.
	Choices, Chunks, Coalesced, ToolCalls, Malformed int
	// Visible reports whether a person or a program can use something of the
	// answer, as opposed to reasoning alone.
	Visible bool
	// Deferred reports whether the request was accepted to be answered later; then
	// there is no latency and no usage.
	Deferred bool
	// Unfinished reports whether the answer ended with its terminator but without a
	// finish reason.
	Unfinished bool
}

// ToolCall is a call of a tool. Arguments is JSON as the model wrote it.
type ToolCall struct{ Name, Arguments string }

// Text is what a model said.
type Text struct {
	// Content is the answer, without Reasoning and Refusal.
	Content, Reasoning, Refusal string
	ToolCalls                   []ToolCall
	// Finish is the finish reason as sent.
	Finish string
}
