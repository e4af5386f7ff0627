package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
)

// Two processes, or two machines, can send one schedule: here one after the
// other, their reports through JSON.
func ExampleReport_Merge() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	schedule := loadtest.First(loadtest.Constant(200), 50)
	var merged *loadtest.Report
	for part := range 2 {
		report, err := loadtest.Run(context.Background(), loadtest.Plan{
			Target: server.URL, Model: "tinylm", Pacer: loadtest.Shard(schedule, part, 2), MaxTokens: 4,
			Workload: loadtest.Synthetic{Input: loadtest.Length{Mean: 20}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		data, err := json.Marshal(report)
		if err != nil {
			fmt.Println(err)
			return
		}
		var back loadtest.Report
		if err := json.Unmarshal(data, &back); err != nil {
			fmt.Println(err)
			return
		}
		if merged == nil {
			merged = &back
		} else {
			merged.Merge(&back)
		}
	}
	fmt.Println(merged.Sent, "requests,", merged.OutputTokens, "tokens,", merged.TTFT.Count(), "times to first token")
	// Output: 50 requests, 200 tokens, 50 times to first token
}

// Any HTTP requests, in the formats of vegeta's files.
func ExampleReadTargets() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s %s tenant %q\n", r.Method, r.URL.Path, r.Header.Get("X-Tenant"))
	}))
	defer server.Close()
	file := strings.ReplaceAll(`GET HOST/health

PUT HOST/things/7
X-Tenant: a
`, "HOST", server.URL)
	targets, err := loadtest.ReadTargets(strings.NewReader(file), loadtest.HTTPTargets, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = loadtest.Run(context.Background(), loadtest.Plan{Workload: targets, Pacer: loadtest.Constant(50), Requests: 2, Workers: 1})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// GET /health tenant ""
	// PUT /things/7 tenant "a"
}

// The lines of a bad file are all named at once.
func ExampleReadPrompts_errors() {
	_, err := loadtest.ReadPrompts(strings.NewReader(`{"prompt": "What is light?"}
{"prompt": ""}
{"turns": []}
{"prompt": "cut o`))
	fmt.Println(err)
	// Output:
	// loadtest: prompts, line 2: message 1 has no content
	// loadtest: prompts, line 3: no messages, want at least one
	// loadtest: prompts, line 4: unexpected end of JSON input
}

// One recording has the figures of every tool.
func ExampleRecording_Figures() {
	chunk := func(delta string) string { return `data: {"choices":[{"delta":{` + delta + `}}]}` + "\n\n" }
	var r loadtest.Recording
	for _, part := range []struct {
		at   time.Duration
		text string
	}{
		{5, chunk(`"role":"assistant","content":""`)}, {200, chunk(`"content":"Light"`)}, {230, chunk(`"content":" is"`)},
		{260, chunk(`"content":" seen"`)}, {262, "data: [DONE]\n\n"},
	} {
		r.Body = append(r.Body, part.text...)
		r.Reads = append(r.Reads, loadtest.Read{At: part.at * time.Millisecond, Size: len(part.text)})
	}
	for _, d := range loadtest.Definitions() {
		f, err := r.Figures(d, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-15s TTFT %-6v ITL %v\n", d, f.TTFT, f.ITL)
	}
	// Output:
	// vllm            TTFT 5ms    ITL [195ms 30ms 30ms]
	// guidellm        TTFT 200ms  ITL [30ms]
	// aiperf          TTFT 200ms  ITL [30ms]
	// inference-perf  TTFT 200ms  ITL [30ms 30ms]
}

// Latency over throughput at three rates, and the page that shows it.
func ExampleSweep() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	curve, err := loadtest.Sweep(context.Background(), loadtest.Search{
		Plan: loadtest.Plan{Target: server.URL, Model: "tinylm", MaxTokens: 4, Duration: 200 * time.Millisecond, Workload: loadtest.Synthetic{Input: loadtest.Length{Mean: 20}}},
		From: 20, To: 80,
	}, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	page, err := os.CreateTemp("", "curve*.html")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(page.Name())
	defer page.Close()
	if err := curve.WriteHTML(page); err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range curve.Steps {
		fmt.Printf("%.0f/s ", step.Rate)
	}
	fmt.Println()
	// Output: 20/s 40/s 80/s
}
