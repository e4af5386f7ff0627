package sse

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestAgainstDecoder compares the cursor with encoding/json on chunks whose texts
// try to look like structure.
func TestAgainstDecoder(t *testing.T) {
	texts := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"", `"`, `\`, `\"`, `"usage":{"prompt_tokens":9}`, `","finish_reason":"stop`, "[DONE]", "}]}", `{"error":"x"}`, "data: {}\n\n", "\r\n\u2028é世😀",
		}),
	)
	counts := rapid.IntRange(0, 1_000_000)
	rapid.Check(t, func(t *rapid.T) {
		content, reasoning, id := texts.Draw(t, "content"), texts.Draw(t, "reasoning"), texts.Draw(t, "id")
		delta := map[string]any{"role": texts.Draw(t, "role"), "content": content, "reasoning_content": reasoning}
		choice := map[string]any{"index": 0, "delta": delta, "finish_reason": nil, "logprobs": map[string]any{"content": []string{id}}}
		doc := map[string]any{"id": id, "created": counts.Draw(t, "created"), "choices": []any{choice}, "usage": nil}
		want := seen{OutputTokens: 0, Known: true, Events: 1}
		if rapid.Bool().Draw(t, "finished") {
			want.FinishReason, want.Done = "length", true
			choice["finish_reason"] = "length"
		}
		if content != "" || reasoning != "" {
			want.Chunks, want.OutputTokens = 1, 1
			want.First, want.Last = ms, ms
		}
		if content != "" {
			want.ContentChunks, want.FirstContent = 1, ms
		}
		if rapid.Bool().Draw(t, "billed") {
			in, out := counts.Draw(t, "in"), 1+counts.Draw(t, "out")
			doc["usage"] = map[string]any{"completion_tokens": out, "prompt_tokens": in, "note": texts.Draw(t, "note")}
			want.InputTokens, want.OutputTokens, want.FromUsage = in, out, true
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		stream := append(append([]byte("data: "), text...), "\n\n"...)
		got := cut(stream, rapid.IntRange(0, len(stream)).Draw(t, "cut"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n(-want +got):\n%s", stream, diff)
		}
	})
}
