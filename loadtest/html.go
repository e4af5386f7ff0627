package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"short": func(d time.Duration) string { return short(d).String() }, "grouped": grouped,
	"percent": func(part, whole int) string { return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(max(1, whole))) },
}).Parse(reportHTML))

// WriteHTML writes r as one page that holds all it needs: no script, and
// nothing that is fetched from anywhere.
func (r *Report) WriteHTML(w io.Writer) error {
	err := reportTemplate.Execute(w, struct {
		*Report
		Tiles  []tile
		Plots  []template.HTML
		Rows   []htmlRow
		Counts []count
		Source string
	}{r, r.tiles(), r.plots(), r.htmlRows(), r.counts(), strings.TrimPrefix(r.tokenSource(), "; ")})
	if err != nil {
		return fmt.Errorf("loadtest: write HTML: %w", err)
	}
	return nil
}

type tile struct{ Name, Value, Note string }

func (r *Report) tiles() []tile {
	ok := r.Classes[analysis.OK]
	out := []tile{
		{"Requests", grouped(r.Sent), fmt.Sprintf("%.4g/s reached of %.4g/s due", r.SentRate, r.DueRate)},
		{"Answered", fmt.Sprintf("%.4g %%", 100*float64(ok)/float64(max(1, r.Sent))), grouped(ok) + " of " + grouped(r.Sent) + " sent"},
		{"TTFT p99", short(r.CorrectedTTFT.Quantile(0.99)).String(), "p50 " + short(r.CorrectedTTFT.Quantile(0.5)).String() + ", from when due"},
		{"ITL p99", short(r.ITL.Quantile(0.99)).String(), "p50 " + short(r.ITL.Quantile(0.5)).String()},
		{"Tokens out", fmt.Sprintf("%.4g/s", r.TokenRate()), grouped(r.OutputTokens) + " in all"},
	}
	for _, g := range r.Goodput {
		out = append(out, tile{"Goodput", fmt.Sprintf("%.4g/s", g.Rate), fmt.Sprintf("%s of %s sent kept %v", grouped(g.Good), grouped(g.Sent), g.SLO)})
	}
	return out
}

type htmlRow struct {
	Name  string
	Count string
	Cells []string
}

func (r *Report) htmlRows() (out []htmlRow) {
	for _, row := range r.rows() {
		if row.d.Count() == 0 {
			continue
		}
		h := htmlRow{Name: row.name, Count: grouped(int(row.d.Count())), Cells: []string{short(row.d.Mean()).String()}}
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			h.Cells = append(h.Cells, short(row.d.Quantile(q)).String())
		}
		out = append(out, h)
	}
	return out
}

type count struct {
	Name  string
	N     int
	Error string
}

func (r *Report) counts() (out []count) {
	for c := analysis.OK; c <= analysis.Cancelled; c++ {
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

// line is one line of a plot: y over x, both in the units of the axes.
type line struct {
	name   string
	colour string
	x, y   []float64
}

const (
	blue   = "#2f6fb0"
	orange = "#c4621a"
	red    = "#b3261e"
	green  = "#2e7d4f"
)

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
				return math.NaN() // nobody was there to measure
			}
			return 1000 * f(i)
		}
	}
	return []template.HTML{
		plot("Time to first token, from when due", "s", "ms", over("p99", orange, millis(func(i Interval) float64 { return i.TTFT99 })), over("p50", blue, millis(func(i Interval) float64 { return i.TTFT50 }))),
		plot("Latency, from when due", "s", "ms", over("p99", orange, millis(func(i Interval) float64 { return i.Whole99 })), over("p50", blue, millis(func(i Interval) float64 { return i.Whole50 }))),
		plot("Requests per second", "s", "1/s", over("sent", blue, func(i Interval) float64 { return float64(i.Sent) / i.Length }), over("failed", red, func(i Interval) float64 { return float64(i.Failed) / i.Length })),
		plot("Output tokens per second, by when due", "s", "1/s", over("tokens", green, func(i Interval) float64 { return float64(i.Tokens) / i.Length })),
		plot("Requests under way, mean", "s", "", over("under way", blue, func(i Interval) float64 { return i.Active })),
		plot("Latency by percentile (1: p90, 2: p99, 3: p99.9)", "nines", "ms", spectrum("as measured", blue, &r.Latency), spectrum("corrected", orange, &r.CorrectedLatency)),
		plot("TTFT, share of requests by time", "ms", "%", density("TTFT", blue, &r.TTFT)),
		plot("ITL, share of gaps by time", "ms", "%", density("ITL", green, &r.ITL)),
	}
}

