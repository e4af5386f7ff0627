package answer_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// TestUsage reads usage reports as the servers' documentation says that they bill.
func TestUsage(t *testing.T) {
	chat := func(usage string) string {
		return `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":` + usage + `}`
	}
	claude := func(usage string) string {
		return `{"type":"message","role":"assistant","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":` + usage + `}`
	}
	gemini := func(usage string) string {
		return `{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":` + usage + `}`
	}
	events := func(data ...string) string {
		var b strings.Builder
		for _, d := range data {
			b.WriteString("data: " + d + "\n\n")
		}
		return b.String()
	}
	response := func(output, usage string) string {
		return `{"object":"response","status":"completed","output":[` + output + `],"usage":` + usage + `}`
	}
	const (
		responsesPath = "/v1/responses"

		search = `{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"x"}}`
		opened = `{"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"u"}}`

		chatPath   = "/v1/chat/completions"
		claudePath = "/v1/messages"
		geminiPath = "/v1beta/models/gemini-3:generateContent"
	)
	tests := []struct {
		name, path, body string
		want             answer.Usage
	}{
		{"OpenAI, input includes what was cached", chatPath,
			chat(`{"prompt_tokens":3000,"completion_tokens":10,"total_tokens":3010,"prompt_tokens_details":{"cached_tokens":2000,"audio_tokens":5},"completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":2,"accepted_prediction_tokens":1,"rejected_prediction_tokens":1}}`),
			answer.Usage{Input: 3000, Cached: 2000, Output: 10, Reasoning: 4, AudioInput: 5, AudioOutput: 2, Reported: true}},
		{"OpenAI with the counters of Anthropic beside them", chatPath,
			chat(`{"prompt_tokens":3000,"completion_tokens":10,"total_tokens":3010,"prompt_tokens_details":{"cached_tokens":2000},"cache_read_input_tokens":2000,"cache_creation_input_tokens":0}`),
			answer.Usage{Input: 3000, Cached: 2000, Output: 10, Reported: true}},
		{"xAI, reasoning beside the output", chatPath,
			chat(`{"prompt_tokens":10,"completion_tokens":20,"total_tokens":130,"completion_tokens_details":{"reasoning_tokens":100}}`),
			answer.Usage{Input: 10, Output: 120, Reasoning: 100, Reported: true}},
		{"a total that is not the sum", chatPath,
			chat(`{"prompt_tokens":10,"completion_tokens":20,"total_tokens":75}`),
			answer.Usage{Input: 10, Output: 20, Reported: true, Inconsistent: true}},
		{"DeepSeek", chatPath,
			chat(`{"prompt_tokens":30,"completion_tokens":20,"total_tokens":50,"prompt_cache_hit_tokens":10,"prompt_cache_miss_tokens":20}`),
			answer.Usage{Input: 30, Cached: 10, Output: 20, Reported: true}},
		{"negative input", chatPath,
			chat(`{"prompt_tokens":-3,"completion_tokens":2}`),
			answer.Usage{Output: 2, Reported: true, Inconsistent: true}},
		{"more output than any request has", chatPath,
			chat(`{"prompt_tokens":3,"completion_tokens":1e15}`),
			answer.Usage{Input: 3, Inconsistent: true}},
		{"more cached than read", chatPath,
			chat(`{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}`),
			answer.Usage{Input: 3, Cached: 3, Output: 1, Reported: true, Inconsistent: true}},
		{"Anthropic, input excludes the cache", claudePath,
			claude(`{"input_tokens":1000,"cache_read_input_tokens":2000,"cache_creation_input_tokens":500,"output_tokens":100}`),
			answer.Usage{Input: 3500, Cached: 2000, CacheWrite: 500, Output: 100, Reported: true}},
		{"Anthropic, cache written for five minutes and for an hour, tools of the server", claudePath,
			claude(`{"input_tokens":10,"cache_creation_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":400},"output_tokens":7,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}`),
			answer.Usage{Input: 510, CacheWrite: 500, CacheWriteHour: 400, Output: 7, WebSearches: 2, WebFetches: 1, Reported: true}},
		{"Anthropic, later reports replace earlier ones", claudePath,
			events(`{"type":"message_start","message":{"type":"message","content":[],"usage":{"input_tokens":20,"output_tokens":1}}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}`,
				`{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":40}}`,
				`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":90}}`,
				`{"type":"message_stop"}`),
			answer.Usage{Input: 20, Output: 90, Reported: true}},
		{"Gemini, thoughts and tools apart", geminiPath,
			gemini(`{"promptTokenCount":100,"cachedContentTokenCount":40,"toolUsePromptTokenCount":7,"candidatesTokenCount":20,"thoughtsTokenCount":30,"promptTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":40}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":15}]}`),
			answer.Usage{Input: 107, Cached: 40, Output: 50, Reasoning: 30, AudioInput: 40, ImageOutput: 15, Reported: true}},
		{"Ollama without a count of the prompt", "/api/chat",
			`{"model":"m","message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"stop","eval_count":9}`,
			answer.Usage{Output: 9, Reported: true}},
		{"Cohere, billed units go before tokens", "/v2/chat",
			`{"id":"1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Hi"}]},"usage":{"billed_units":{"input_tokens":5,"output_tokens":6},"tokens":{"input_tokens":500,"output_tokens":600}}}`,
			answer.Usage{Input: 5, Output: 6, Reported: true}},
		{"images", "/v1/images/generations",
			`{"created":1,"data":[{"b64_json":"aGk="},{"b64_json":"aGk="}],"usage":{"input_tokens":5,"output_tokens":60,"total_tokens":65,"input_tokens_details":{"text_tokens":2,"image_tokens":3}}}`,
			answer.Usage{Input: 5, Output: 60, ImageInput: 3, Images: 2, Reported: true}},
		{"transcription that is billed by time", "/v1/audio/transcriptions",
			`{"text":"Hi","usage":{"type":"duration","seconds":12}}`,
			answer.Usage{Seconds: 12}},
		{"transcription that is billed by fractions of a second", "/v1/audio/transcriptions",
			`{"text":"Hi","usage":{"type":"duration","seconds":30.5}}`,
			answer.Usage{Seconds: 30.5}},
		{"negative seconds", "/v1/audio/transcriptions",
			`{"text":"Hi","usage":{"type":"duration","seconds":-30.5,"output_tokens":1}}`,
			answer.Usage{Output: 1, Reported: true, Inconsistent: true}},
		{"seconds that are no number", "/v1/audio/transcriptions",
			`{"text":"Hi","usage":{"type":"duration","seconds":"30.5"}}`,
			answer.Usage{}},
		{"transcription that is billed by tokens", "/v1/audio/transcriptions",
			`{"text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":45,"output_token_details":{"audio_tokens":5},"total_tokens":59}}`,
			answer.Usage{Input: 14, Output: 45, AudioInput: 10, AudioOutput: 5, Reported: true}},
		{"OpenAI, cached audio", chatPath,
			chat(`{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010,"prompt_tokens_details":{"cached_tokens":800,"audio_tokens":600,"image_tokens":100,"cached_tokens_details":{"text_tokens":250,"audio_tokens":500,"image_tokens":50}}}`),
			answer.Usage{Input: 1000, Cached: 800, Output: 10, AudioInput: 600, ImageInput: 100, CachedAudio: 500, CachedImage: 50, Reported: true}},
		{"more cached audio than there is", chatPath,
			chat(`{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":30,"audio_tokens":20,"image_tokens":20,"cached_tokens_details":{"audio_tokens":90,"image_tokens":90}}}`),
			answer.Usage{Input: 100, Cached: 30, Output: 1, AudioInput: 20, ImageInput: 20, CachedAudio: 20, CachedImage: 10, Reported: true}},
		{"Gemini, a cached image", geminiPath,
			gemini(`{"promptTokenCount":1000,"candidatesTokenCount":100,"cachedContentTokenCount":900,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"IMAGE","tokenCount":900}],"cacheTokensDetails":[{"modality":"IMAGE","tokenCount":900}]}`),
			answer.Usage{Input: 1000, Cached: 900, Output: 100, ImageInput: 900, CachedImage: 900, Reported: true}},
		{"OpenRouter, written to a cache", chatPath,
			chat(`{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":800}}`),
			answer.Usage{Input: 1000, Cached: 100, CacheWrite: 800, Output: 100, Reported: true}},
		{"OpenRouter, responses", responsesPath,
			response(`{"type":"message","content":[{"type":"output_text","text":"Hi"}]}`, `{"input_tokens":1000,"output_tokens":100,"input_tokens_details":{"cache_write_tokens":800}}`),
			answer.Usage{Input: 1000, CacheWrite: 800, Output: 100, Reported: true}},
		{"OpenAI, searches of the web", responsesPath,
			response(search+","+search+","+opened+`,{"type":"web_search_call","status":"completed"},{"type":"message","content":[{"type":"output_text","text":"Hi"}]}`, `{"input_tokens":10,"output_tokens":5}`),
			answer.Usage{Input: 10, Output: 5, WebSearches: 3, Reported: true}},
		{"OpenAI, searches of a stream", responsesPath,
			events(`{"type":"response.output_item.added","item":`+search+`}`, `{"type":"response.output_item.done","item":`+search+`}`,
				`{"type":"response.output_item.done","item":`+opened+`}`, `{"type":"response.output_item.done","item":`+search+`}`,
				`{"type":"response.output_text.delta","delta":"Hi"}`,
				`{"type":"response.completed","response":`+response(search+","+opened+","+search, `{"input_tokens":10,"output_tokens":5}`)+`}`),
			answer.Usage{Input: 10, Output: 5, WebSearches: 2, Reported: true}},
		{"OpenAI, searches at the end of a stream alone", responsesPath,
			events(`{"type":"response.output_text.delta","delta":"Hi"}`,
				`{"type":"response.completed","response":`+response(search, `{"input_tokens":10,"output_tokens":5}`)+`}`),
			answer.Usage{Input: 10, Output: 5, WebSearches: 1, Reported: true}},
		{"OpenAI, searches of a stream that breaks off", responsesPath,
			events(`{"type":"response.output_item.done","item":`+search+`}`, `{"type":"response.output_item.done","item":`+search+`}`),
			answer.Usage{Output: 1, WebSearches: 2}},
		{"OpenAI, searches of a large answer", responsesPath,
			response(search+","+opened+`,{"type":"message","content":[{"type":"output_text","text":"`+strings.Repeat("word ", 40<<10)+`"}]}`, `{"input_tokens":10,"output_tokens":5}`),
			answer.Usage{Input: 10, Output: 5, WebSearches: 1, Reported: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{"Content-Type": {"application/json"}}
			if strings.HasPrefix(tt.body, "data:") {
				header.Set("Content-Type", "text/event-stream")
			}
			var r answer.Reader
			r.Ask = answer.Ask{Route: answer.RouteOf("POST", tt.path)}
			r.Start(200, header)
			r.Feed([]byte(tt.body), 1)
			got := r.End(2, answer.Cause{}).Usage
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(answer.Usage{}, "Text", "Unreported", "LastOutput")); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNames reads the model and the service tier of answers.
func TestNames(t *testing.T) {
	const content = `"content":[{"type":"text","text":"Hi"}]`
	tests := []struct{ name, path, body, model, tier string }{
		{"OpenAI", "/v1/chat/completions", `{"model":"m","service_tier":"flex","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}`, "m", "flex"},
		{"Gemini", "/v1beta/models/m:generateContent", `{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"modelVersion":"m-001"}`, "m-001", ""},
		{"Gemini, a stream", "/v1beta/models/m:streamGenerateContent", `data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"modelVersion":"m-001"}` + "\n\n", "m-001", ""},
		{"Gemini, a large answer", "/v1beta/models/m:generateContent", `{"candidates":[{"content":{"parts":[{"text":"` + strings.Repeat("word ", 40<<10) + `"}]},"finishReason":"STOP"}],"modelVersion":"m-001"}`, "m-001", ""},
		{"Anthropic", "/v1/messages", `{"type":"message","model":"m",` + content + `,"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"service_tier":"priority"}}`, "m", "priority"},
		{"Anthropic, usage without counters", "/v1/messages", `{"type":"message","model":"m",` + content + `,"usage":{"service_tier":"priority"}}`, "m", "priority"},
		{"Anthropic, a stream", "/v1/messages", `data: {"type":"message_start","message":{"model":"m","content":[],"usage":{"input_tokens":1,"service_tier":"priority"}}}` + "\n\n" +
			`data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}` + "\n\n" +
			`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n", "m", "priority"},
		{"Anthropic, the end of a stream", "/v1/messages", `data: {"type":"message_start","message":{"model":"m","content":[],"usage":{"input_tokens":1,"service_tier":"standard"}}}` + "\n\n" +
			`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9,"service_tier":"batch"}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n", "m", "batch"},
		{"both", "/v1/messages", `{"type":"message","model":"m","service_tier":"flex",` + content + `,"usage":{"service_tier":"priority"}}`, "m", "flex"},
		{"a tier that is no text", "/v1/messages", `{"type":"message","model":"m",` + content + `,"usage":{"service_tier":["priority"]}}`, "m", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{"Content-Type": {"application/json"}}
			if strings.HasPrefix(tt.body, "data:") {
				header.Set("Content-Type", "text/event-stream")
			}
			var r answer.Reader
			r.Ask, r.Names = answer.Ask{Route: answer.RouteOf("POST", tt.path)}, true
			r.Start(200, header)
			r.Feed([]byte(tt.body), 1)
			if got := r.End(2, answer.Cause{}); got.Model != tt.model || got.ServiceTier != tt.tier {
				t.Errorf("model %q, tier %q, want %q and %q", got.Model, got.ServiceTier, tt.model, tt.tier)
			}
		})
	}
}

// TestUnreported counts the text that came after the last report of the output.
func TestUnreported(t *testing.T) {
	const (
		start = `data: {"type":"message_start","message":{"type":"message","content":[],"usage":{"input_tokens":20,"output_tokens":1}}}` + "\n\n"
		delta = `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"four"}}` + "\n\n"
		said  = `data: {"choices":[{"delta":{"content":"four"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\n"
	)
	tests := []struct {
		name, path, body string
		text, unreported int
	}{
		{"nothing reported but the beginning", "/v1/messages", start + strings.Repeat(delta, 50), 200, 200},
		{"reported in the end", "/v1/messages", start + delta + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":40}}` + "\n\n", 4, 0},
		{"reported with each chunk", "/v1/chat/completions", said + said, 8, 0},
		{"never reported", "/v1/chat/completions", strings.Repeat(`data: {"choices":[{"delta":{"content":"four"}}]}`+"\n\n", 3), 12, 12},
		{"cut within an event", "/v1/chat/completions", said + said[:40], 4, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 7, len(tt.body)} {
				var r answer.Reader
				r.Ask = answer.Ask{Route: answer.RouteOf("POST", tt.path)}
				r.Start(200, http.Header{"Content-Type": {"text/event-stream"}})
				for rest := tt.body; rest != ""; {
					n := min(step, len(rest))
					r.Feed([]byte(rest[:n]), 1)
					rest = rest[n:]
				}
				u := r.End(2, answer.Cause{Kind: answer.Gone}).Usage
				if u.Text != tt.text || u.Unreported != tt.unreported {
					t.Errorf("in steps of %d: text %d, unreported %d, want %d and %d", step, u.Text, u.Unreported, tt.text, tt.unreported)
				}
			}
		})
	}
}
