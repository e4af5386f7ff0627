package compat

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// column is a column of a table of GuideLLM: three rows of header and a value.
type column struct {
	head  [3]string
	value string
}

// guidellm returns the tables of latencies and throughput that GuideLLM prints. Results
// have no name of a strategy and no median of the concurrency over time.
func (r *Report) guidellm() (string, error) {
	const none = "--"
	strategy := column{[3]string{"Benchmark", "Strategy"}, none}
	stats := func(group, unit string, v *values, factor float64) []column {
		if v.n == 0 {
			return []column{{[3]string{group, unit, "Mdn"}, none}, {[3]string{group, unit, "p95"}, none}}
		}
		return []column{
			{[3]string{group, unit, "Mdn"}, fmt.Sprintf("%.1f", factor*v.quantile(GuideLLM, 0.5))},
			{[3]string{group, unit, "p95"}, fmt.Sprintf("%.1f", factor*v.quantile(GuideLLM, 0.95))},
		}
	}
	latency := []column{strategy}
	for _, m := range []struct {
		group, unit string
		v           *values
		factor      float64
	}{{"Request Latency", "Sec", &r.e2e, 1}, {"TTFT", "ms", &r.ttft, 1000}, {"TTFOT", "ms", &r.ttfot, 1000}, {"ITL", "ms", &r.itl, 1000}, {"TPOT", "ms", &r.tpot, 1000}} {
		latency = append(latency, stats(m.group, m.unit, m.v, m.factor)...)
	}
	mean := func(group string, n int) column {
		return column{[3]string{group, "Per Sec", "Mean"}, fmt.Sprintf("%.1f", per(n, r.firstSent, r.lastEnd))}
	}
	throughput := []column{
		strategy, {[3]string{"Requests", "Concurrency", "Mdn"}, none},
		{[3]string{"Requests", "Concurrency", "Mean"}, fmt.Sprintf("%.1f", per(r.busy.Seconds(), r.firstSent, r.lastEnd))},
		mean("Requests", r.done+r.failed), mean("Input Tokens", r.input), mean("Output Tokens", r.output), mean("Total Tokens", r.input+r.output),
	}
	counts := append(append([]column{strategy}, stats("Input Tok", "Per Req", &r.in, 1)...), stats("Output Tok", "Per Req", &r.out, 1)...)
	return "\n\nℹ Request Token Statistics (Completed Requests)\n" + ruled(counts) +
		"\n\nℹ Request Latency Statistics (Completed Requests)\n" + ruled(latency) +
		"\n\nℹ Server Throughput Statistics (All Requests)\n" + ruled(throughput), nil
}

// ruled draws a table. Neighbors with equal headers share a cell, if those in the row
// above are equal too.
func ruled(columns []column) string {
	pad := func(text string) string {
		if text == "" {
			return ""
		}
		return " " + text + " "
	}
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(pad(c.value)) // headers widen them, below
	}
	var shared [3][]int // the number of columns of each cell, 0 within one
	for row := range shared {
		shared[row] = make([]int, len(columns))
		for i, start := 0, 0; i < len(columns); i++ {
			same := i > start && columns[i].head[row] != "" && columns[i].head[row] == columns[start].head[row] &&
				(row == 0 || columns[i].head[row-1] == columns[start].head[row-1])
			if !same {
				start = i
			}
			shared[row][start]++
		}
		for i, n := range shared[row] {
			for have, j := sum(widths[i:i+n]), 0; n > 0 && have < len(pad(columns[i].head[row])); have, j = have+1, (j+1)%n {
				widths[i+j]++
			}
		}
	}
	var b strings.Builder
	rule := func(fill string) {
		for _, w := range widths {
			b.WriteString("|" + strings.Repeat(fill, w))
		}
		b.WriteString("|\n")
	}
	cell := func(text string, width int) {
		b.WriteString("|" + text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))))
	}
	rule("=")
	for row := range shared {
		for i, n := range shared[row] {
			if n == 0 {
				b.WriteString("|")
				continue
			}
			cell(pad(columns[i].head[row]), sum(widths[i:i+n]))
		}
		b.WriteString("|\n")
	}
	rule("-")
	for i, c := range columns {
		cell(pad(c.value), widths[i])
	}
	b.WriteString("|\n")
	rule("=")
	return b.String()
}

func sum(ns []int) (total int) {
	for _, n := range ns {
		total += n
	}
	return total
}
