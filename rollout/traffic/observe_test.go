package traffic

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// BenchmarkObserve measures what a request costs to be read and classified: each
// chunk of a stream of 64, and a document of 2 KB.
func BenchmarkObserve(b *testing.B) {
	chunk := []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n")
	last := []byte(`data: {"id":"chatcmpl-9f8e7d6c5b4a","object":"chat.completion.chunk","created":1700000000,"model":"chat","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":63}}` + "\n\ndata: [DONE]\n\n")
	document := []byte(`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 370) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":370}}`)
	a := new(Router).newArm("a", Backend{}, nil)
	r := &Router{cached: func(http.Header) bool { return false }}
	observe := func(h http.Header, stream bool, parts ...[]byte) {
		x := exchange{router: r, arm: a, began: time.Now()}
		x.ask = answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Read: true, Stream: stream}
		x.start(200, h)
		for i, p := range parts {
			x.feed(p, time.Duration(i)*time.Millisecond)
		}
		x.end(ending{})
		_ = x.observation()
	}
	b.Run("chunk", func(b *testing.B) {
		h := http.Header{"Content-Type": {"text/event-stream"}}
		parts := make([][]byte, 64)
		for i := range parts {
			parts[i] = chunk
		}
		parts[63] = last
		b.ReportAllocs()
		for i := 0; i < b.N; i += 64 {
			observe(h, true, parts...)
		}
	})
	b.Run("document", func(b *testing.B) {
		h := http.Header{"Content-Type": {"application/json"}}
		b.ReportAllocs()
		for b.Loop() {
			observe(h, false, document)
		}
	})
}
