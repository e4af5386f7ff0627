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
long answers: 25 s at the median, 40 requests a second, and 1 % fail after 0.1 s. 200 users: each
stays with one version, and one in twenty fails 30 times as often. 30 % hang: so many requests of
the candidate never end. by completed request: how Serin counted before it followed requests.
`

// writeTable prints the results, the usual scenarios apart from the others. It ignores
// errors of w, which is a terminal.
func (r report) writeTable(w io.Writer) {
	fmt.Fprintf(w, "%d rollouts of each kind, %d looks after %d+%d requests each; healthy: 1 %% errors, median 500 ms\n\n", r.Runs, looks, perLook, perLook)
	r.writePart(w, 0, usual)
	fmt.Fprintln(w)
	r.writePart(w, usual, len(scenarios))
	fmt.Fprint(w, "\n", notes)
}

// writePart prints the results of the scenarios from one to before another.
func (r report) writePart(w io.Writer, from, to int) {
	row := func(name string, cells func(s int) string) {
		var b strings.Builder
		fmt.Fprintf(&b, "%-27s", name)
		for s := from; s < to; s++ {
			width := 20
			if scenarios[s].healthy {
				width = max(11, 2+len(scenarios[s].name))
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
}
