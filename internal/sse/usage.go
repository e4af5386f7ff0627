package sse

import (
	"strings"
	"unicode/utf8"
)

// usage is what a server reports to bill by. A field that a report leaves out
// keeps its value, since some servers report input and output in two events.
type usage struct {
	seen                      bool
	prompt                    int // input that includes the cached part
	input                     int // input that includes it only if nothing says how much was cached apart
	output, thoughts          int
	cached, reasoning         int
	tools                     int // input that is reported apart
	apartRead, apartWrite     int // cached input that "input" does not include
	billedInput, billedOutput int
	total                     int
}

// read reads a usage report. null, and fields that make no sense, are ignored.
func (u *usage) read(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "prompt_tokens", "promptTokenCount":
			u.set(&u.prompt, c)
		case "input_tokens", "inputTokens":
			u.set(&u.input, c)
		case "completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens":
			u.set(&u.output, c)
		case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details":
			u.details(c)
		case "prompt_cache_hit_tokens", "cachedContentTokenCount", "cached_tokens":
			u.set(&u.cached, c)
		case "cache_read_input_tokens", "cacheReadInputTokens":
			u.set(&u.apartRead, c)
		case "cache_creation_input_tokens", "cacheWriteInputTokens":
			u.set(&u.apartWrite, c)
		case "thoughtsTokenCount":
			u.set(&u.thoughts, c)
		case "toolUsePromptTokenCount":
			u.set(&u.tools, c)
		case "total_tokens":
			u.set(&u.total, c)
		case "billed_units":
			u.billed(c)
		case "tokens":
			if c.Peek() == '{' {
				u.read(c)
			} else {
				c.Skip()
			}
		default:
			c.Skip()
		}
	}
}

// billed reads Cohere's billed units, which count before the plain ones.
func (u *usage) billed(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "input_tokens":
			u.set(&u.billedInput, c)
		case "output_tokens":
			u.set(&u.billedOutput, c)
		default:
			c.Skip()
		}
	}
}

func (u *usage) details(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "cached_tokens":
			u.set(&u.cached, c)
		case "reasoning_tokens":
			u.set(&u.reasoning, c)
		default:
			c.Skip()
		}
	}
}

func (u *usage) set(field *int, c *cursor) {
	if n, ok := c.Number(); ok {
		*field = n
		u.seen = true
	}
}

// merge takes the fields of a newer report. Later reports are totals, so that a
// zero in them says nothing that is not known.
func (u *usage) merge(v *usage) {
	if !v.seen {
		return
	}
	u.seen = true
	newer(&u.prompt, v.prompt)
	newer(&u.input, v.input)
	newer(&u.output, v.output)
	newer(&u.thoughts, v.thoughts)
	newer(&u.cached, v.cached)
	newer(&u.reasoning, v.reasoning)
	newer(&u.tools, v.tools)
	newer(&u.apartRead, v.apartRead)
	newer(&u.apartWrite, v.apartWrite)
	newer(&u.billedInput, v.billedInput)
	newer(&u.billedOutput, v.billedOutput)
	newer(&u.total, v.total)
}

func newer(to *int, n int) {
	if n > 0 {
		*to = n
	}
}

// inputTotal returns all input tokens, and how many of them were read from a
// cache and written to one. Where prompt tokens are reported they include both;
// the counters of Anthropic beside them say nothing more.
func (u *usage) inputTotal() (total, cached, written int) {
	cached = u.cached
	switch {
	case u.billedInput > 0:
		total = u.billedInput
	case u.prompt > 0:
		total = u.prompt + u.tools
		cached = max(cached, u.apartRead)
	default:
		total = u.input + u.apartRead + u.apartWrite
		cached += u.apartRead
	}
	if total == 0 && u.output == 0 {
		total = u.total
	}
	cached = min(cached, total)
	return total, cached, min(u.apartWrite, total-cached)
}

// outputTotal returns all output tokens.
func (u *usage) outputTotal() int {
	if u.billedOutput > 0 {
		return u.billedOutput
	}
	return u.output + u.thoughts
}

// reasons are the finish reasons that need no memory of their own.
var reasons = [...]string{
	"stop", "length", "tool_calls", "content_filter", "function_call",
	"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "max_output_tokens", "STOP", "MAX_TOKENS", "COMPLETE",
}

// maxText bounds texts that are kept of a stream, in bytes.
const maxText = 512

func intern(b []byte) string {
	for _, r := range reasons {
		if string(b) == r {
			return r
		}
	}
	return clip(string(b[:min(len(b), maxText)]))
}

// clip cuts s to a bounded, valid text.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
