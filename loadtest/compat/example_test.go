package compat_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/compat"
)

// The metrics of one stream differ from tool to tool.
func ExampleDefinition_Figures() {
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
	for _, d := range compat.Definitions() {
		f, err := d.Figures(r, nil)
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

// The report of a run as vLLM prints it, whose first token is the role chunk.
func ExampleReport() {
	report, err := compat.NewReport(compat.VLLM, nil, loadtest.SLO{})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := loadtest.Plan{Record: true, OnResult: func(r loadtest.Result) { _ = report.Add(r) }}

	// loadtest.Run calls it with each result, such as this one.
	var r loadtest.Recording
	for _, part := range []struct {
		at   time.Duration
		text string
	}{{5, `"role":"assistant","content":""`}, {200, `"content":"Light"`}} {
		event := `data: {"choices":[{"delta":{` + part.text + `}}]}` + "\n\n"
		r.Body = append(r.Body, event...)
		r.Reads = append(r.Reads, loadtest.Read{At: part.at * time.Millisecond, Size: len(event)})
	}
	sent := time.Unix(1_700_000_000, 0)
	plan.OnResult(loadtest.Result{Due: sent, Sent: sent, Class: analysis.OK, Latency: 200 * time.Millisecond, Recording: &r})

	var b strings.Builder
	if err := report.WriteText(&b); err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "Mean") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output:
	// Mean TTFT (ms):                          5.00
	// Mean TPOT (ms):                          0.00
	// Mean ITL (ms):                           195.00
	// Mean E2EL (ms):                          200.00
}
