package answer

import (
	"strings"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/sse"
)

// End is what a finish reason means.
type End uint8

// The meanings of finish reasons. The zero value is UnknownEnd.
const (
	UnknownEnd End = iota // not in the table: the answer is not taken for good
	Natural               // the model has finished, or wants a tool to be called
	Length                // a limit of tokens was reached
	Declined              // the model or a filter declined
	BadCall               // a call of a tool that cannot be read
	Failure               // the server failed
)

// EndOf returns what a finish reason means, compared without case.
func EndOf(reason string) End {
	switch reason {
	case "stop", "tool_calls", "end_turn", "STOP":
		return Natural // spares a lookup
	}
	if end, ok := ends[reason]; ok {
		return end
	}
	reason = strings.ToLower(reason)
	if end, ok := ends[reason]; ok {
		return end
	}
	// The OpenAI route of Gemini names the filter, and behind it what was found.
	filter, _, _ := strings.Cut(reason, ": ")
	return filters[filter]
}

// stop returns why the model stopped. Where a choice was cut or declined, that goes
// before the ends of the others.
func (r *Reader) stop(s *sse.Stream) analysis.Finish {
	if s.NumFinishes == 0 { // the interface responses has none for an answer that is whole
		whole := s.Shapes&sse.ShapeResponses != 0 && s.Terminated && !s.Failed && !s.Deferred
		switch {
		case s.Blocked:
			return analysis.FinishFilter
		case whole && s.ToolCalls > 0 && !r.Ask.ServerTools:
			return analysis.FinishTool
		case whole:
			return analysis.FinishStop
		}
		return analysis.FinishUnknown
	}
	stop := analysis.FinishUnknown
	for _, reason := range s.Finishes[:s.NumFinishes] {
		this := analysis.FinishUnknown
		switch r.end(reason) {
		case Declined:
			return analysis.FinishFilter
		case Length:
			this = analysis.FinishLength
		case Natural:
			if this = analysis.FinishStop; calls(reason) || s.ToolCalls > 0 && mayCall(reason) {
				this = analysis.FinishTool
			}
		}
		if stop != analysis.FinishLength && this != analysis.FinishUnknown {
			stop = this
		}
	}
	return stop
}

// mayCall reports whether a finish reason leaves open that a tool is to be called.
// Ollama and Gemini say "stop" then, so does OpenAI if the request has chosen the tool;
// version 1 of Cohere says "complete". Anthropic's "end_turn" excludes it.
func mayCall(reason string) bool {
	return strings.EqualFold(reason, "stop") || strings.EqualFold(reason, "complete")
}

// calls reports whether a finish reason says that a tool is to be called.
func calls(reason string) bool {
	switch strings.ToLower(reason) {
	case "tool_calls", "function_call", "tool_use", "tool_call":
		return true
	}
	return false
}

// filters holds the finish reasons that have a detail behind a colon.
var filters = map[string]End{
	"content_filter":       Declined,
	"function_call_filter": BadCall,
}

// ends holds the finish reasons in lower case, with what documents them.
var ends = map[string]End{
	// OpenAI chat and completions; Azure; vLLM, SGLang, llama.cpp, Groq, xAI,
	// Moonshot, DeepSeek, Qwen, Mistral and OpenRouter use the same.
	"stop":           Natural,
	"tool_calls":     Natural,
	"function_call":  Natural,
	"length":         Length,
	"content_filter": Declined,
	// OpenAI responses, incomplete_details.reason.
	"max_output_tokens": Length,
	// Anthropic messages, stop_reason.
	"end_turn":                      Natural,
	"stop_sequence":                 Natural,
	"tool_use":                      Natural,
	"pause_turn":                    Natural,
	"compaction":                    Natural,
	"max_tokens":                    Length,
	"model_context_window_exceeded": Length,
	"refusal":                       Declined,
	// Gemini, FinishReason. STOP and MAX_TOKENS are above.
	"safety":                    Declined,
	"recitation":                Declined,
	"blocklist":                 Declined,
	"prohibited_content":        Declined,
	"spii":                      Declined,
	"image_safety":              Declined,
	"image_prohibited_content":  Declined,
	"image_recitation":          Declined,
	"model_armor":               Declined,
	"language":                  Declined,
	"malformed_function_call":   BadCall,
	"unexpected_tool_call":      BadCall,
	"too_many_tool_calls":       BadCall,
	"missing_thought_signature": BadCall,
	"malformed_response":        Failure,
	"image_other":               Failure,
	"no_image":                  Failure,
	// Cohere, ChatFinishReason.
	"complete":    Natural,
	"tool_call":   Natural,
	"error":       Failure, // OpenRouter and Mistral, too
	"timeout":     Failure,
	"error_toxic": Declined,
	"error_limit": Length,
	"user_cancel": Failure,
	// Mistral and Qwen.
	"model_length": Length,
	// DeepSeek.
	"insufficient_system_resource": Failure,
	// Zhipu.
	"sensitive":     Declined,
	"network_error": Failure,
	// watsonx.
	"eos_token":    Natural,
	"not_finished": UnknownEnd,
	"cancelled":    Failure,
	"time_limit":   Failure,
	"token_limit":  Length,
	// Text generation inference.
	"eos": Natural,
	// llama.cpp, stop_type.
	"word":  Natural,
	"limit": Length,
	// Ollama, done_reason.
	"load":   Natural,
	"unload": Natural,
	// vLLM, FinishReason: the output began to repeat itself and was ended.
	"repetition": Length,
	// SGLang and vLLM: the request was aborted on the server.
	"abort":   Failure,
	"aborted": Failure,
	// Bedrock converse, stopReason. end_turn and others are above.
	"guardrail_intervened":   Declined,
	"content_filtered":       Declined,
	"malformed_model_output": Failure,
	"malformed_tool_use":     BadCall,
}
