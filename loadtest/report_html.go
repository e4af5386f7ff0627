package loadtest

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/units"
)

//go:embed *.html
var pages embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"short": func(d time.Duration) string { return units.Short(d).String() }, "quantile": func(d Distribution, q float64) string { return short(&d, q) }, "grouped": units.Grouped, "number": number,
	"percent": func(part, whole int) string { return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(max(1, whole))) },
}).ParseFS(pages, "*.html"))

// writePage writes a self-contained page.
func writePage(w io.Writer, name string, data any) error {
	if err := templates.ExecuteTemplate(w, name, data); err != nil {
		return fmt.Errorf("loadtest: write HTML: %w", err)
	}
	return nil
}

// WriteHTML writes r as a self-contained HTML page without scripts.
func (r *Report) WriteHTML(w io.Writer) error {
	return writePage(w, "report.html", struct {
		*Report
		Tiles  []tile
		Plots  []template.HTML
		Rows   []htmlRow
		Counts []count
		ByTag  []htmlRow
		Kinds  []errorCount
		Source string
		Few    string
		Found  verdict
	}{r, r.tiles(), r.plots(), r.htmlRows(), r.counts(), r.htmlTags(), r.errorCounts(), strings.TrimPrefix(r.tokenSource(), "; "), r.fewNote(), r.verdict()})
}

type tile struct{ Name, Value, Note string }

func (r *Report) tiles() []tile {
	ok := r.Classes[analysis.OK]
	out := []tile{
		{"Requests", units.Grouped(r.Sent), fmt.Sprintf("%s/s reached of %s/s due", number(r.SentRate), number(r.DueRate))},
		{"Answered", fmt.Sprintf("%.4g %%", 100*float64(ok)/float64(max(1, r.Sent))), units.Grouped(ok) + " of " + units.Grouped(r.Sent) + " sent"},
		{"TTFT p99", short(&r.CorrectedTTFT, 0.99), "p50 " + short(&r.CorrectedTTFT, 0.5) + ", from when due"},
		{"ITL p99", short(&r.ITL, 0.99), "p50 " + short(&r.ITL, 0.5)},
		{"Tokens out", number(r.TokenRate()) + "/s", units.Grouped(r.OutputTokens) + " in all"},
	}
	for _, g := range r.Goodput {
		out = append(out, tile{"Goodput", number(g.Rate) + "/s", fmt.Sprintf("%s of %s sent kept %v", units.Grouped(g.Good), units.Grouped(g.Sent), g.SLO)})
	}
	return out
}

type htmlRow struct {
	Name  string
	Count string
	Cells []htmlCell
}

// htmlCell is a figure with a note that appears when the mouse is over it.
type htmlCell struct{ Text, Note string }

func (r *Report) htmlRows() (out []htmlRow) {
	for _, row := range r.rows() {
		if row.d.Count() == 0 {
			continue
		}
		h := htmlRow{Name: row.name, Count: units.Grouped(int(row.d.Count())), Cells: []htmlCell{{Text: cell(row.d.Mean())}}}
		for _, q := range shownQuantiles {
			c := htmlCell{Text: mark(row.d, q) + cell(row.d.Quantile(q))}
			if row.d.few(q) {
				c.Note = fmt.Sprintf("%d of %s values lie beyond", row.d.beyond(q), h.Count)
			}
			h.Cells = append(h.Cells, c)
		}
		out = append(out, h)
	}
	return out
}

// htmlTags returns a row for each tag.
func (r *Report) htmlTags() (out []htmlRow) {
	for _, tag := range slices.Sorted(maps.Keys(r.Tags)) {
		t := r.Tags[tag]
		h := htmlRow{Name: tag, Count: units.Grouped(t.Sent), Cells: []htmlCell{{Text: fmt.Sprintf("%.3g/s", t.Rate)}, {Text: fmt.Sprintf("%.3g %%", 100*t.failedShare())}, {Text: units.Grouped(t.OutputTokens)}}}
		for _, d := range []*Distribution{&t.CorrectedTTFT, &t.TPOT, &t.CorrectedE2E, &t.CorrectedLatency} {
			h.Cells = append(h.Cells, htmlCell{Text: short(d, 0.5)}, htmlCell{Text: short(d, 0.99)})
		}
		out = append(out, h)
	}
	return out
}

