package privacy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-go/serin/rollout/privacy"
)

// streamed returns a stream of events through a redactor.
func streamed(r *privacy.Redactor, events ...string) string {
	body := "data: " + strings.Join(events, "\n\ndata: ") + "\n\n"
	w := httptest.NewRecorder()
	r.Handler(reply("text/event-stream", body, 100), privacy.ResponsesOnly).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	return w.Body.String()
}

// TestTextsOfAnyName: a text is one over all events, whatever its name is.
func TestTextsOfAnyName(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for _, form := range []string{
		`{"choices":[{"index":0,"delta":{"content":%s}}]}`,
		`{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":"stop"}]}`,
		`{"type":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%s}}]}`,
		`{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":%s}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"custom":{"input":%s}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.summary","summary":%s}]}}]}`,
		`{"candidates":[{"content":{"parts":[{"text":%s}]},"finishReason":"STOP"}]}`,
		`{"object":"thread.message.delta","delta":{"content":[{"index":0,"type":"text","text":{"value":%s}}]}}`,
		`{"type":"response.custom_tool_call_input.delta","delta":%s}`,
		`{"type":"token","content":%s}`,
		`{"event":"message","answer":%s}`,
		`{"generated_text":%s}`,
		`{"outputText":%s}`,
	} {
		const text = "mail alice@example.com or +49 151 23456789, ok"
		for n := 1; n < len(text); n++ {
			var events []string
			for _, p := range pieces(text, n) {
				events = append(events, fmt.Sprintf(form, quote(p)))
			}
			got := streamed(r, append(events, "[DONE]")...)
			if said := joined(t, got); said != "mail [EMAIL] or [PHONE], ok" {
				t.Fatalf("%s in pieces of %d: %q\n%s", form, n, said, got)
			}
		}
	}
}

// joined joins the texts of events: all strings but those that say what an event is.
func joined(t *testing.T, stream string) string {
	t.Helper()
	var b strings.Builder
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				walk(name, v)
			}
		case []any:
			for _, v := range v {
				walk(name, v)
			}
		case string:
			switch name {
			case "type", "object", "event", "finish_reason", "finishReason":
			default:
				b.WriteString(v)
			}
		}
	}
	for line := range strings.Lines(stream) {
		data, is := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !is || data == "[DONE]" {
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		walk("", v)
	}
	return b.String()
}

// TestStreamOfJSON: a text that is JSON is redacted in a stream as it is in a document.
func TestStreamOfJSON(t *testing.T) {
	r := redactor(t, privacy.Config{})
	const text = "\n" + `{"phone":"a\n+49 151 23456789","m":"\talice\u0040example.com"}`
	for n := 1; n < len(text); n++ {
		var events []string
		for _, p := range pieces(text, n) {
			events = append(events, `{"choices":[{"index":0,"delta":{"content":`+quote(p)+`}}]}`)
		}
		if got := joined(t, streamed(r, events...)); got != "\n"+`{"phone":"a\n[PHONE]","m":"\t[EMAIL]"}` {
			t.Fatalf("pieces of %d: %q", n, got)
		}
	}
}

// TestArgumentsStayJSON: the arguments of a tool call are JSON after they were redacted.
func TestArgumentsStayJSON(t *testing.T) {
	r := redactor(t, privacy.Config{})
	for args, want := range map[string]string{
		`{"a":"x\ud83d","b":"alice\u0040example.com"}`: `{"a":"x` + "\ufffd" + `","b":"[EMAIL]"}`,
		`{"a":"\ud83d\n","b":1}`:                       `{"a":"` + "\ufffd" + `\n","b":1}`,
		`{"a":"\ud83d\u0041"}`:                         `{"a":"` + "\ufffd" + `A"}`,
		`{"a":"\ud83d\ude00"}`:                         `{"a":"` + "\U0001f600" + `"}`,
		`{"a":-4111111111111111}`:                      `{"a":"-[CARD]"}`,
		`{"body":"{\"to\":\"alice\\u0040example.com\",\"t\":\"x\\n+49 151 23456789\"}"}`: `{"body":"{\"to\":\"[EMAIL]\",\"t\":\"x\\n[PHONE]\"}"}`,
	} {
		for n := 1; n <= len(args); n++ {
			var events []string
			for _, p := range pieces(args, n) {
				events = append(events, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":`+quote(p)+`}}]}}]}`)
			}
			if got := joined(t, streamed(r, append(events, "[DONE]")...)); got != want || !json.Valid([]byte(got)) {
				t.Fatalf("pieces of %d:\n got %s\nwant %s", n, got, want)
			}
		}
	}
}

// TestRestHasNothingElse: the event with what was held back repeats no name, usage or reason.
func TestRestHasNothingElse(t *testing.T) {
	r := redactor(t, privacy.Config{})
	got := streamed(r,
		`{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c1","function":{"name":"send","arguments":"{\"q\":\"hel"}}]},"finish_reason":null}],"usage":{"total_tokens":7}}`,
		`{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`)
	want := `data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c1","function":{"name":"send","arguments":"{\"q\":\""}}]},"finish_reason":null}],"usage":{"total_tokens":7}}

data: {"id":"1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"hel"}}]},"finish_reason":null}]}

data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}

`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestCompleteStrings: what an event says of itself, and errors, are not moved.
func TestCompleteStrings(t *testing.T) {
	r := redactor(t, privacy.Config{})
	events := []string{
		`{"id":"chatcmpl-1","object":"chunk","model":"m","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi. "}}],"obfuscation":"aB3"}`,
		`{"event":"message","conversation_id":"c-1","created_at":"2026-01-01","answer":"Hi. "}`,
		`{"error":{"message":"the model is overloaded","type":"server_error"}}`,
		`{"type":"response.audio.delta","delta":"aGVsbG8"}`,
	}
	want := "data: " + strings.Join(events, "\n\ndata: ") + "\n\n"
	if got := streamed(r, events...); got != want {
		t.Errorf("got\n%s", got)
	}
}

var echoed = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", req.Header.Get("Content-Type"))
	_, _ = io.Copy(w, req.Body)
})

// TestLinesOfRequests: the lines of a request are documents, not pieces of texts.
func TestLinesOfRequests(t *testing.T) {
	r := redactor(t, privacy.Config{})
	body := `{"custom_id":"1","body":{"messages":[{"content":"hello world"}]}}` + "\n" + `{"custom_id":"2","body":{"messages":[{"content":"alice@example.com"}]}}` + "\n"
	req := httptest.NewRequest("POST", "/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/jsonl")
	w := httptest.NewRecorder()
	r.Handler(echoed, privacy.Both).ServeHTTP(w, req)
	if want := strings.Replace(body, "alice@example.com", "[EMAIL]", 1); w.Body.String() != want {
		t.Errorf("got\n%s", w.Body)
	}
}
