package sse

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// chat is the stream of the metric definitions: six tokens in four chunks.
var chat = []timed{
	{5, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`},
	{200, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hél"},"logprobs":null,"finish_reason":null}],"usage":null}`},
	{230, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}],"usage":null}`},
	{290, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" \"usage\":{\"prompt_tokens\":9} 世 [DONE]"},"logprobs":null,"finish_reason":null}],"usage":null}`},
	{310, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":null}],"usage":null}`},
	{312, `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`},
	{313, `{"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":20,"total_tokens":26,"completion_tokens":6,"prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":2}}}`},
	{314, `[DONE]`},
}

type timed struct {
	at   int // milliseconds
	data string
}

func wantChat() seen {
	return seen{
		First: 200 * ms, Last: 310 * ms, FirstContent: 200 * ms,
		Chunks: 4, ContentChunks: 4,
		InputTokens: 20, OutputTokens: 6, CachedTokens: 16, ReasoningTokens: 2, FromUsage: true,
		FinishReason: "stop", Done: true, Known: true, Events: 8,
	}
}

func measure(events []timed, format func(string) string) seen {
	var m Meter
	var at time.Duration
	for _, e := range events {
		at = time.Duration(e.at) * ms
		m.Feed([]byte(format(e.data)), at)
	}
	m.End(at + ms)
	return view(m.Stream())
}

func plain(data string) string { return "data: " + data + "\n\n" }

