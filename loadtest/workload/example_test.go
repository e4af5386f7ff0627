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
