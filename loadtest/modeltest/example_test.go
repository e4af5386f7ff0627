package modeltest_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/serin-go/serin/loadtest/modeltest"
)

func Example() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()

	resp, err := server.Client().Post(server.URL+"/v1/completions", "application/json",
		strings.NewReader(`{"model": "tinylm", "prompt": "Do not Bodies act", "max_tokens": 4, "temperature": 0, "stream": true}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(strings.Count(string(body), "data: "), "events,", err)
	fmt.Println(strings.HasSuffix(string(body), "data: [DONE]\n\n"))
	// Output:
	// 6 events, <nil>
	// true
}
