package openaitest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/serin-go/serin/loadtest/modeltest"
)

// dial starts a server of the model and returns the official client for it.
// The client's retries are off: they would hide the errors under test.
func dial(t *testing.T, cfg modeltest.Config) openai.Client {
	t.Helper()
	model, err := modeltest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(model)
	t.Cleanup(server.Close)
	return openai.NewClient(option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
}

func chat(prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    modeltest.DefaultModel,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("You are Sir Isaac."), openai.UserMessage(prompt)},
	}
}

// stream reads a whole stream with the client's own accumulator.
func stream(ctx context.Context, client openai.Client, params openai.ChatCompletionNewParams) (openai.ChatCompletionAccumulator, int, error) {
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	var acc openai.ChatCompletionAccumulator
	s := client.Chat.Completions.NewStreaming(ctx, params)
	defer s.Close()
	tokens := 0
	for s.Next() {
		chunk := s.Current()
		if !acc.AddChunk(chunk) {
			return acc, tokens, errors.New("the accumulator refused a chunk")
		}
		if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content+chunk.Choices[0].Delta.Refusal != "" {
			tokens++
		}
	}
	return acc, tokens, s.Err()
}

func TestChat(t *testing.T) {
	client := dial(t, modeltest.Config{Seed: 1})
	whole, err := client.Chat.Completions.New(t.Context(), chat("What is light?"))
	if err != nil {
		t.Fatal(err)
	}
	streamed, tokens, err := stream(t.Context(), client, chat("What is light?"))
	if err != nil {
		t.Fatal(err)
	}
	want := whole.Choices[0]
	got := streamed.Choices[0]
	if want.Message.Content == "" || got.Message.Content != want.Message.Content {
		t.Errorf("streamed %q, whole %q", got.Message.Content, want.Message.Content)
	}
	if got.FinishReason != "stop" || want.FinishReason != "stop" || got.Message.Role != "assistant" {
		t.Errorf("finish reasons %q and %q, role %q", got.FinishReason, want.FinishReason, got.Message.Role)
	}
	if streamed.Usage.CompletionTokens != int64(tokens) || whole.Usage.CompletionTokens != int64(tokens) {
		t.Errorf("usage %d streamed and %d whole, but %d chunks", streamed.Usage.CompletionTokens, whole.Usage.CompletionTokens, tokens)
	}
	// You are Sir Isaac . What is light ?
	if p := streamed.Usage.PromptTokens; p != 9 || streamed.Usage.TotalTokens != 9+int64(tokens) {
		t.Errorf("%d prompt tokens of %d, want 9", p, streamed.Usage.TotalTokens)
	}
}