// cell returns the text of a duration that was measured.
func cell(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return units.Short(d).String()
}

type count struct {
	Name  string
	N     int
	Error string
}

func (r *Report) counts() (out []count) {
	for c := range analysis.NumClasses {
		if n := r.Classes[c]; n > 0 {
			first := ""
			if err := r.FirstErrors[c]; err != nil {
				first = strings.TrimPrefix(err.Error(), "loadtest: ")
			}
			out = append(out, count{c.String(), n, first})
		}
	}
	return out
}

func (r *Report) plots() []template.HTML {
	course := r.Series()
	over := func(name, colour string, y func(Interval) float64) line {
		l := line{name: name, colour: colour}
		for _, i := range course {
			l.x, l.y = append(l.x, i.Start+i.Length/2), append(l.y, y(i))
		}
		return l
	}
	millis := func(f func(Interval) float64) func(Interval) float64 {
		return func(i Interval) float64 {
			if i.Sent == 0 {
				return math.NaN() // no requests
			}
			return 1000 * f(i)
		}
	}
	out := []template.HTML{
		plot("Time to first token, from when due", "s", "ms", over("p99", orange, millis(func(i Interval) float64 { return i.TTFT99 })), over("p50", blue, millis(func(i Interval) float64 { return i.TTFT50 }))),
		plot("Latency, from when due", "s", "ms", over("p99", orange, millis(func(i Interval) float64 { return i.Whole99 })), over("p50", blue, millis(func(i Interval) float64 { return i.Whole50 }))),
		plot("Requests per second", "s", "1/s", over("sent", blue, func(i Interval) float64 { return float64(i.Sent) / i.Length }), over("failed", red, func(i Interval) float64 { return float64(i.Failed) / i.Length })),
		plot("Output tokens per second, by when due", "s", "1/s", over("tokens", green, func(i Interval) float64 { return float64(i.Tokens) / i.Length })),
		plot("Requests under way, mean", "s", "", over("under way", blue, func(i Interval) float64 { return i.Active })),
		plot("Latency by percentile (1: p90, 2: p99, 3: p99.9)", "nines", "ms", spectrum("as measured", blue, &r.Latency), spectrum("corrected", orange, &r.CorrectedLatency)),
		plot("TTFT, share of requests by time", "ms", "%", density("TTFT", blue, &r.TTFT)),
		plot("ITL, share of gaps by time", "ms", "%", density("ITL", green, &r.ITL)),
	}
	if r.Server != nil {
		out = append(out, r.Server.plots()...)
	}
	return out
}

// spectrum returns quantiles over the number of nines: 1 is the p90, 2 the p99 and 3
// the p99.9.
func spectrum(name, colour string, d *Distribution) line {
	l := line{name: name, colour: colour}
	if d.Count() == 0 {
		return l
	}
	for nines := 0.0; nines <= math.Log10(float64(d.Count())) && nines <= 5; nines += 0.05 {
		l.x = append(l.x, nines)
		l.y = append(l.y, 1000*d.Quantile(1-math.Pow(10, -nines)).Seconds())
	}
	return l
}

// density returns the share of the durations in each of 60 parts up to the p99.5.
func density(name, colour string, d *Distribution) line {
	l := line{name: name, colour: colour}
	top := d.Quantile(0.995).Seconds()
	if d.Count() < 2 || top <= 0 {
		return l
	}
	const parts = 60
	var counts [parts]float64
	for us, n := range d.histogram().Buckets() {
		if i := int(us / 1e6 / top * parts); i < parts {
			counts[i] += float64(n)
		}
	}
	for i, n := range counts {
		l.x = append(l.x, (float64(i)+0.5)/parts*top*1000)
		l.y = append(l.y, 100*n/float64(d.Count()))
	}
	return l
}