// TestFraming feeds the same stream in every framing that servers are known to
// use; the result is the same each time.
func TestFraming(t *testing.T) {
	framings := map[string]func(string) string{
		"plain":             plain,
		"CRLF":              func(d string) string { return "data: " + d + "\r\n\r\n" },
		"lone CR":           func(d string) string { return "data: " + d + "\r\r" },
		"no space":          func(d string) string { return "data:" + d + "\n\n" },
		"comments":          func(d string) string { return ": ping\n\n:\n" + plain(d) + ": data: {}\n\n" },
		"other fields":      func(d string) string { return "event: message\nid: 7\nretry: 10\ndataset: x\n" + plain(d) },
		"fields behind":     func(d string) string { return "data: " + d + "\nid: 7\n\n" },
		"no empty line":     func(d string) string { return "data: " + d + "\n" },
		"white space":       func(d string) string { return "data:  " + d + " \n\n" },
		"several data rows": func(d string) string { return plain(strings.ReplaceAll(d, `,"`, ",\ndata: \"")) },
		"empty data row":    func(d string) string { return "data:\n" + plain(d) },
		"pretty": func(d string) string {
			return plain(strings.NewReplacer(`:{`, " : {\ndata:\t", `,"`, " ,\r\ndata: \"").Replace(d))
		},
	}
	for name, format := range framings {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(wantChat(), measure(chat, format), butStall); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEverySplit(t *testing.T) {
	var whole strings.Builder
	for i, e := range chat {
		fmt.Fprintf(&whole, "data: %s%s", e.data, []string{"\n\n", "\r\n\r\n", "\r\r"}[i%3])
	}
	text := []byte(whole.String())
	want := cut(text, len(text))
	for i := range text {
		if diff := cmp.Diff(want, cut(text, i)); diff != "" {
			t.Fatalf("cut at byte %d (-want +got):\n%s", i, diff)
		}
	}
	if diff := cmp.Diff(want, cutAll(text)); diff != "" {
		t.Fatalf("cut at every byte (-want +got):\n%s", diff)
	}
	if want.Chunks != 4 || want.OutputTokens != 6 || !want.Done {
		t.Errorf("got %+v", want)
	}
}

func cut(text []byte, i int) seen {
	var m Meter
	m.Feed(text[:i], ms)
	m.Feed(text[i:], ms)
	m.End(ms)
	return view(m.Stream())
}

func cutAll(text []byte) seen {
	var m Meter
	for i := range text {
		m.Feed(text[i:i+1], ms)
	}
	m.End(ms)
	return view(m.Stream())
}

func TestShapes(t *testing.T) {
	delta := func(inside string) string { return `{"choices":[{"index":0,"delta":{` + inside + `}}]}` }
	tests := []struct {
		name   string
		events []timed
		want   seen
	}{
		{"reasoning before content", []timed{
			{5, delta(`"role":"assistant","content":null,"reasoning_content":""`)},
			{100, delta(`"reasoning_content":"Hm","content":null`)},
			{200, delta(`"reasoning":"so"`)},
			{400, delta(`"content":"4"`)},
		}, seen{First: 100 * ms, FirstContent: 400 * ms, Last: 400 * ms, Chunks: 3, ContentChunks: 1, OutputTokens: 3, Known: true, Events: 4}},
		{"reasoning only", []timed{{100, delta(`"reasoning":"Hm"`)}},
			seen{First: 100 * ms, Last: 100 * ms, Chunks: 1, OutputTokens: 1, Known: true, Events: 1}},
		{"tool calls", []timed{
			{10, delta(`"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"weather","arguments":""}}]`)},
			{20, delta(`"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]`)},
			{30, delta(`"tool_calls":[{"index":0,"function":{"arguments":""}}]`)},
			{40, `{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`},
		}, seen{First: 10 * ms, Last: 20 * ms, Chunks: 2, OutputTokens: 2, ToolCalls: 1, FinishReason: "tool_calls", Done: true, Known: true, Events: 4}},
		{"refusal", []timed{{10, delta(`"refusal":"I cannot"`)}},
			seen{First: 10 * ms, Last: 10 * ms, Chunks: 1, OutputTokens: 1, Refusal: true, Known: true, Events: 1}},
		{"content filter", []timed{{10, `{"choices":[{"delta":{},"finish_reason":"content_filter"}]}`}},
			seen{FinishReason: "content_filter", Done: true, Known: true, Events: 1}},
		{"completions", []timed{{10, `{"choices":[{"text":"","index":0}]}`}, {20, `{"choices":[{"text":"a","index":0,"finish_reason":"length"}]}`}},
			seen{First: 20 * ms, Last: 20 * ms, FirstContent: 20 * ms, Chunks: 1, ContentChunks: 1, OutputTokens: 1, FinishReason: "length", Done: true, Known: true, Events: 2}},
		{"error in the stream", []timed{{10, delta(`"content":"a"`)}, {20, `{"error":{"message":"engine \u2013 died","type":"server_error","code":500}}`}},
			seen{First: 10 * ms, Last: 10 * ms, FirstContent: 10 * ms, Chunks: 1, ContentChunks: 1, OutputTokens: 1, Failed: true, Known: true, Events: 2}},
		{"error of another shape", []timed{{10, `{"object":"error","message":"too long","type":"BadRequest","code":400}`}},
			seen{Failed: true, Known: true, Events: 1}},
		{"no error", []timed{{10, `{"error":null,"choices":[]}`}}, seen{Known: true, Events: 1}},
		{"coalesced", []timed{{10, delta(`"content":"a"`) + "\n\ndata: " + delta(`"content":"b"`)}, {20, delta(`"content":"c"`)}},
			seen{First: 10 * ms, Last: 20 * ms, FirstContent: 10 * ms, Chunks: 3, ContentChunks: 3, Coalesced: 1, OutputTokens: 3, Known: true, Events: 3}},
		{"two documents in one event", []timed{{10, delta(`"content":"a"`) + "\ndata: " + delta(`"content":"b"`)}},
			seen{First: 10 * ms, Last: 10 * ms, FirstContent: 10 * ms, Chunks: 2, ContentChunks: 2, Coalesced: 1, OutputTokens: 2, Known: true, Events: 2}},
		{"cached above the prompt", []timed{{10, `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}}`}},
			seen{InputTokens: 3, CachedTokens: 3, OutputTokens: 1, FromUsage: true, Known: true, Events: 1}},
		{"senseless usage", []timed{{10, `{"choices":[],"usage":{"prompt_tokens":-3,"completion_tokens":"x","total_tokens":1e99,"prompt_tokens_details":null,"completion_tokens_details":[1]}}`}},
			seen{Known: true, Events: 1}},
		{"running usage", []timed{
			{10, `{"choices":[{"delta":{"content":"a b"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`},
			{20, `{"choices":[{"delta":{"content":" c"}}],"usage":{"prompt_tokens":3,"completion_tokens":3}}`},
		}, seen{First: 10 * ms, Last: 20 * ms, FirstContent: 10 * ms, Chunks: 2, ContentChunks: 2, InputTokens: 3, OutputTokens: 3, FromUsage: true, Known: true, Events: 2}},
		{"messages interface", []timed{
			{1, `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":5,"cache_read_input_tokens":7,"cache_creation_input_tokens":1,"output_tokens":1}}}`},
			{2, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`},
			{3, `{"type":"ping"}`},
			{4, `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}`},
			{5, `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}`},
			{6, `{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}`},
			{7, `{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"weather","input":{}}}`},
			{8, `{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}`},
			{9, `{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}`},
			{10, `{"type":"message_stop"}`},
		}, seen{First: 4 * ms, Last: 8 * ms, FirstContent: 6 * ms, Chunks: 5, ContentChunks: 1, InputTokens: 13, CachedTokens: 7, OutputTokens: 15, FromUsage: true, ToolCalls: 1, FinishReason: "tool_use", Done: true, Known: true, Events: 10}},
		{"messages interface, overloaded", []timed{{1, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`}},
			seen{Failed: true, Known: true, Events: 1}},
		{"responses interface", []timed{
			{1, `{"type":"response.created","response":{"id":"r","object":"response","status":"in_progress","error":null,"output":[],"usage":null}}`},
			{2, `{"type":"response.reasoning_summary_text.delta","delta":"Hm"}`},
			{3, `{"delta":"Hi","type":"response.output_text.delta"}`},
			{4, `{"type":"response.output_text.done","text":"Hi"}`},
			{5, `{"type":"response.output_item.added","item":{"type":"function_call","name":"weather","arguments":""}}`},
			{6, `{"type":"response.function_call_arguments.delta","delta":"{}"}`},
			{7, `{"type":"response.output_item.done","item":{"type":"function_call","name":"weather","arguments":"{}"}}`},
			{8, `{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":4,"input_tokens_details":{"cached_tokens":2},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":5}}}}`},
		}, seen{First: 2 * ms, Last: 6 * ms, FirstContent: 3 * ms, Chunks: 4, ContentChunks: 1, InputTokens: 4, CachedTokens: 2, OutputTokens: 9, ReasoningTokens: 5, FromUsage: true, ToolCalls: 1, Done: true, Known: true, Events: 8}},
		{"responses interface, failed", []timed{{1, `{"type":"response.failed","response":{"error":{"code":"rate_limit","message":"slow down"}}}`}},
			seen{Failed: true, Done: true, Known: true, Events: 1}},
		{"responses interface, incomplete", []timed{{1, `{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}`}},
			seen{FinishReason: "max_output_tokens", Done: true, Known: true, Events: 1}},
		{"another protocol", []timed{{1, `{"price":12}`}, {2, `{"price":13}`}}, seen{First: ms, Last: 2 * ms, Events: 2}},
		{"not JSON", []timed{{1, `hello`}, {2, `{"choices":[`}, {3, `{]}`}, {4, `[1,2]`}}, seen{First: ms, Last: 4 * ms, Events: 4, Malformed: 3}},
		{"invalid UTF-8", []timed{{1, delta("\"content\":\"\xff\xfe\"")}},
			seen{First: ms, Last: ms, FirstContent: ms, Chunks: 1, ContentChunks: 1, OutputTokens: 1, Known: true, Events: 1}},
		{"backslashes", []timed{{1, delta(`"role":"\\","content":"\\\""`)}},
			seen{First: ms, Last: ms, FirstContent: ms, Chunks: 1, ContentChunks: 1, OutputTokens: 1, Known: true, Events: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, measure(tt.events, plain), butStall); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLargeEvents checks that an event beyond the bound keeps its classification
// and its usage, however it is cut, and that memory stays bounded.
func TestLargeEvents(t *testing.T) {
	const end = `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":4,"completion_tokens":5}}`
	for _, size := range []int{100, headSize - 100, headSize, headSize + 100, headSize + 4<<10, 1 << 20} {
		event := plain(`{"choices":[{"delta":{"content":"` + strings.Repeat(`x\"`, size/3) + end)
		want := seen{
			First: ms, Last: ms, FirstContent: ms, Chunks: 1, ContentChunks: 1,
			InputTokens: 4, OutputTokens: 5, FromUsage: true, FinishReason: "stop", Done: true, Known: true, Events: 1,
		}
		for _, step := range []int{1, 1000, 4096, len(event)} {
			var m Meter
			for rest := event; rest != ""; {
				n := min(step, len(rest))
				m.Feed([]byte(rest[:n]), ms)
				rest = rest[n:]
			}
			m.End(ms)
			if diff := cmp.Diff(want, view(m.Stream()), butStall); diff != "" {
				t.Errorf("size %d in steps of %d (-want +got):\n%s", size, step, diff)
			}
			if got := cap(m.data.head); got > carrySize {
				t.Errorf("size %d in steps of %d: holds %d bytes", size, step, got)
			}
		}
	}
}

func TestUnfinished(t *testing.T) {
	content := `data: {"choices":[{"delta":{"content":"a"}}]}`
	tests := []struct {
		name, text string
		want       seen
	}{
		{"without the last newline", content, seen{First: ms, Last: ms, FirstContent: ms, Chunks: 1, ContentChunks: 1, OutputTokens: 1, Known: true, Events: 1}},
		{"within an event", content[:len(content)-9], seen{First: ms, Last: ms, Events: 1, Malformed: 1}},
		{"within a field", "dat", seen{}},
		{"done without a newline", "data: [DONE]", seen{Done: true, Known: true, Events: 1}},
		{"nothing", "", seen{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Meter
			m.Feed([]byte(tt.text), ms)
			m.End(ms)
			m.End(ms) // has no effect
			if diff := cmp.Diff(tt.want, view(m.Stream()), butStall); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	tests := []struct {
		name, body string
		want       seen
	}{
		{"chat", `{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}` + "\n",
			seen{Chunks: 1, ContentChunks: 1, InputTokens: 9, OutputTokens: 12, CachedTokens: 4, FromUsage: true, FinishReason: "stop", Done: true, Known: true, Events: 1}},
		{"no usage", `{"choices":[{"text":"Hi","finish_reason":"length"}]}`,
			seen{Chunks: 1, ContentChunks: 1, FinishReason: "length", Done: true, Known: true, Events: 1}},
		{"refusal", `{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}`,
			seen{Chunks: 1, Refusal: true, FinishReason: "stop", Done: true, Known: true, Events: 1}},
		{"empty", `{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}`,
			seen{FinishReason: "stop", Done: true, Known: true, Events: 1}},
		{"tool call", `{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
			seen{Chunks: 1, ToolCalls: 2, FinishReason: "tool_calls", Done: true, Known: true, Events: 1}},
		{"error", `{"error":{"message":"boom","type":"server_error"}}`, seen{Failed: true, Known: true, Events: 1}},
		{"messages interface", `{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}`,
			seen{Chunks: 1, ContentChunks: 1, InputTokens: 1, OutputTokens: 2, FromUsage: true, FinishReason: "end_turn", Done: true, Known: true, Events: 1}},
		{"responses interface", `{"object":"response","status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":1,"output_tokens":2}}`,
			seen{Chunks: 1, ContentChunks: 1, InputTokens: 1, OutputTokens: 2, FromUsage: true, Done: true, Known: true, Events: 1}},
		{"responses interface, in the background", `{"object":"response","status":"queued","output":[]}`, seen{Known: true, Events: 1}},
		{"large", `{"choices":[{"message":{"content":"` + long + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
			seen{Chunks: 1, ContentChunks: 1, InputTokens: 1, OutputTokens: 2, FromUsage: true, FinishReason: "stop", Done: true, Known: true, Events: 1}},
		{"embeddings", `{"object":"list","data":[{"embedding":[1,2]}],"usage":{"prompt_tokens":3}}`,
			seen{InputTokens: 3, FromUsage: true, Done: true, Known: true, Events: 1}},
		{"cut", `{"choices":[{"message":{"content":"Hi`, seen{Chunks: 1, ContentChunks: 1, Known: true, Events: 1}},
		{"not JSON", `<html>`, seen{Events: 1, Malformed: 1}},
		{"nothing", ``, seen{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := Meter{Form: Document}
			half := len(tt.body) / 2
			m.Feed([]byte(tt.body[:half]), ms)
			m.Feed([]byte(tt.body[half:]), 2*ms)
			m.End(3 * ms)
			if diff := cmp.Diff(tt.want, view(m.Stream()), butStall); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReset(t *testing.T) {
	m := Meter{Form: Document, OnToken: func(time.Duration) { t.Error("OnToken survived Reset") }}
	m.Feed([]byte(`{"choices":`), 0)
	m.Reset()
	for _, e := range chat {
		m.Feed([]byte(plain(e.data)), time.Duration(e.at)*ms)
	}
	m.End(time.Second)
	if diff := cmp.Diff(wantChat(), view(m.Stream()), butStall); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTPOT(t *testing.T) {
	if got, want := (&Stream{First: 200 * ms, Last: 310 * ms, Chunks: 4, OutputTokens: 6}).TPOT(), 22*ms; got != want {
		t.Errorf("TPOT = %v, want %v", got, want)
	}
	if got := (&Stream{Chunks: 1, OutputTokens: 5, Last: ms}).TPOT(); got != 0 {
		t.Errorf("TPOT of one chunk = %v, want 0", got)
	}
}

// TestAllocations holds the promise of the package: no allocation per chunk,
// whether or not events are cut.
func TestAllocations(t *testing.T) {
	chunk := []byte(plain(chat[1].data))
	var m Meter
	m.Feed(chunk[:50], 0) // gives the carry its memory
	m.Feed(chunk[50:], 0)
	if n := testing.AllocsPerRun(100, func() { m.Feed(chunk, ms) }); n != 0 {
		t.Errorf("%v allocations per chunk, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { m.Feed(chunk[:50], ms); m.Feed(chunk[50:], ms) }); n != 0 {
		t.Errorf("%v allocations per chunk in two parts, want 0", n)
	}
}

func FuzzMeter(f *testing.F) {
	for i, e := range chat {
		f.Add([]byte(plain(e.data)+plain(chat[(i+1)%len(chat)].data)), uint16(i*7))
	}
	f.Add([]byte("data: {\"choices\":\r\ndata: []}\r\n\r\ndata:[DONE]"), uint16(9))
	f.Add([]byte("data: {\"type\":\"error\",\"error\":\"\xff\"}\n\n"), uint16(20))
	f.Add([]byte("data\ndata:\n\n\rdata: {}{}\n"), uint16(3))
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		want := cut(text, 0)
		if diff := cmp.Diff(want, cut(text, int(at)%(len(text)+1))); diff != "" {
			t.Errorf("cut at %d (-want +got):\n%s", at, diff)
		}
		if diff := cmp.Diff(want, cutAll(text)); diff != "" {
			t.Errorf("cut at every byte (-want +got):\n%s", diff)
		}
		if want.CachedTokens > want.InputTokens || want.ContentChunks > want.Chunks || want.Coalesced > want.Chunks {
			t.Errorf("impossible: %+v", want)
		}
	})
}

func BenchmarkMeter(b *testing.B) {
	var stream []byte
	var chunks [][]byte
	for range 64 {
		chunks = append(chunks, []byte(plain(`{"id":"chatcmpl-9f8e7d6c5b4a39281706f5e4d3c2b1a0","object":"chat.completion.chunk","created":1700000000,"model":"chat-model-8b-instruct","choices":[{"index":0,"delta":{"content":" world"},"logprobs":null,"finish_reason":null}]}`)))
	}
	for _, c := range chunks {
		stream = append(stream, c...)
	}
	b.Run("chunk by chunk", func(b *testing.B) {
		var m Meter
		b.SetBytes(int64(len(stream)))
		b.ReportAllocs()
		for b.Loop() {
			for _, c := range chunks {
				m.Feed(c, ms)
			}
		}
	})
	b.Run("coalesced", func(b *testing.B) {
		var m Meter
		b.SetBytes(int64(len(stream)))
		b.ReportAllocs()
		for b.Loop() {
			m.Feed(stream, ms)
		}
	})
	b.Run("cut", func(b *testing.B) {
		var m Meter
		b.SetBytes(int64(len(stream)))
		b.ReportAllocs()
		for b.Loop() {
			for i := 0; i < len(stream); i += 100 {
				m.Feed(stream[i:min(i+100, len(stream))], ms)
			}
		}
	})
	b.Run("text of 1 KiB", func(b *testing.B) {
		long := []byte(plain(strings.Replace(chat[1].data, "Hél", strings.Repeat("lorem ipsum ", 85), 1)))
		var m Meter
		b.SetBytes(int64(len(long)))
		b.ReportAllocs()
		for b.Loop() {
			m.Feed(long, ms)
		}
	})
}

func ExampleMeter() {
	m := Meter{OnToken: func(at time.Duration) { fmt.Println("token at", at) }}
	m.Feed([]byte("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n"), 1*time.Millisecond)
	m.Feed([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n"), 20*time.Millisecond)
	m.Feed([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n"), 30*time.Millisecond)
	m.Feed([]byte("data: {\"choices\":[],\"usage\":{\"completion_tokens\":3}}\n\ndata: [DONE]\n\n"), 31*time.Millisecond)
	m.End(32 * time.Millisecond)
	s := m.Stream()
	fmt.Println(s.First, s.OutputTokens, s.TPOT(), s.Terminated)
	// Output:
	// token at 20ms
	// token at 30ms
	// 20ms 3 5ms true
}
