package sse

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/internal/jsonwalk"
)

// usage is what a server reports to bill by. A field that a report leaves out
// keeps its value, since some servers report input and output in two events.
type usage struct {
	seen, touched             bool   // it has a counter, anything
	tier                      []byte // points into the document
	prompt                    int    // input that includes the cached part
	input                     int    // input that includes it only if nothing says how much was cached apart
	output, thoughts          int
	cached, reasoning         int
	wrote                     int // the part of the input that was written to a cache
	tools                     int // input that is reported apart
	apartRead, apartWrite     int // cached input that "input" does not include
	billedInput, billedOutput int
	total                     int
	written5m, written1h      int // by how long the cache keeps it
	parts                     Billed
}

// Billed is what a usage report says that is billed apart from plain tokens.
type Billed struct {
	// WrittenHour is the part of the tokens written to a cache that is kept there for
	// an hour.
	WrittenHour int
	// The audio and image tokens are parts of the input and the output tokens.
	AudioInput, ImageInput, AudioOutput, ImageOutput int
	// CachedAudio and CachedImage are the parts of AudioInput and ImageInput that were
	// read from a cache, if the report says so.
	CachedAudio, CachedImage int
	// Searches and Fetches are calls of the server's own tools.
	Searches, Fetches int
	// Seconds is the length of audio that is billed by time.
	Seconds float64
	// Inconsistent reports whether a counter was negative or too large, more was
	// cached than read, or the total is not the sum of its parts.
	Inconsistent bool
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
		case "prompt_tokens_details", "input_tokens_details", "input_token_details":
			u.details(c, &u.parts.AudioInput, &u.parts.ImageInput)
		case "completion_tokens_details", "output_tokens_details", "output_token_details":
			u.details(c, &u.parts.AudioOutput, &u.parts.ImageOutput)
		case "promptTokensDetails":
			u.modalities(c, &u.parts.AudioInput, &u.parts.ImageInput)
		case "candidatesTokensDetails":
			u.modalities(c, &u.parts.AudioOutput, &u.parts.ImageOutput)
		case "cacheTokensDetails":
			u.modalities(c, &u.parts.CachedAudio, &u.parts.CachedImage)
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
		case "cache_creation":
			u.creation(c)
		case "server_tool_use":
			u.serverTools(c)
		case "seconds":
			u.setSeconds(c)
		case "service_tier": // of Anthropic
			u.tier, u.touched = c.Text(), true
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

func (u *usage) details(c *cursor, audio, image *int) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "cached_tokens":
			u.set(&u.cached, c)
		case "cached_tokens_details":
			u.details(c, &u.parts.CachedAudio, &u.parts.CachedImage)
		case "cache_write_tokens": // of OpenRouter
			u.set(&u.wrote, c)
		case "reasoning_tokens":
			u.set(&u.reasoning, c)
		case "audio_tokens":
			u.set(audio, c)
		case "image_tokens":
			u.set(image, c)
		default:
			c.Skip()
		}
	}
}

// modalities reads Gemini's counts by modality.
func (u *usage) modalities(c *cursor, audio, image *int) {
	if !c.Open('[') {
		return
	}
	for c.More(']') {
		if !c.Open('{') {
			continue
		}
		var kind []byte
		n := 0
		for c.More('}') {
			switch string(c.Key()) {
			case "modality":
				kind = c.Text()
			case "tokenCount":
				u.set(&n, c)
			default:
				c.Skip()
			}
		}
		switch string(kind) {
		case "AUDIO":
			*audio = n
		case "IMAGE":
			*image = n
		}
	}
}

// creation reads how much Anthropic has written to its cache, by how long it stays.
func (u *usage) creation(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "ephemeral_5m_input_tokens":
			u.set(&u.written5m, c)
		case "ephemeral_1h_input_tokens":
			u.set(&u.written1h, c)
		default:
			c.Skip()
		}
	}
}

// serverTools reads how often Anthropic has called its own tools.
func (u *usage) serverTools(c *cursor) {
	if !c.Open('{') {
		return
	}
	for c.More('}') {
		switch string(c.Key()) {
		case "web_search_requests":
			u.set(&u.parts.Searches, c)
		case "web_fetch_requests":
			u.set(&u.parts.Fetches, c)
		default:
			c.Skip()
		}
	}
}

