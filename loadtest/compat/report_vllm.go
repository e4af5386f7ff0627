package compat

import (
	"fmt"
	"strings"
)

// vllm returns the text that vllm bench serve prints, without the two lines of peaks,
// which need all requests together.
func (r *Report) vllm() (string, error) {
	var b strings.Builder
	line := func(name, format string, value any) { fmt.Fprintf(&b, "%-40s "+format+"\n", name, value) }
	rate := func(name string, n int) { line(name, "%-10.2f", per(n, r.firstDue, r.lastEnd)) }
	head := func(text, fill string) {
		left := (50 - len(text)) / 2
		b.WriteString(strings.Repeat(fill, left) + text + strings.Repeat(fill, 50-left-len(text)) + "\n")
	}
	head(" Serving Benchmark Result ", "=")
	line("Successful requests:", "%-10d", r.done)
	line("Failed requests:", "%-10d", r.failed)
	line("Benchmark duration (s):", "%-10.2f", r.lastEnd.Sub(r.firstDue).Seconds())
	line("Total input tokens:", "%-10d", r.input)
	line("Total generated tokens:", "%-10d", r.output)
	rate("Request throughput (req/s):", r.done)
	if r.limited() {
		rate("Request goodput (req/s):", r.good)
	}
	rate("Output token throughput (tok/s):", r.output)
	rate("Total token throughput (tok/s):", r.input+r.output)
	for _, m := range []struct {
		head, name string
		v          *values
	}{{"Time to First Token", "TTFT", &r.ttft}, {"Time per Output Token (excl. 1st token)", "TPOT", &r.tpot}, {"Inter-token Latency", "ITL", &r.itl}, {"End-to-end Latency", "E2EL", &r.e2e}} {
		head(m.head, "-")
		line("Mean "+m.name+" (ms):", "%-10.2f", 1000*m.v.mean)
		line("Median "+m.name+" (ms):", "%-10.2f", 1000*m.v.quantile(VLLM, 0.5))
		line("P99 "+m.name+" (ms):", "%-10.2f", 1000*m.v.quantile(VLLM, 0.99))
	}
	head("", "=")
	return b.String(), nil
}
