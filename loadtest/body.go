package loadtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/serin-go/serin/loadtest/workload"
)

// API is an endpoint of the OpenAI API. It decides the path below the target, the
// form of the body, and how answers are parsed.
type API string

const (
	// Chat is /chat/completions, streamed. It is the default of a [Plan].
	Chat API = "chat"
	// Completions is /completions, streamed. The text to complete consists of the
	// texts of the prompt's messages with an empty line between them.
	Completions API = "completions"
	// Responses is /responses, streamed.
	Responses API = "responses"
	// Embeddings is /embeddings, which does not stream. Results have Latency and
	// input tokens, but no durations of tokens.
	Embeddings API = "embeddings"
)

var apis = []API{Chat, Completions, Responses, Embeddings}

func (a API) path() string {
	switch a {
	case Completions:
		return "/completions"
	case Responses:
		return "/responses"
	case Embeddings:
		return "/embeddings"
	}
	return "/chat/completions"
}

// below returns the URL of a at a base URL. The path of base is empty, a version such
// as /v1, or the path of another API.
func (a API) below(base *url.URL) *url.URL {
	u := *base
	path := strings.TrimRight(u.Path, "/")
	for _, other := range apis {
		if cut, found := strings.CutSuffix(path, other.path()); found {
			path = cut
			break
		}
	}
	if path == "" {
		path = "/v1"
	}
	u.Path, u.RawPath = path+a.path(), ""
	return &u
}

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

// shown returns u without its password, query and fragment, which may be secrets.
func shown(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment = nil, "", ""
	return bare.String()
}
