package answer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/corpus"
)

// observed returns the finish that an outcome has in an observation.
func observed(o answer.Outcome) analysis.Finish {
	var seen analysis.Observation
	o.Observe(&seen)
	return seen.Finish
}

// TestFinishOfChoices reads documents whose choices end with some reasons.
func TestFinishOfChoices(t *testing.T) {
	for reasons, want := range map[string]analysis.Finish{
		"stop": analysis.FinishStop, "end_turn": analysis.FinishStop, "COMPLETE": analysis.FinishStop, "eos_token": analysis.FinishStop, "pause_turn": analysis.FinishStop,
		"length": analysis.FinishLength, "MAX_TOKENS": analysis.FinishLength, "max_tokens": analysis.FinishLength, "model_length": analysis.FinishLength,
		"tool_calls": analysis.FinishTool, "function_call": analysis.FinishTool, "tool_use": analysis.FinishTool, "TOOL_CALL": analysis.FinishTool,
		"content_filter": analysis.FinishFilter, "SAFETY": analysis.FinishFilter, "refusal": analysis.FinishFilter, "content_filter: hate": analysis.FinishFilter,
		"error": analysis.FinishUnknown, "malformed_function_call": analysis.FinishUnknown, "whatever": analysis.FinishUnknown, "": analysis.FinishUnknown,
		"my_end": analysis.FinishStop, "my_limit": analysis.FinishLength, "eos": analysis.FinishFilter, // by FinishReasons
		"stop,length": analysis.FinishLength, "length,stop": analysis.FinishLength, "length,tool_calls": analysis.FinishLength,
		"length,content_filter": analysis.FinishFilter, "stop,whatever": analysis.FinishStop, "whatever,stop": analysis.FinishStop,
	} {
		var choices []string
		for i, reason := range strings.Split(reasons, ",") {
			choices = append(choices, fmt.Sprintf(`{"index":%d,"message":{"role":"assistant","content":"a"},"finish_reason":%q}`, i, reason))
		}
		var r answer.Reader
		r.Ask = answer.Ask{Route: answer.RouteOf("POST", "/v1/chat/completions"), N: len(choices)}
		r.FinishReasons = map[string]answer.End{"my_end": answer.Natural, "my_limit": answer.Length, "eos": answer.Declined}
		r.Start(200, http.Header{"Content-Type": {"application/json"}})
		r.Feed([]byte(`{"choices":[`+strings.Join(choices, ",")+`]}`), 1)
		if got := observed(r.End(2, answer.Cause{})); got != want {
			t.Errorf("%q: %v, want %v", reasons, got, want)
		}
	}
}

// TestFinishOfCorpus reads labelled answers of all interfaces.
func TestFinishOfCorpus(t *testing.T) {
	want := map[string]analysis.Finish{
		"chat stream, tool call in pieces":                    analysis.FinishTool,
		"chat document, a tool call and finish stop":          analysis.FinishTool,
		"chat stream, DONE without any finish reason":         analysis.FinishUnknown,
		"chat document, function_call of the old API":         analysis.FinishTool,
		"responses document":                                  analysis.FinishStop,
		"responses stream":                                    analysis.FinishStop,
		"responses document, function call alone":             analysis.FinishTool,
		"responses stream, function call alone":               analysis.FinishTool,
		"responses document, refusal part":                    analysis.FinishFilter,
		"responses document, incomplete at max_output_tokens": analysis.FinishLength,
		"responses document, queued in background":            analysis.FinishUnknown,
		"messages stream":                                     analysis.FinishStop,
		"messages document, tool_use alone":                   analysis.FinishTool,
		"messages stream, tool_use with input_json_delta":     analysis.FinishTool,
		"messages document, web search result and citations":  analysis.FinishStop,
		"gemini document, functionCall alone":                 analysis.FinishTool,
		"gemini document, two candidates":                     analysis.FinishLength,
		"gemini document, prompt blocked":                     analysis.FinishFilter,
		"gemini stream, SAFETY after text":                    analysis.FinishFilter,
		"gemini stream, functionCall in two events":           analysis.FinishTool,
		"ollama chat lines, tool call alone":                  analysis.FinishTool,
		"ollama chat lines, done_reason absent":               analysis.FinishUnknown,
		"cohere document":                                     analysis.FinishStop,
		"cohere document of the old API, tool calls alone":    analysis.FinishTool,
		"cohere document, finish reason MAX_TOKENS":           analysis.FinishLength,
		"tgi document without details":                        analysis.FinishUnknown,
		"vLLM classify":                                       analysis.FinishUnknown,
	}
	for _, row := range corpus.Rows() {
		o, _ := read(row)
		got := observed(o)
		if w, ok := want[row.Name]; ok && got != w {
			t.Errorf("%s: %v, want %v", row.Name, got, w)
		}
		delete(want, row.Name)
		if o.Class == analysis.Refused && got != analysis.FinishFilter {
			t.Errorf("%s: %v, want filter for what was declined", row.Name, got)
		}
		if answer.EndOf(o.Finish) == answer.Length && got != analysis.FinishLength && got != analysis.FinishFilter {
			t.Errorf("%s: %v, want length for %q", row.Name, got, o.Finish)
		}
		if o.Class == analysis.OK && o.Finish != "" && got == analysis.FinishUnknown {
			t.Errorf("%s: nothing is known of a good answer that says %q", row.Name, o.Finish)
		}
	}
	for name := range want {
		t.Errorf("no row is named %q", name)
	}
}