// spectrum is quantile over the number of nines of its share: 1 is the p90, 2
// the p99, 3 the p99.9.
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

// density is the share of the durations in each of 60 parts up to the p99.5.
func density(name, colour string, d *Distribution) line {
	l := line{name: name, colour: colour}
	top := d.Quantile(0.995).Seconds()
	if d.Count() < 2 || top <= 0 {
		return l
	}
	const parts = 60
	var counts [parts]float64
	h := d.histogram()
	for slot, n := range h.counts {
		if i := int(hdrValue(slot) / 1e6 / top * parts); n > 0 && i < parts {
			counts[i] += float64(n)
		}
	}
	for i, n := range counts {
		l.x = append(l.x, (float64(i)+0.5)/parts*top*1000)
		l.y = append(l.y, 100*n/float64(d.Count()))
	}
	return l
}

// plot draws lines as SVG. Points that are NaN interrupt their line.
func plot(title, xUnit, yUnit string, lines ...line) template.HTML {
	const w, h, left, right, top, bottom = 560.0, 230.0, 56.0, 12.0, 46.0, 30.0
	xMax, yMax := 0.0, 0.0
	for _, l := range lines {
		for i := range l.x {
			if !math.IsNaN(l.y[i]) {
				xMax, yMax = max(xMax, l.x[i]), max(yMax, l.y[i])
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><text class="t" x="0" y="14">%s</text>`, w, h, title, title)
	if xMax == 0 {
		fmt.Fprintf(&b, `<text x="%g" y="%g">nothing was measured</text></svg>`, left, h/2)
		return template.HTML(b.String())
	}
	yStep, xStep := step(yMax), step(xMax)
	yMax = max(yStep, math.Ceil(yMax/yStep-1e-9)*yStep)
	px := func(x float64) float64 { return left + x/xMax*(w-left-right) }
	py := func(y float64) float64 { return h - bottom - y/yMax*(h-top-bottom) }
	for i := 0.0; i*yStep <= yMax*1.0001; i++ {
		y := i * yStep
		fmt.Fprintf(&b, `<line class="g" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%.4g</text>`, left, w-right, py(y), py(y), left-6, py(y)+4, y)
	}
	for i := 0.0; i*xStep <= xMax*1.0001; i++ {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%.4g</text>`, px(i*xStep), h-bottom+16, i*xStep)
	}
	fmt.Fprintf(&b, `<text class="u" x="%g" y="%g">%s</text><text class="y" x="%g" y="%g">%s</text>`, w-right, h-2, xUnit, left-6, top-14, yUnit)
	at := w - right
	for _, l := range slices.Backward(lines) {
		fmt.Fprintf(&b, `<text class="u" x="%g" y="14" style="fill:%s">%s</text>`, at, l.colour, l.name)
		at -= 10 + 7.5*float64(len(l.name))
	}
	for _, l := range lines {
		fmt.Fprintf(&b, `<path stroke="%s" d="`, l.colour)
		pen := "M"
		for i := range l.x {
			if math.IsNaN(l.y[i]) {
				pen = "M"
				continue
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", pen, px(l.x[i]), py(l.y[i]))
			pen = "L"
		}
		b.WriteString(`"/>`)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// step returns a round distance of which about four make up top.
func step(top float64) float64 {
	if top <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(top/4)))
	for _, m := range []float64{1, 2, 5} {
		if top/4 <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}
