package sse

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines feeds text in steps, each a millisecond after the one before.
func lines(text string, step int) seen {
	m := Meter{Form: Lines}
	at := ms
	for rest := text; rest != ""; at += ms {
		n := min(step, len(rest))
		m.Feed([]byte(rest[:n]), at)
		rest = rest[n:]
	}
	m.End(at)
	return view(m.Stream())
}

func TestLines(t *testing.T) {
	const (
		chat     = `{"model":"llama3.2","created_at":"2026-11-01T10:00:00.1Z","message":{"role":"assistant","content":"Hi"},"done":false}` + "\n"
		chatEnd  = `{"model":"llama3.2","created_at":"2026-11-01T10:00:00.9Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":1,"prompt_eval_count":26,"eval_count":5}` + "\n"
		generate = `{"model":"llama3.2","response":" there","done":false}` + "\n"
	)
	for _, tt := range []struct {
		name, text string
		want       seen
	}{
		{"chat", chat + chat + chat + chatEnd, seen{Chunks: 3, ContentChunks: 3, InputTokens: 26, OutputTokens: 5, FromUsage: true, FinishReason: "stop", Done: true, Known: true, Events: 4}},
		{"chat, broken off", chat + chat, seen{Chunks: 2, ContentChunks: 2, OutputTokens: 2, Known: true, Events: 2}},
		{"chat, broken off within a line", chat + chat[:40], seen{Chunks: 1, ContentChunks: 1, OutputTokens: 1, Known: true, Events: 2, Malformed: 1}},
		{"generate", generate + `{"model":"m","response":"","done":true,"done_reason":"length"}`, seen{Chunks: 1, ContentChunks: 1, OutputTokens: 1, FinishReason: "length", Done: true, Known: true, Events: 2}},
		{"thinking and a tool", `{"message":{"content":"","thinking":"Hm"},"done":false}` + "\r\n" +
			`{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":{}}}]},"done":false}` + "\r\n\r\n",
			seen{Chunks: 2, OutputTokens: 2, ToolCalls: 2, Known: true, Events: 2}},
		{"error", chat + `{"error":"out of memory"}`, seen{Chunks: 1, ContentChunks: 1, OutputTokens: 1, Failed: true, Known: true, Events: 2}},
		{"OpenAI on lines", `{"choices":[{"delta":{"content":"Hi"}}]}` + "\n" + `{"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n",
			seen{Chunks: 1, ContentChunks: 1, OutputTokens: 1, FinishReason: "stop", Done: true, Known: true, Events: 2}},
		{"something else that is done", `{"price":1,"done":true}` + "\n", seen{Events: 1}},
		{"not JSON", "hello\n\n  \n{]}\n", seen{Events: 2, Malformed: 2}},
		{"a long line", `{"message":{"content":"` + strings.Repeat("x", 60<<10) + `"},"done":false}` + "\n", seen{Chunks: 1, ContentChunks: 1, OutputTokens: 1, Known: true, Events: 1}},
		{"nothing", "", seen{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 7, 1 << 20} {
				got := lines(tt.text, step)
				if got.Events > 0 && (got.First <= 0 && !got.Failed || got.First > got.Last) {
					t.Errorf("in steps of %d: first at %v, last at %v", step, got.First, got.Last)
				}
				got.First, got.Last, got.FirstContent, got.Coalesced = 0, 0, 0, 0
				if diff := cmp.Diff(tt.want, got, butStall); diff != "" {
					t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
				}
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	f.Add("{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"done\":true,\"response\":\"\"}", uint16(5))
	f.Add("{}\r\n\n[1]\n{\"done\"", uint16(3))
	f.Fuzz(func(t *testing.T, text string, step uint16) {
		whole, cut := lines(text, max(1, len(text))), lines(text, int(step)+1)
		for _, s := range []*seen{&whole, &cut} {
			s.First, s.Last, s.FirstContent, s.Coalesced = 0, 0, 0, 0
		}
		if diff := cmp.Diff(whole, cut); diff != "" {
			t.Errorf("(-whole +cut):\n%s", diff)
		}
	})
}

func BenchmarkLines(b *testing.B) {
	m := Meter{Form: Lines}
	chunk := []byte(`{"model":"llama3.2","created_at":"2026-11-01T10:00:00.1Z","message":{"role":"assistant","content":"Hi"},"done":false}` + "\n")
	b.ReportAllocs()
	for b.Loop() {
		m.Feed(chunk, ms)
	}
}
