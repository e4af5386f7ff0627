package main

import (
	"fmt"
	"io"
	"strings"
)

// report is everything that is printed and drawn.
type report struct {
	Results [][]result // by scenario and method
	Runs    int
	Seed    uint64
}

// cell words one result: the share of rollouts that were rolled back and, where
// that was right, after how many of the candidate's requests, the median and
// the 90th percentile.
func (r result) cell() string {
	if r.scenario.healthy {
		return fmt.Sprintf("%.1f%%", 100*r.share())
	}
	return fmt.Sprintf("%4.0f%% %6s/%6s", 100*r.share(), r.word(0.5), r.word(0.9))
}

func (r result) word(q float64) string {
	n, ok := r.quantile(q)
	if !ok {
		return "-"
	}
	return grouped(n)
}

// grouped writes 12000 as 12,000.
func grouped(n int) string {
	s := fmt.Sprint(n)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

const notes = `Wrong: the share of healthy candidates rolled back. Found: the share of bad ones rolled back,
and after how many of their requests, median and 90th percentile (- if fewer were found).
tight: errors <= 2 %, p99 <= 1.2 times the healthy one; loose: 5 %, 1.5 times.
`

// writeTable prints the results. An error of the terminal is nobody's to handle.
func (r report) writeTable(w io.Writer) {
	fmt.Fprintf(w, "%d rollouts of each kind, %d looks after %d+%d requests each; healthy: 1 %% errors, median 500 ms\n\n", r.Runs, looks, perLook, perLook)
	row := func(name string, cells func(s int) string) {
		var b strings.Builder
		fmt.Fprintf(&b, "%-27s", name)
		for s := range scenarios {
			width := 20
			if scenarios[s].healthy {
				width = 11
			}
			fmt.Fprintf(&b, "%*s", width, cells(s))
		}
		fmt.Fprintln(w, b.String())
	}
	row("", func(s int) string { return scenarios[s].name })
	row("", func(s int) string {
		if scenarios[s].healthy {
			return "wrong"
		}
		return "found median/   p90"
	})
	for m, way := range methods() {
		row(way.name, func(s int) string { return r.Results[s][m].cell() })
	}
	fmt.Fprint(w, "\n", notes)
}
