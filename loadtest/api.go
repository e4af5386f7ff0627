package loadtest

import (
	"net/url"
	"strings"
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
