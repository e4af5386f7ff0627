package loadtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	return withExtra(encode(v), p.ExtraBody, prompt.ExtraBody)
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("loadtest: encode a prompt: %v", err)) // cannot happen with strings, numbers and valid JSON
	}
	return body
}

// tokenLimits are the names of the limit of output tokens. A server refuses two of them.
var tokenLimits = []string{"max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"}

// withExtra returns body with the members of extras, each of which replaces the ones
// before. Without a stream there are no options of it, unless extras have them.
func withExtra(body []byte, extras ...map[string]json.RawMessage) []byte {
	var all map[string]json.RawMessage
	options := false
	for _, extra := range extras {
		if len(extra) == 0 {
			continue
		}
		if all == nil && json.Unmarshal(body, &all) != nil {
			panic("loadtest: a body is not an object")
		}
		for _, limit := range tokenLimits {
			if extra[limit] != nil {
				maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return slices.Contains(tokenLimits, name) })
			}
		}
		maps.Copy(all, extra)
		options = options || extra["stream_options"] != nil
	}
	if all == nil {
		return body
	}
	if string(all["stream"]) != "true" && !options {
		delete(all, "stream_options")
	}
	return encode(all)
}

// textOnly reports whether a is sent as one text, without what else messages have.
func (a API) textOnly() bool { return a == Completions || a == Embeddings }

// textOf returns the texts of all messages of p with empty lines between them.
func textOf(p workload.Prompt) string {
	texts := make([]string, len(p.Messages))
	for i, m := range p.Messages {
		texts[i] = m.Text()
	}
	return strings.Join(texts, "\n\n")
}