// set sets a counter. A number that no counter can have leaves it as it was.
func (u *usage) set(field *int, c *cursor) {
	u.touched = true
	ch := c.Peek()
	if n, ok := c.Number(); ok {
		*field = n
		u.seen = true
	} else if ch == '-' || ch >= '0' && ch <= '9' {
		u.parts.Inconsistent = true
	}
}

// setSeconds sets the length of audio, which may be a fraction.
func (u *usage) setSeconds(c *cursor) {
	u.touched = true
	ch := c.Peek()
	v := c.Value()
	if ch != '-' && (ch < '0' || ch > '9') {
		return
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n < 0 || n > jsonwalk.MaxNumber {
		u.parts.Inconsistent = true
		return
	}
	u.parts.Seconds, u.seen = n, true
}

// merge takes the fields of a newer report. Later reports are totals, so that a
// zero in them says nothing that is not known.
func (u *usage) merge(v *usage) {
	if !v.seen {
		return
	}
	u.seen, u.touched = true, true
	newer(&u.prompt, v.prompt)
	newer(&u.input, v.input)
	newer(&u.output, v.output)
	newer(&u.thoughts, v.thoughts)
	newer(&u.cached, v.cached)
	newer(&u.reasoning, v.reasoning)
	newer(&u.tools, v.tools)
	newer(&u.wrote, v.wrote)
	newer(&u.apartRead, v.apartRead)
	newer(&u.apartWrite, v.apartWrite)
	newer(&u.billedInput, v.billedInput)
	newer(&u.billedOutput, v.billedOutput)
	newer(&u.total, v.total)
	newer(&u.written5m, v.written5m)
	newer(&u.written1h, v.written1h)
	p, q := &u.parts, &v.parts
	newer(&p.AudioInput, q.AudioInput)
	newer(&p.ImageInput, q.ImageInput)
	newer(&p.AudioOutput, q.AudioOutput)
	newer(&p.ImageOutput, q.ImageOutput)
	newer(&p.CachedAudio, q.CachedAudio)
	newer(&p.CachedImage, q.CachedImage)
	newer(&p.Searches, q.Searches)
	newer(&p.Fetches, q.Fetches)
	newer(&p.Seconds, q.Seconds)
	p.Inconsistent = p.Inconsistent || q.Inconsistent
}

func newer[N int | float64](to *N, n N) {
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
		total = u.input + u.apartRead + u.written()
		cached += u.apartRead
	}
	if total == 0 && u.output == 0 {
		total = u.total
	}
	cached = min(cached, total)
	return total, cached, min(max(u.wrote, u.written()), total-cached)
}

// written returns how many tokens were written to a cache that "input" does not
// include.
func (u *usage) written() int { return max(u.apartWrite, u.written5m+u.written1h) }

// apart fills in what is billed apart, against the totals that are known.
func (u *usage) apart(s *Stream) {
	b := u.parts
	output := u.outputTotal()
	switch {
	case u.cached > s.InputTokens, u.apartRead > s.InputTokens, u.reasoning > output,
		b.AudioInput > s.InputTokens, b.ImageInput > s.InputTokens, b.AudioOutput > output, b.ImageOutput > output:
		b.Inconsistent = true
	case u.total > 0 && u.prompt > 0 && u.total != u.prompt+u.output && !u.reasoningApart():
		b.Inconsistent = true
	}
	b.WrittenHour = min(u.written1h, s.WrittenTokens)
	b.AudioInput, b.ImageInput = min(b.AudioInput, s.InputTokens), min(b.ImageInput, s.InputTokens)
	b.CachedAudio = min(b.CachedAudio, b.AudioInput, s.CachedTokens)
	b.CachedImage = min(b.CachedImage, b.ImageInput, s.CachedTokens-b.CachedAudio)
	b.AudioOutput, b.ImageOutput = min(b.AudioOutput, output), min(b.ImageOutput, output)
	b.Searches = max(b.Searches, s.Billed.Searches) // as counted in the output
	s.Billed = b
}

// outputTotal returns all output tokens.
func (u *usage) outputTotal() int {
	if u.billedOutput > 0 {
		return u.billedOutput
	}
	if u.reasoningApart() {
		return u.output + u.reasoning
	}
	return u.output + u.thoughts
}

// reasoningApart reports whether the reasoning tokens are not among the output, as
// xAI reports them: the total shows it.
func (u *usage) reasoningApart() bool {
	return u.reasoning > 0 && u.prompt > 0 && u.total == u.prompt+u.output+u.reasoning
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
