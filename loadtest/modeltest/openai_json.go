package modeltest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// The JSON of the OpenAI API, as far as this server supports it.
// See https://platform.openai.com/docs/api-reference.

// reply is an answer or one chunk of it.
type reply struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	// Usage is left out, null, or the figures: see responder.chunk.
	Usage any `json:"usage,omitempty"`
}

// choice holds a message in an answer to a chat, a delta in a chunk of one,
// and a text in either for completions.
type choice struct {
	Index    int           `json:"index"`
	Message  *replyMessage `json:"message,omitempty"`
	Delta    *delta        `json:"delta,omitempty"`
	Text     *string       `json:"text,omitempty"`
	Logprobs *struct{}     `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
}

type replyMessage struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// apiError is an error as the OpenAI API reports it.
type apiError struct {
	status  int
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

const invalidRequest = "invalid_request_error"

func badRequest(param, format string, args ...any) *apiError {
	e := &apiError{status: http.StatusBadRequest, Type: invalidRequest, Message: fmt.Sprintf(format, args...)}
	if param != "" {
		e.Param = &param
	}
	return e
}

func unknownModel(name string) *apiError {
	code, param := "model_not_found", "model"
	return &apiError{status: http.StatusNotFound, Type: invalidRequest, Param: &param, Code: &code,
		Message: fmt.Sprintf("The model '%s' does not exist or you do not have access to it.", name)}
}

// serverError returns the error of a request that fails by [Config].ErrorRate.
func serverError() *apiError {
	return &apiError{status: http.StatusInternalServerError, Type: "server_error",
		Message: "The server had an error while processing your request. Sorry about that!"}
}

// body returns the error's JSON.
func (e *apiError) body() []byte {
	return encode(map[string]*apiError{"error": e})
}

func (e *apiError) write(w http.ResponseWriter) {
	writeJSON(w, e.status, e.body())
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// encode returns the JSON of one of the types above, which cannot fail.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("modeltest: %T has no JSON: %v", v, err))
	}
	return body
}
