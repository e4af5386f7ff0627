package compat_test

import (
	"fmt"
	"time"

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
