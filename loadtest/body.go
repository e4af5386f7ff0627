package loadtest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/serin-go/serin/loadtest/workload"
)

// encodeBody returns the JSON of the request for one prompt. The prompts of a plan are
// encoded before the run, so that the time for it is not measured.
func encodeBody(p Plan, prompt workload.Prompt) []byte {
	var v any
	switch p.API {
	case Completions:
		v = struct {
			Model         string          `json:"model"`
			Prompt        string          `json:"prompt"`
			MaxTokens     int             `json:"max_tokens,omitempty"`
			Stream        bool            `json:"stream"`
			StreamOptions map[string]bool `json:"stream_options"`
		}{p.Model, textOf(prompt), p.MaxTokens, true, map[string]bool{"include_usage": true}}
	case Embeddings:
		v = struct {
			Model string `json:"model"`
			Input string `json:"input"`
		}{p.Model, textOf(prompt)}
	case Responses:
		v = struct {
			Model     string             `json:"model"`
			Input     []workload.Message `json:"input"`
			MaxTokens int                `json:"max_output_tokens,omitempty"`
			Stream    bool               `json:"stream"`
		}{p.Model, prompt.Messages, p.MaxTokens, true}
	default:
		v = struct {
			Model         string             `json:"model"`
			Messages      []workload.Message `json:"messages"`
			MaxTokens     int                `json:"max_tokens,omitempty"`
			Stream        bool               `json:"stream"`
			StreamOptions map[string]bool    `json:"stream_options"`
		}{p.Model, prompt.Messages, p.MaxTokens, true, map[string]bool{"include_usage": true}}
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("loadtest: encode a prompt: %v", err)) // cannot happen with strings and numbers
	}
	return body
}

// textOf returns the texts of all messages of p with empty lines between them.
func textOf(p workload.Prompt) string {
	texts := make([]string, len(p.Messages))
	for i, m := range p.Messages {
		texts[i] = m.Content
	}
	return strings.Join(texts, "\n\n")
}
