package sse

import "github.com/serin-go/serin/internal/jsonwalk"

// headSize bounds what is kept of an event or a document. A larger one is
// shortened as it comes.
const headSize = 60 << 10

const (
	piece     = 4 << 10          // what is shortened at a time
	carrySize = headSize + piece // the memory of a carry
)

// carry holds the bytes of one event or document, shortened to its structure if
// there are too many of them.
type carry struct {
	head     []byte
	squeezer jsonwalk.Squeezer
	squeezed bool
	full     bool // even the structure is too large
}

// add appends p. The memory of a carry never grows beyond a fixed bound.
func (c *carry) add(p []byte) {
	if !c.squeezed {
		if len(c.head)+len(p) <= headSize {
			c.grow(len(p))
			c.head = append(c.head, p...)
			return
		}
		c.squeezer.Keep, c.squeezer.Cut = interesting, kept
		c.squeezer.Reset()
		c.squeezed = true
		c.head = c.squeezer.Feed(c.head[:0], c.head)
	}
	for len(p) > 0 && !c.full {
		n := min(len(p), piece)
		c.grow(n)
		c.head = c.squeezer.Feed(c.head, p[:n])
		p = p[n:]
		c.full = len(c.head) > headSize
	}
}

// grow makes room for n more bytes, never for more than carrySize in all.
func (c *carry) grow(n int) {
	if need := len(c.head) + n; need > cap(c.head) {
		bigger := make([]byte, len(c.head), min(max(2*cap(c.head), need, 512), carrySize))
		copy(bigger, c.head)
		c.head = bigger
	}
}

// whole returns all that is there, when no more comes.
func (c *carry) whole() []byte {
	if c.squeezed {
		c.head = c.squeezer.End(c.head)
	}
	return c.head
}

func (c *carry) reset() { c.head, c.squeezed, c.full = c.head[:0], false, false }

// kept returns how many bytes of a string are kept below a member of the top.
func kept(top []byte) int {
	switch string(top) {
	case "data", "embeddings", "results":
		return 8 // there may be thousands
	}
	return 256
}

// interesting reports whether a member decides anything about an answer: whether
// it is among those that chunk reads.
func interesting(top, name []byte, depth int) bool {
	if string(top) == "data" && depth > 2 { // there may be thousands
		switch string(name) {
		case "embedding", "embeddings", "b64_json", "url", "relevance_score", "score", "label", "labels", "prediction", "probs", "data",
			"values", "float", "base64", "int8", "uint8", "binary", "ubinary":
			return true
		}
		return false
	}
	return members[string(name)]
}

// members are the names that chunk looks for, at any depth.
var members = func() map[string]bool {
	set := make(map[string]bool)
	for _, name := range []string{
		"choices", "usage", "type", "object", "model", "delta", "error", "message", "response", "done", "done_reason", "thinking",
		"prompt_eval_count", "eval_count", "content_block", "item", "content", "output", "stop_reason", "status", "incomplete_details",
		"index", "text", "finish_reason", "reasoning_content", "reasoning", "reasoning_details", "partial_json", "refusal", "tool_calls",
		"function_call", "function", "custom", "name", "arguments", "input", "signature", "citation", "audio", "images", "video",
		"transcript", "data", "reason", "code", "error_type", "candidates", "promptFeedback", "blockReason", "usageMetadata", "parts",
		"thought", "functionCall", "inlineData", "fileData", "fileUri", "prediction", "labels", "executableCode", "codeExecutionResult", "finishReason",
		"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount",
		"embedding", "embeddings", "values", "float", "base64", "int8", "uint8", "binary", "ubinary", "results", "flagged", "categories",
		"relevance_score", "score", "label", "probs", "classifications", "predictions", "b64_json", "url", "partial_image_b64",
		"generated_text", "token", "details", "generated_tokens", "meta_info", "stop", "stop_type", "tokens_evaluated",
		"tokens_predicted", "event_type", "tool_plan", "billed_units", "tokens", "meta", "result", "encrypted_content", "summary",
		"prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "prompt_tokens_details", "input_tokens_details",
		"completion_tokens_details", "output_tokens_details", "prompt_cache_hit_tokens", "cache_read_input_tokens",
		"cache_creation_input_tokens", "cached_tokens", "reasoning_tokens", "total_tokens", "inputTokens", "outputTokens",
		"cacheReadInputTokens", "cacheWriteInputTokens", "stopReason", "toolUse", "image", "service_tier", "native_finish_reason", "x_groq", "input_length",
		"cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "server_tool_use", "web_search_requests",
		"web_fetch_requests", "audio_tokens", "image_tokens", "promptTokensDetails", "candidatesTokensDetails", "modality", "tokenCount", "seconds",
		"modelVersion", "input_token_details", "output_token_details", "cached_tokens_details", "cacheTokensDetails", "cache_write_tokens", "action",
	} {
		set[name] = true
	}
	return set
}()
