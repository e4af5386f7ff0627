package loadtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

// shownQuantiles are the quantiles of the columns p50 to max, shownNames their names.
var (
	shownQuantiles = []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1}
	shownNames     = []string{"p50", "p90", "p95", "p99", "p99.9", "max"}
)

// fewMark marks quantiles of too few values.
const fewMark = "~"

// shownErrors is the number of kinds of errors in the text.
const shownErrors = 5

// plain returns text with a blank for each control character, since servers state parts
// of it, and a terminal would obey them.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// number returns x with four digits, or as a whole number from 10,000.
func number(x float64) string {
	if x >= 9999.5 {
		return units.Grouped(int(x + 0.5))
	}
	return fmt.Sprintf("%.4g", x)
}

// short returns the text of a quantile of d, with its mark, or a dash if d is empty.
func short(d *Distribution, q float64) string {
	if d.Count() == 0 {
		return "–"
	}
	return mark(d, q) + units.Short(d.Quantile(q)).String()
}

// mark returns the mark of a quantile of d, or nothing if d has enough values for it.
func mark(d *Distribution, q float64) string {
	if d.few(q) {
		return fewMark
	}
	return ""
}

// fewNote explains the marks of the shown quantiles. It is empty without marks.
func (r *Report) fewNote() string {
	var counts []uint64
	for _, row := range r.rows() {
		if !row.quiet && row.d.few(0.999) {
			counts = append(counts, row.d.Count())
		}
	}
	slices.Sort(counts)
	counts = slices.Compact(counts)
	var cases []string
	for i, n := range counts {
		if i == shownCounts {
			cases = append(cases, "and so on")
			break
		}
		d := Distribution{count: n}
		var each []string
		for i, q := range shownQuantiles {
			if d.few(q) {
				each = append(each, fmt.Sprintf("%s %d", shownNames[i], d.beyond(q)))
			}
		}
		cases = append(cases, fmt.Sprintf("%s (of %s values)", strings.Join(each, ", "), units.Grouped(int(n))))
	}
	if len(cases) == 0 {
		return ""
	}
	return fmt.Sprintf("chance decides, as fewer than %d values lie beyond: %s", leastBeyond, strings.Join(cases, "; "))
}

// shownCounts is the number of counts that the explanation of marks has.
const shownCounts = 2

