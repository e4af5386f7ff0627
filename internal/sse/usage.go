package sse

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// usage is what a server reports to bill by. A field that a report leaves out
// keeps its value, since some servers report input and output in two events.
type usage struct {
	seen                             bool
	input, output, cached, reasoning int
	apartRead, apartWrite            int // cached input that "input" does not include
}

// read reads a usage report; null, and fields that make no sense, are ignored.
func (u *usage) read(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "prompt_tokens", "input_tokens":
			u.set(&u.input, c)
		case "completion_tokens", "output_tokens":
			u.set(&u.output, c)
		case "prompt_tokens_details", "input_tokens_details", "completion_tokens_details", "output_tokens_details":
			u.details(c)
		case "prompt_cache_hit_tokens":
			u.set(&u.cached, c)
		case "cache_read_input_tokens":
			u.set(&u.apartRead, c)
		case "cache_creation_input_tokens":
			u.set(&u.apartWrite, c)
		default:
			c.skip()
		}
	}
}

func (u *usage) details(c *cursor) {
	if !c.open('{') {
		return
	}
	for c.more('}') {
		switch string(c.key()) {
		case "cached_tokens":
			u.set(&u.cached, c)
		case "reasoning_tokens":
			u.set(&u.reasoning, c)
		default:
			c.skip()
		}
	}
}

func (u *usage) set(field *int, c *cursor) {
	if n, ok := c.number(); ok {
		*field = n
		u.seen = true
	}
}

// merge takes the fields of a newer report. Later reports are totals, so that a
// zero in them says nothing that is not known.
func (u *usage) merge(v usage) {
	u.seen = u.seen || v.seen
	for _, f := range []struct {
		to   *int
		from int
	}{
		{&u.input, v.input}, {&u.output, v.output}, {&u.cached, v.cached},
		{&u.reasoning, v.reasoning}, {&u.apartRead, v.apartRead}, {&u.apartWrite, v.apartWrite},
	} {
		if f.from > 0 {
			*f.to = f.from
		}
	}
}

// inputTotal returns all input tokens and how many of them were cached.
func (u *usage) inputTotal() (total, cached int) {
	total = u.input + u.apartRead + u.apartWrite
	return total, min(u.cached+u.apartRead, total)
}

// reasons are the finish reasons that need no memory of their own.
var reasons = [...]string{
	"stop", "length", "tool_calls", "content_filter", "function_call",
	"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "max_output_tokens",
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

// refusing reports whether a finish reason means that the model declined.
func refusing(reason string) bool { return reason == "content_filter" || reason == "refusal" }

// errorText returns what people should read of an error value.
func errorText(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && text != "" {
		return clip(text)
	}
	var e struct {
		Message string `json:"message"`
		Type    string `json:"type"`
	}
	if json.Unmarshal(raw, &e) == nil {
		if e.Message != "" {
			return clip(e.Message)
		}
		if e.Type != "" {
			return clip(e.Type)
		}
	}
	return clip(string(raw[:min(len(raw), maxText)]))
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
