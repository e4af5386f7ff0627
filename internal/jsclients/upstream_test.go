package jsclients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// upstream speaks the interfaces of OpenAI and of Anthropic, and says the same each
// time: texts beyond ASCII, calls of tools in several chunks, usage at the end.
func upstream() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", chat)
	mux.HandleFunc("POST /v1/responses", responses)
	mux.HandleFunc("POST /v1/messages", messages)
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, _ *http.Request) {
		whole(w, `{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5,1]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`)
	})
	return mux
}

type request struct {
	Model    string
	Stream   bool
	Tools    []json.RawMessage
	Messages []struct{ Role string }
}

func read(w http.ResponseWriter, r *http.Request) (q request, ok bool) {
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return q, false
	}
	return q, true
}

func whole(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}

// stream sends events one by one, with a pause before every other one, so that
// some come alone and some together.
func stream(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i, e := range events {
		if i%2 == 1 {
			time.Sleep(2 * time.Millisecond)
		}
		fmt.Fprint(w, e, "\n\n")
		w.(http.Flusher).Flush()
	}
}

func data(format string, args ...any) string { return "data: " + fmt.Sprintf(format, args...) }

func chat(w http.ResponseWriter, r *http.Request) {
	q, ok := read(w, r)
	if !ok {
		return
	}
	const usage = `"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}`
	chunk := func(delta, finish string) string {
		return data(`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}`, delta, finish)
	}
	calls := `[{"id":"t1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}},{"id":"t2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Basel\"}"}}]`
	last := q.Messages[len(q.Messages)-1].Role
	switch {
	case q.Model == "unknown":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"message":"there is no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}`)
	case q.Model == "broken":
		stream(w, chunk(`{"role":"assistant","content":"one"}`, "null"), chunk(`{"content":" two"}`, "null"))
		panic(http.ErrAbortHandler)
	case len(q.Tools) > 0 && last != "tool" && !q.Stream:
		whole(w, `{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":`+calls+`},"finish_reason":"tool_calls"}],`+usage+`}`)
	case !q.Stream:
		whole(w, `{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"sunny, 晴れ ☀️"},"finish_reason":"stop"}],`+usage+`}`)
	case len(q.Tools) > 0 && last != "tool":
		stream(w, chunk(`{"role":"assistant","content":null}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"weather","arguments":""}}]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"\"Bern\"}"}}]}`, "null"),
			chunk(`{"tool_calls":[{"index":1,"id":"t2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Basel\"}"}}]}`, "null"),
			chunk(`{}`, `"tool_calls"`), data(`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],%s}`, usage), "data: [DONE]")
	default:
		stream(w, ": a comment", chunk(`{"role":"assistant","content":""}`, "null"), chunk(`{"content":"sunny, "}`, "null"), chunk(`{"content":"晴れ"}`, "null"),
			chunk(`{"content":" ☀️"}`, "null"), chunk(`{}`, `"stop"`), data(`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],%s}`, usage), "data: [DONE]")
	}
}

func responses(w http.ResponseWriter, r *http.Request) {
	q, ok := read(w, r)
	if !ok {
		return
	}
	response := func(status, output string) string {
		return `{"id":"r1","object":"response","created_at":1,"status":"` + status + `","model":"m","output":[` + output + `],"parallel_tool_calls":true,"tools":[],"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":1},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":8}}`
	}
	const message = `{"id":"m1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"good day","annotations":[]}]}`
	const call = `{"id":"f1","type":"function_call","status":"completed","call_id":"t1","name":"weather","arguments":"{\"city\":\"Bern\"}"}`
	if !q.Stream {
		whole(w, response("completed", message))
		return
	}
	n := 0
	event := func(kind, rest string) string {
		n++
		return fmt.Sprintf("event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%d,%s}", kind, kind, n, rest)
	}
	events := []string{
		event("response.created", `"response":`+response("in_progress", "")),
		event("response.output_item.added", `"output_index":0,"item":{"id":"m1","type":"message","role":"assistant","status":"in_progress","content":[]}`),
		event("response.content_part.added", `"item_id":"m1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}`),
		event("response.output_text.delta", `"item_id":"m1","output_index":0,"content_index":0,"delta":"good ","logprobs":[]`),
		event("response.output_text.delta", `"item_id":"m1","output_index":0,"content_index":0,"delta":"day","logprobs":[]`),
		event("response.output_text.done", `"item_id":"m1","output_index":0,"content_index":0,"text":"good day","logprobs":[]`),
		event("response.output_item.done", `"output_index":0,"item":`+message),
	}
	output := message
	if len(q.Tools) > 0 {
		output += "," + call
		events = append(events,
			event("response.output_item.added", `"output_index":1,"item":{"id":"f1","type":"function_call","status":"in_progress","call_id":"t1","name":"weather","arguments":""}`),
			event("response.function_call_arguments.delta", `"item_id":"f1","output_index":1,"delta":"{\"city\":"`),
			event("response.function_call_arguments.delta", `"item_id":"f1","output_index":1,"delta":"\"Bern\"}"`),
			event("response.output_item.done", `"output_index":1,"item":`+call))
	}
	stream(w, append(events, event("response.completed", `"response":`+response("completed", output)))...)
}

func messages(w http.ResponseWriter, r *http.Request) {
	q, ok := read(w, r)
	if !ok {
		return
	}
	if q.Model == "unknown" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(529)
		fmt.Fprint(w, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)
		return
	}
	if !q.Stream {
		whole(w, `{"id":"a1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"},{"type":"tool_use","id":"t1","name":"weather","input":{"city":"Bern"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":9,"cache_read_input_tokens":3,"output_tokens":6}}`)
		return
	}
	event := func(body string) string {
		var kind struct{ Type string }
		_ = json.Unmarshal([]byte(body), &kind)
		return "event: " + kind.Type + "\ndata: " + body
	}
	var events []string
	for body := range strings.Lines(`{"type":"message_start","message":{"id":"a1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"cache_read_input_tokens":3,"output_tokens":1}}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"ping"}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hel"}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"weather","input":{}}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"Bern\"}"}}
{"type":"content_block_stop","index":1}
{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":6}}
{"type":"message_stop"}
`) {
		events = append(events, event(strings.TrimSpace(body)))
	}
	stream(w, events...)
}
