package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// CompletionOptions configures [Completion]. The zero value asks for one short answer
// that is not streamed.
type CompletionOptions struct {
	// Path is the path of the API: /v1/chat/completions, /v1/completions or /v1/messages.
	// Default /v1/chat/completions.
	Path string
	// Prompt is what is asked. Default "Say OK.".
	Prompt string
	// Want must occur in the answer, in any case of letters. Default: any text.
	Want string
	// MaxTokens limits the answer. Default 8. Models that reason need more.
	MaxTokens int
	// Stream asks for a token stream.
	Stream bool
	// MaxTTFT is the limit of the time to first token, from the dial on. It requires
	// Stream. Default: no limit.
	MaxTTFT time.Duration
}

// Completion returns a check that a model gives a real answer, at temperature 0: complete,
// not empty, from the model that was asked for, with a finish reason, and as a stream with
// its end. Package [answer] reads it. A server that answers 429 or 503 is Unknown, with
// its Retry-After in the evidence. Evidence: status, milliseconds, ttft_milliseconds,
// input_tokens, output_tokens, model, finish, cost.
func Completion(e Endpoint, o CompletionOptions) checks.Check {
	if o.Path == "" {
		o.Path = "/v1/chat/completions"
	}
	if o.Prompt == "" {
		o.Prompt = "Say OK."
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = 8
	}
	if len(e.Answers) == 0 {
		e.Answers = []string{e.Model}
	}
	e.Answers = slices.Clone(e.Answers)
	bad := &invalid{}
	u := e.invalid(bad, o.Path)
	bad.options = "CompletionOptions"
	route := answer.RouteOf("POST", u.Path)
	switch route.API {
	case answer.Chat, answer.Completions, answer.Messages:
	default:
		bad.add("Path", o.Path, "/v1/chat/completions, /v1/completions or /v1/messages")
	}
	if o.MaxTokens < 0 {
		bad.add("MaxTokens", o.MaxTokens, "a positive number, or 0 for the default")
	}
	bad.positive("MaxTTFT", o.MaxTTFT)
	if o.MaxTTFT > 0 && !o.Stream {
		bad.add("MaxTTFT", o.MaxTTFT, "0, since Stream is not set")
	}
	_, other := e.Extra["max_tokens"]
	_, another := e.Extra["max_completion_tokens"]
	limited := !other && !another
	return e.check("completion", bad, u, o, func(send func(map[string]any) (*reply, *checks.Result)) checks.Result {
		body := map[string]any{"max_tokens": o.MaxTokens, "temperature": 0}
		if route.API == answer.Completions {
			body["prompt"] = o.Prompt
		} else {
			body["messages"] = user(o.Prompt)
		}
		if o.Stream {
			body["stream"] = true
			if route.API != answer.Messages {
				body["stream_options"] = map[string]any{"include_usage": true}
			}
		}
		r, end := send(body)
		if end != nil {
			return *end
		}
		said := r.text()
		r.evidence["finish"] = fmt.Sprintf("%.40s", said.Finish)
		if r.First > 0 {
			r.evidence["ttft_milliseconds"] = strconv.FormatInt(r.First.Milliseconds(), 10)
		}
		switch {
		case strings.TrimSpace(said.Content) == "":
			return r.fail("%s gives an empty answer", e.Model)
		case said.Finish == "":
			return r.fail("%s gives an answer without a finish reason", e.Model)
		case o.Stream && r.Form != answer.EventStream:
			return r.fail("%s gives an answer that is not a stream", e.Model)
		case o.Stream && route.API != answer.Messages && !done(r.body):
			return r.fail("%s gives a stream without [DONE] at its end", e.Model)
		case o.Stream && !oneModel(r.body, e.Answers):
			return r.fail("%s gives a stream whose events name another model", e.Model)
		case limited && r.Usage.Reported && r.Usage.Output > o.MaxTokens:
			return r.fail("%s gives %d tokens, want at most %d", e.Model, r.Usage.Output, o.MaxTokens)
		case o.MaxTTFT > 0 && (r.First <= 0 || r.First > o.MaxTTFT):
			return r.fail("%s takes %v to the first token, want at most %v", e.Model, r.First.Round(time.Millisecond), o.MaxTTFT)
		case !strings.Contains(strings.ToLower(said.Content), strings.ToLower(o.Want)):
			return r.fail("%s does not answer with %q", e.Model, o.Want)
		}
		return checks.Result{Status: checks.Pass, Summary: e.Model + " answers", Evidence: r.evidence}
	})
}

// done reports whether the last event of a stream is [DONE].
func done(stream []byte) bool {
	last := ""
	for data := range data(stream) {
		last = string(data)
	}
	return last == "[DONE]"
}

// oneModel reports whether all events that name a model name one of the wanted.
func oneModel(stream []byte, want []string) bool {
	for data := range data(stream) {
		var event struct {
			Model   *string `json:"model"`
			Message struct {
				Model *string `json:"model"`
			} `json:"message"`
		}
		if json.Unmarshal(data, &event) != nil {
			continue // package answer has read the stream
		}
		for _, model := range []*string{event.Model, event.Message.Model} {
			if model != nil && !slices.Contains(want, *model) {
				return false
			}
		}
	}
	return true
}

// data yields the data of each event of a stream that has one line of it.
func data(stream []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(stream) {
			if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && !yield(bytes.TrimSpace(data)) {
				return
			}
		}
	}
}

// user is a list of messages with one of the user.
func user(text string) []map[string]any {
	return []map[string]any{{"role": "user", "content": text}}
}
