package answer_test

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// TestTextOfManyLines: an event of half a million lines is read in time that grows
// with its length. With its square the test would take longer than any timeout.
func TestTextOfManyLines(t *testing.T) {
	const event = `data: {"choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n"
	body := event + "data: [1,\n" + strings.Repeat("data: 1,\n", 500_000) + "\n" + event
	if got := answer.TextOf(answer.RouteOf("POST", "/v1/chat/completions"), answer.EventStream, []byte(body)); got.Content != "xx" {
		t.Errorf("content %q, want xx", got.Content)
	}
}