func TestCompletions(t *testing.T) {
	client := dial(t, modeltest.Config{Seed: 1})
	params := openai.CompletionNewParams{
		Model:     modeltest.DefaultModel,
		Prompt:    openai.CompletionNewParamsPromptUnion{OfString: openai.String("Are not the Rays")},
		MaxTokens: openai.Int(6),
	}
	whole, err := client.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	s := client.Completions.NewStreaming(t.Context(), params)
	for s.Next() {
		text.WriteString(s.Current().Choices[0].Text)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if text.String() != whole.Choices[0].Text || whole.Usage.CompletionTokens != 6 || whole.Choices[0].FinishReason != "length" {
		t.Errorf("streamed %q, whole %+v", &text, whole)
	}
}

func TestModels(t *testing.T) {
	client := dial(t, modeltest.Config{Models: []string{"small", "smaller"}})
	var names []string
	pages := client.Models.ListAutoPaging(t.Context())
	for pages.Next() {
		names = append(names, pages.Current().ID)
	}
	if err := pages.Err(); err != nil || len(names) != 2 || names[0] != "small" || names[1] != "smaller" {
		t.Errorf("models %q, %v", names, err)
	}
	if model, err := client.Models.Get(t.Context(), "smaller"); err != nil || model.ID != "smaller" {
		t.Errorf("model %+v, %v", model, err)
	}
}

func TestErrors(t *testing.T) {
	healthy := dial(t, modeltest.Config{})
	failing := dial(t, modeltest.Config{ErrorRate: 1})
	tests := []struct {
		name   string
		client openai.Client
		change func(*openai.ChatCompletionNewParams)
		status int
		kind   string
		param  string
		code   string
	}{
		{"unknown model", healthy, func(p *openai.ChatCompletionNewParams) { p.Model = "gpt" }, 404, "invalid_request_error", "model", "model_not_found"},
		{"temperature", healthy, func(p *openai.ChatCompletionNewParams) { p.Temperature = openai.Float(3) }, 400, "invalid_request_error", "temperature", ""},
		{"no messages", healthy, func(p *openai.ChatCompletionNewParams) { p.Messages = nil }, 400, "invalid_request_error", "messages", ""},
		{"out of luck", failing, func(*openai.ChatCompletionNewParams) {}, 500, "server_error", "", ""},
	}
	for _, test := range tests {
		params := chat("x")
		test.change(&params)
		_, whole := test.client.Chat.Completions.New(t.Context(), params)
		_, _, streamed := stream(t.Context(), test.client, params)
		for _, err := range []error{whole, streamed} {
			var api *openai.Error
			if !errors.As(err, &api) {
				t.Errorf("%s: %v, want an API error", test.name, err)
				continue
			}
			if api.StatusCode != test.status || api.Type != test.kind || api.Param != test.param || api.Code != test.code || api.Message == "" {
				t.Errorf("%s: status %d, %s", test.name, api.StatusCode, api.RawJSON())
			}
		}
	}
	if _, err := healthy.Models.Get(t.Context(), "gpt"); err == nil {
		t.Error("an unknown model was found")
	}
}

func TestFlaws(t *testing.T) {
	refusing := dial(t, modeltest.Config{RefusalRate: 1, Seed: 2})
	kinds := make(map[string]int)
	for range 20 {
		acc, tokens, err := stream(t.Context(), refusing, chat("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got := int(acc.Usage.CompletionTokens); got != tokens {
			t.Errorf("usage %d, %d chunks", got, tokens)
		}
		switch c := acc.Choices[0]; {
		case c.FinishReason == "content_filter":
			kinds["filtered"]++
		case c.Message.Refusal != "" && c.Message.Content == "" && c.FinishReason == "stop":
			kinds["refused"]++
		default:
			t.Errorf("no refusal: %+v", c)
		}
	}
	if kinds["filtered"] == 0 || kinds["refused"] == 0 {
		t.Errorf("kinds of refusals: %v, want both", kinds)
	}
	for name, cfg := range map[string]modeltest.Config{"truncated": {TruncateRate: 1}, "error in the stream": {StreamErrorRate: 1}} {
		if _, tokens, err := stream(t.Context(), dial(t, cfg), chat("x")); err == nil || tokens == 0 {
			t.Errorf("%s: %d tokens and error %v, want some of both", name, tokens, err)
		}
	}
}

func TestCancel(t *testing.T) {
	client := dial(t, modeltest.Config{TimePerToken: 10 * time.Millisecond, Length: 5000})
	ctx, cancel := context.WithCancel(t.Context())
	s := client.Chat.Completions.NewStreaming(ctx, chat("x"))
	for range 5 {
		if !s.Next() {
			t.Fatal(s.Err())
		}
	}
	cancel()
	for s.Next() {
	}
	if !errors.Is(s.Err(), context.Canceled) {
		t.Errorf("after a cancel: %v", s.Err())
	}
}

func TestHeadersAreThoseOfTheAPI(t *testing.T) {
	client := dial(t, modeltest.Config{})
	var response *http.Response
	if _, err := client.Chat.Completions.New(t.Context(), chat("x"), option.WithResponseInto(&response)); err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}
