package modeltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
)

// request has the members of a request body that both endpoints support. Other
// members are accepted and have no effect.
type request struct {
	Model               string         `json:"model"`
	Messages            []message      `json:"messages"`
	Prompt              oneOrMore      `json:"prompt"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options"`
	Temperature         *float64       `json:"temperature"`
	MaxTokens           *int           `json:"max_tokens"`
	MaxCompletionTokens *int           `json:"max_completion_tokens"`
	N                   *int           `json:"n"`
	Seed                *int64         `json:"seed"`
	Stop                oneOrMore      `json:"stop"`

	chat bool
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is the text of a message, given as a string, as a list of parts, or
// as null (an assistant's message that only called tools).
type content string

func (c *content) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return json.Unmarshal(data, (*string)(c))
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		*c += content(p.Text)
	}
	return nil
}

// oneOrMore is a string or a list of strings.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(o))
	}
	var s *string
	if err := json.Unmarshal(data, &s); err != nil || s == nil {
		return err
	}
	*o = oneOrMore{*s}
	return nil
}

var roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

// read decodes and checks the body of r.
func (s *Server) read(w http.ResponseWriter, r *http.Request, chat bool) (*request, *apiError) {
	// Read the whole body before answering: a proxy that is still sending it
	// could otherwise lose the answer.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, Type: invalidRequest,
			Message: fmt.Sprintf("The request body is larger than %d bytes.", tooLarge.Limit)}
	}
	if err != nil {
		return nil, badRequest("", "We could not read the body of your request: %v.", err)
	}
	req := &request{chat: chat}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(req); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
			return nil, badRequest(wrong.Field, "Invalid type for '%s': got %s instead.", wrong.Field, wrong.Value)
		}
		return nil, badRequest("", "We could not parse the JSON body of your request: %v.", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, badRequest("", "We could not parse the JSON body of your request: there is more after the JSON value.")
	}
	return req, s.check(req)
}

// check returns the first error in req, as the OpenAI API does.
func (s *Server) check(req *request) *apiError {
	switch {
	case req.Model == "":
		return badRequest("model", "You must provide a model parameter.")
	case !slices.Contains(s.cfg.Models, req.Model):
		return unknownModel(req.Model)
	case req.chat && len(req.Messages) == 0:
		return badRequest("messages", "Missing required parameter: 'messages', a list with at least one message.")
	case !req.chat && len(req.Prompt) != 1:
		return badRequest("prompt", "Parameter 'prompt' must be one string, got %d.", len(req.Prompt))
	}
	for i, m := range req.Messages {
		if !slices.Contains(roles, m.Role) {
			return badRequest(fmt.Sprintf("messages[%d].role", i), "Invalid value: '%s'. Supported values are: %q.", m.Role, roles)
		}
	}
	for _, n := range []struct {
		param string
		value *int
		limit int
	}{
		{"max_tokens", req.MaxTokens, maxLength}, {"max_completion_tokens", req.MaxCompletionTokens, maxLength}, {"n", req.N, 1},
	} {
		if n.value != nil && (*n.value < 1 || *n.value > n.limit) {
			return badRequest(n.param, "Invalid '%s': %d, expected a value from 1 to %d.", n.param, *n.value, n.limit)
		}
	}
	if t := req.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		return badRequest("temperature", "Invalid 'temperature': %v, expected a value from 0 to 2.", *t)
	}
	if len(req.Stop) > 4 {
		return badRequest("stop", "Invalid 'stop': %d sequences, expected at most 4.", len(req.Stop))
	}
	return nil
}

// prompt returns the tokens of all messages, or of the prompt.
func (r *request) prompt() []string {
	if !r.chat {
		return tokenize(r.Prompt[0])
	}
	var tokens []string
	for _, m := range r.Messages {
		tokens = append(tokens, tokenize(string(m.Content))...)
	}
	return tokens
}

// rng returns the random source of the text. It is the same for the same seeds
// and the same prompt, streaming or not.
func (r *request) rng(seed uint64) *rand.Rand {
	if r.Seed != nil {
		seed ^= uint64(*r.Seed) * 0x9e3779b97f4a7c15 // spread, so that small seeds differ in every bit
	}
	h := fnv.New64a()
	for _, m := range r.Messages {
		fmt.Fprintf(h, "%q %q\n", m.Role, string(m.Content))
	}
	fmt.Fprintf(h, "%q", []string(r.Prompt))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// limit returns the largest number of tokens that the request allows.
func (r *request) limit() int {
	limit := maxLength
	for _, n := range []*int{r.MaxTokens, r.MaxCompletionTokens} {
		if n != nil {
			limit = min(limit, *n)
		}
	}
	return limit
}
