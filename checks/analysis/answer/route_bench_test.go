package answer_test

import (
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
)

var typicalPaths = []struct{ name, method, path string }{
	{"chat", "POST", "/v1/chat/completions"},
	{"responses", "POST", "/v1/responses"},
	{"messages", "POST", "/v1/messages"},
	{"embeddings", "POST", "/v1/embeddings"},
	{"gemini", "POST", "/v1beta/models/gemini-2.5-flash:generateContent"},
	{"ollama", "POST", "/api/chat"},
	{"azure", "POST", "/openai/deployments/gpt-4o-mini/chat/completions"},
	{"file", "GET", "/v1/files/file-abc123/content"},
	{"unknown", "POST", "/internal/v7/things/42"},
}

func BenchmarkRouteOf(b *testing.B) {
	for _, p := range typicalPaths {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer.RouteOf(p.method, p.path)
			}
		})
	}
}
