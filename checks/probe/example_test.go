package probe_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/serin-go/serin/checks/probe"
	"github.com/serin-go/serin/loadtest/modeltest"
)

func ExampleHTTP() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"status":"warn"}`)
	}))
	defer server.Close()
	r := probe.HTTP(probe.HTTPOptions{URL: server.URL, JSON: map[string]string{"/status": "pass"}}).Check(context.Background())
	fmt.Println(r.Status)
	// Output: fail
}

func ExampleCompletion() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	chat := probe.Endpoint{URL: server.URL, Model: modeltest.DefaultModel}
	r := probe.Completion(chat, probe.CompletionOptions{Stream: true, MaxTTFT: time.Minute}).Check(context.Background())
	fmt.Println(r.Status, r.Evidence["output_tokens"], r.Evidence["finish"])
	// Output: pass 8 length
}

// answers is a server that gives one answer.
func answers(document string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, document)
	}))
}

func ExampleEmbedding() {
	server := answers(`{"object":"list","model":"embed","data":[{"index":0,"embedding":[0.6,0.8]}]}`)
	defer server.Close()
	model := probe.Endpoint{URL: server.URL, Model: "embed"}
	fmt.Println(probe.Embedding(model, probe.EmbeddingOptions{Dimension: 1024}).Check(context.Background()).Summary)
	// Output: the embedding of embed has dimension 2, want 1024
}

func ExampleModeration() {
	server := answers(`{"id":"modr-1","model":"guard","results":[{"flagged":true}]}`)
	defer server.Close()
	model := probe.Endpoint{URL: server.URL, Model: "guard"}
	fmt.Println(probe.Moderation(model, probe.ModerationOptions{}).Check(context.Background()).Summary)
	// Output: guard flags a harmless text
}

func ExampleJSONMode() {
	server := answers(`{"object":"chat.completion","model":"chat","choices":[{"index":0,"message":{"role":"assistant",
		"content":"{\"capital\":\"Paris\",\"population\":\"two\"}"},"finish_reason":"stop"}]}`)
	defer server.Close()
	model := probe.Endpoint{URL: server.URL, Model: "chat"}
	fmt.Println(probe.JSONMode(model, probe.JSONModeOptions{}).Check(context.Background()).Summary)
	// Output: chat does not keep to a JSON schema: "population" is string, want number
}

func ExampleToolCall() {
	server := answers(`{"object":"chat.completion","model":"chat","choices":[{"index":0,"message":{"role":"assistant","content":null,
		"tool_calls":[{"id":"1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}]},
		"finish_reason":"tool_calls"}]}`)
	defer server.Close()
	model := probe.Endpoint{URL: server.URL, Model: "chat"}
	fmt.Println(probe.ToolCall(model, probe.ToolCallOptions{}).Check(context.Background()).Summary)
	// Output: chat calls a tool
}

// The candidate alone is spoken to, by what a rule of the split looks at.
func ExampleScript() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"object":"chat.completion","model":"chat","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"It is Paris."}}]}`)
	}))
	defer gateway.Close()
	script := probe.Script(
		probe.Endpoint{URL: gateway.URL, Model: "chat", Header: http.Header{"X-Canary": {"1.5.0"}}},
		probe.ScriptOptions{Turns: []probe.Turn{{Say: "What is the capital of France?", Contains: []string{"Paris"}, Lacks: []string{"I cannot"}}}},
	)
	r := script.Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output:
	// pass chat: all answers as expected, turns 1
}
