package compat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/serin-go/serin/internal/units"
)

// aiperf returns the table of metrics that AIPerf prints, with its gaps between chunks,
// which AIPerf writes to files alone.
func (r *Report) aiperf() (string, error) {
	rows := [][]string{{"Metric", "avg", "min", "max", "p99", "p90", "p50", "std"}}
	row := func(name string, v *values, factor float64) {
		if v.n == 0 {
			return
		}
		cells := []string{name}
		for _, x := range []float64{v.mean, v.least, v.most, v.quantile(AIPerf, 0.99), v.quantile(AIPerf, 0.9), v.quantile(AIPerf, 0.5), v.deviation()} {
			cells = append(cells, decimals(factor*x))
		}
		rows = append(rows, cells)
	}
	one := func(name string, x float64) {
		rows = append(rows, append([]string{name, decimals(x)}, strings.Fields(strings.Repeat("N/A ", 6))...))
	}
	row("Time to First Token (ms)", &r.ttft, 1000)
	row("Time to Second Token (ms)", &r.second, 1000)
	row("Request Latency (ms)", &r.e2e, 1000)
	row("Inter Token Latency (ms)", &r.itl, 1000)
	row("Inter Chunk Latency (ms)", &r.icl, 1000)
	row("Output Token Throughput Per User (tokens/sec/user)", &r.speed, 1)
	row("Output Sequence Length (tokens)", &r.out, 1)
	row("Input Sequence Length (tokens)", &r.in, 1)
	one("Output Token Throughput (tokens/sec)", per(r.output, r.firstGood, r.lastToken))
	one("Request Throughput (requests/sec)", per(r.done, r.firstGood, r.lastToken))
	if r.limited() {
		one("Goodput (requests/sec)", per(r.good, r.firstGood, r.lastToken))
	}
	one("Request Count (requests)", float64(r.done))
	if r.failed > 0 {
		one("Error Request Count (requests)", float64(r.failed))
	}
	return boxed("NVIDIA AIPerf | LLM Metrics", rows), nil
}

// decimals returns x with two decimals and commas between thousands.
func decimals(x float64) string {
	whole, rest, _ := strings.Cut(fmt.Sprintf("%.2f", x), ".")
	n, _ := strconv.Atoi(whole) // it is a number
	return units.Grouped(n) + "." + rest
}

// boxed draws a table with its title in the middle. All cells are flush right.
func boxed(title string, rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	rule := func(left, fill, middle, right string) {
		parts := make([]string, len(widths))
		for i, w := range widths {
			parts[i] = strings.Repeat(fill, w+2)
		}
		b.WriteString(left + strings.Join(parts, middle) + right + "\n")
	}
	total := 1
	for _, w := range widths {
		total += w + 3
	}
	b.WriteString(strings.Repeat(" ", max(0, total-len(title))/2) + title + "\n")
	rule("┏", "━", "┳", "┓")
	for n, row := range rows {
		bar := "│"
		if n == 0 {
			bar = "┃"
		}
		for i, cell := range row {
			fmt.Fprintf(&b, "%s %*s ", bar, widths[i], cell)
		}
		b.WriteString(bar + "\n")
		if n == 0 {
			rule("┡", "━", "╇", "┩")
		}
	}
	rule("└", "─", "┴", "┘")
	return b.String()
}
