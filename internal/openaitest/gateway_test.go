package openaitest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/apikeys"
)

// TestModelsOfAGateway: the client lists the models of a gateway, gets one, and reads the
// errors for an unknown model and an unknown key.
func TestModelsOfAGateway(t *testing.T) {
	keys, err := apikeys.Read(strings.NewReader(fmt.Sprintf(`{"%x": {"team": "search"}}`, sha256.Sum256([]byte("good")))))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(apikeys.Require(traffic.ModelList("chat", "org/small"), keys.Authenticate))
	defer server.Close()
	client := openai.NewClient(option.WithBaseURL(server.URL+"/v1"), option.WithAPIKey("good"), option.WithMaxRetries(0))
	var names []string
	pages := client.Models.ListAutoPaging(t.Context())
	for pages.Next() {
		names = append(names, pages.Current().ID)
	}
	if err := pages.Err(); err != nil || !slices.Equal(names, []string{"chat", "org/small"}) {
		t.Errorf("models %q, %v", names, err)
	}
	if m, err := client.Models.Get(t.Context(), "chat"); err != nil || m.ID != "chat" || m.Object != "model" {
		t.Errorf("%+v, %v", m, err)
	}
	for key, tt := range map[string]struct {
		model  string
		status int
	}{"good": {"none", http.StatusNotFound}, "bad": {"chat", http.StatusUnauthorized}} {
		_, err := client.Models.Get(t.Context(), tt.model, option.WithAPIKey(key))
		var failed *openai.Error
		if !errors.As(err, &failed) || failed.StatusCode != tt.status || failed.Message == "" {
			t.Errorf("key %s: %v, want status %d and a message", key, err, tt.status)
		}
	}
}

// TestStreamIsCut: the client reports a stream that was cut at a shutdown as an error, with
// its message, and not as complete.
func TestStreamIsCut(t *testing.T) {
	begun := make(chan struct{}, 1)
	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"1.4.0": {Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}`+"\n\n")
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
	})}}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: router}
	shutdown := traffic.Graceful(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // ends with the shutdown
	client := openai.NewClient(option.WithBaseURL("http://"+listener.Addr().String()+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0))
	stream := client.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
		Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
	})
	defer stream.Close()
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	<-begun
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := shutdown(now); !errors.Is(err, traffic.ErrCut) {
		t.Errorf("the shutdown returned %v", err)
	}
	for stream.Next() {
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("the client reports %v", err)
	}
}
