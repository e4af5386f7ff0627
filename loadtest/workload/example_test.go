package workload_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// HTTP requests of any kind, in a format of vegeta.
func ExampleReadTargets() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s %s tenant %q\n", r.Method, r.URL.Path, r.Header.Get("X-Tenant"))
	}))
	defer server.Close()
	file := strings.ReplaceAll(`GET HOST/health

PUT HOST/things/7
X-Tenant: a
`, "HOST", server.URL)
	targets, err := workload.ReadTargets(strings.NewReader(file), workload.HTTPTargets, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = loadtest.Run(context.Background(), loadtest.Plan{Workload: targets, Pacer: pace.Constant(50), Requests: 2, Workers: 1})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// GET /health tenant ""
	// PUT /things/7 tenant "a"
}

// The error names each bad line of a file.
func ExampleReadPrompts_errors() {
	_, err := workload.ReadPrompts(strings.NewReader(`{"prompt": "What is light?"}
{"prompt": ""}
{"turns": []}
{"prompt": "cut o`))
	fmt.Println(err)
	// Output:
	// workload: prompts: line 2: Prompt.Messages[0].Content is "", want a text
	// workload: prompts: line 3: Prompt.Messages is [], want at least one message
	// workload: prompts: line 4: unexpected end of JSON input
}

// The requests for a base model and a LoRA adapter. The report has a part for each.
func ExampleMix() {
	prompts := workload.Synthetic{Input: workload.Length{Mean: 50}, Seed: 1}
	mix := workload.Mix{Seed: 7, Parts: []workload.Part{
		{Name: "base", Weight: 3, Model: "base", Workload: prompts},
		{Name: "sql", Weight: 1, Model: "sql-lora", Workload: prompts},
	}}
	if err := mix.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	for seq := range uint64(6) {
		r := mix.Request(seq)
		fmt.Println(r.Tag, r.Model)
	}
	// Output:
	// base base
	// base base
	// sql sql-lora
	// base base
	// base base
	// base base
}

// A data set in the format of ShareGPT, with conversations that cannot be used.
func ExampleReadShareGPT() {
	file := `[
{"id": "a", "conversations": [{"from": "human", "value": "What is light?"}, {"from": "gpt", "value": "A wave, and a particle."}]},
{"id": "b", "conversations": [{"from": "gpt", "value": "And so it ends."}, {"from": "human", "value": "Thank you."}]},
{"id": "c", "conversations": []}]`
	data, err := workload.ReadShareGPT(strings.NewReader(file), workload.ShareGPTOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(data)
	fmt.Println(data.Requests[0].Prompt.Messages[0].Content, data.Requests[0].MaxTokens)
	// Output:
	// 1 of 3 conversations; left out: 1 with fewer than two messages, 1 with messages that are not from user and assistant in turn
	// What is light? 6
}