// String returns the report as text of about 20 lines without a final newline. Its table
// has 80 columns, where "corr." stands for corrected. The first line is the verdict: the server is good, it is bad, or the run is not conclusive and why.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Verdict   %s\nGenerator %v\n", r.verdict().Text, r.Generator)
	for _, reason := range r.Generator.Reasons {
		fmt.Fprintf(&b, "          %s: the figures are not reliable\n", reason)
	}
	fmt.Fprintf(&b, "Requests  %s sent in %v, %s/s due, %s/s reached", units.Grouped(r.Sent), units.Short(r.Elapsed), number(r.DueRate), number(r.SentRate))
	if r.PeakConcurrency > 0 {
		fmt.Fprintf(&b, ", up to %s concurrent", units.Grouped(r.PeakConcurrency))
	}
	if r.Trimmed > 0 {
		fmt.Fprintf(&b, "; %s of them trimmed", units.Grouped(r.Trimmed))
	}
	if r.Interrupted {
		fmt.Fprintf(&b, "; interrupted, %s unsent", units.Grouped(r.Unsent))
	}
	if r.Missing > 0 {
		fmt.Fprintf(&b, "; %s MISSING", units.Grouped(r.Missing))
	}
	b.WriteString("\nOutcomes ")
	classes := slices.SortedFunc(maps.Keys(r.Classes), func(x, y analysis.Class) int { return cmp.Compare(x, y) })
	for i, c := range classes {
		b.WriteString([]string{" ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %v (%.4g %%)", units.Grouped(r.Classes[c]), c, 100*float64(r.Classes[c])/float64(r.Sent))
	}
	if len(r.Faults) > 0 {
		b.WriteString("\nFaults   ")
		for _, f := range faults {
			if n := r.Faults[f]; n > 0 {
				fmt.Fprintf(&b, " %s %v;", units.Grouped(n), f)
			}
		}
	}
	for i, e := range r.errorCounts() {
		if i == shownErrors {
			fmt.Fprintf(&b, " and %d more kinds", len(r.Errors)-i)
			break
		}
		if i == 0 {
			b.WriteString("\nErrors   ")
		}
		fmt.Fprintf(&b, " %s;", plain(e.Text()))
	}
	for _, g := range r.Goodput {
		fmt.Fprintf(&b, "\nGoodput   %.4g/s: %s of %s sent kept %v (%.4g %%)", g.Rate, units.Grouped(g.Good), units.Grouped(g.Sent), g.SLO, 100*g.share())
	}
	for _, j := range r.Judged {
		fmt.Fprintf(&b, "\nThreshold %v: %s", j.Result.Status, j.Result.Summary)
	}
	if r.Aborted != "" {
		fmt.Fprintf(&b, "\nAborted   %s", strings.TrimPrefix(r.Aborted, "loadtest: "))
	}
	if r.Server != nil {
		fmt.Fprintf(&b, "\nServer    %v", r.Server)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\nNote      %s", note)
	}
	fmt.Fprintf(&b, "\nTokens    %s out (%s/s), %s in, %s cached, %s/s in all%s", units.Grouped(r.OutputTokens), number(r.TokenRate()), units.Grouped(r.InputTokens), units.Grouped(r.CachedTokens), number(r.totalTokenRate()), r.tokenSource())
	if r.Coalesced > 0 {
		fmt.Fprintf(&b, "; %.2g %% of the chunks coalesced", 100*float64(r.Coalesced)/float64(r.Chunks))
	}
	fmt.Fprintf(&b, "\n%-14s%10s%8s", "", "count", "mean")
	for _, name := range shownNames {
		fmt.Fprintf(&b, "%8s", name)
	}
	b.WriteByte('\n')
	for _, row := range r.rows() {
		if row.d.Count() == 0 || row.quiet {
			continue
		}
		fmt.Fprintf(&b, "%-14s%10s%8v", strings.Replace(row.name, "corrected", "corr.", 1), units.Grouped(int(row.d.Count())), units.Short(row.d.Mean()))
		for _, q := range shownQuantiles {
			fmt.Fprintf(&b, "%8s", mark(row.d, q)+units.Short(row.d.Quantile(q)).String())
		}
		b.WriteByte('\n')
	}
	if note := r.fewNote(); note != "" {
		fmt.Fprintf(&b, "%s %s\n", fewMark, note)
	}
	r.writeTags(&b)
	for _, c := range classes {
		if err := r.FirstErrors[c]; err != nil {
			fmt.Fprintf(&b, "First %v: %s\n", c, plain(strings.TrimPrefix(err.Error(), "loadtest: ")))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// writeTags writes a table with a line for each tag. Its durations count from the instant
// at which requests were due.
func (r *Report) writeTags(b *strings.Builder) {
	if len(r.Tags) == 0 {
		return
	}
	tags := slices.Sorted(maps.Keys(r.Tags))
	clean := make([]string, len(tags))
	for i, tag := range tags {
		clean[i] = plain(tag)
	}
	names := shortNames(clean)
	fmt.Fprintf(b, "%-13s%8s%8s%8s%9s%9s%9s%8s%8s\n", "By tag, corr.", "sent", "rate", "failed", "TTFT p50", "TTFT p99", "TPOT p50", "E2E p50", "E2E p99")
	for i, tag := range tags {
		t := r.Tags[tag]
		fmt.Fprintf(b, "%-13s%8s%8s%8s", names[i], units.Grouped(t.Sent), fmt.Sprintf("%.3g/s", t.Rate), fmt.Sprintf("%.3g %%", 100*t.failedShare()))
		for _, d := range []struct {
			of    *Distribution
			q     float64
			width int
		}{{&t.CorrectedTTFT, 0.5, 9}, {&t.CorrectedTTFT, 0.99, 9}, {&t.TPOT, 0.5, 9}, {t.whole(), 0.5, 8}, {t.whole(), 0.99, 8}} {
			fmt.Fprintf(b, "%*s", d.width, short(d.of, d.q))
		}
		b.WriteByte('\n')
	}
}

// nameWidth is the width of names in the table of tags.
const nameWidth = 12

// shortNames returns names of up to nameWidth characters that differ if the names do. A
// long one has an ellipsis for its end, for its middle or for its beginning, by what keeps
// all of them different, or else its number.
func shortNames(all []string) []string {
	cut := func(name string, head int) string {
		runes := []rune(name)
		if len(runes) <= nameWidth {
			return name
		}
		return string(runes[:head]) + "…" + string(runes[len(runes)-(nameWidth-1-head):])
	}
	seen := make(map[string]int)
	for _, head := range []int{nameWidth - 1, nameWidth / 2, 0} {
		short := make([]string, len(all))
		clear(seen)
		for i, name := range all {
			short[i] = cut(name, head)
			seen[short[i]]++
		}
		if len(seen) == len(all) {
			return short
		}
	}
	return numbered(all)
}

// numbered returns the beginnings of long names, each with its number from 1.
func numbered(all []string) []string {
	short := make([]string, len(all))
	for i, name := range all {
		short[i] = name
		if runes := []rune(name); len(runes) > nameWidth {
			end := fmt.Sprintf("…#%d", i+1)
			short[i] = string(runes[:nameWidth-len([]rune(end))]) + end
		}
	}
	return short
}

// tokenSource describes the sources of the number of output tokens.
func (r *Report) tokenSource() string {
	words := map[TokenSource]string{FromUsage: "as the server reported", FromTokenizer: "by the tokenizer", FromChunks: "counted as chunks"}
	text := ""
	for _, s := range []TokenSource{FromUsage, FromTokenizer, FromChunks} {
		switch n := r.TokenSources[s]; {
		case n == 0:
		case len(r.TokenSources) == 1:
			return "; " + words[s]
		default:
			text += fmt.Sprintf("; %s answers %s", units.Grouped(n), words[s])
		}
	}
	return text
}
