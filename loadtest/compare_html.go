package loadtest

import (
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/serin-go/serin/checks/analysis"
)

// comparedRow is a row of the table of differences.
type comparedRow struct {
	Difference
	Change string
	Bar    template.HTML
}

type comparedSide struct {
	Name     string
	Report   *Report
	Answered string
}

// WriteHTML writes c as a self-contained HTML page without scripts.
func (c *Comparison) WriteHTML(w io.Writer) error {
	widest := 0.01
	for _, d := range c.Differences {
		low, high := d.shares()
		widest = max(widest, math.Abs(low), math.Abs(high))
	}
	var rows []comparedRow
	for _, d := range c.Differences {
		rows = append(rows, comparedRow{d, d.change(), d.bar(min(widest, 2))})
	}
	var sides []comparedSide
	for _, s := range c.sides() {
		sides = append(sides, comparedSide{s.name, s.r, fmt.Sprintf("%.4g %%", 100*float64(s.r.Classes[analysis.OK])/float64(max(1, s.r.Sent)))})
	}
	mood := "open" // undecided
	switch c.Judgement.Verdict {
	case analysis.Safe:
		mood = ""
	case analysis.Harmed:
		mood = "bad"
	}
	a, b := c.Baseline, c.Candidate
	if a.Generator.Bottleneck || b.Generator.Bottleneck {
		mood = "open"
	}
	return writePage(w, "comparison.html", struct {
		*Comparison
		Mood  string
		Found string
		Rows  []comparedRow
		Sides []comparedSide
		Plots []template.HTML
	}{c, mood, c.verdict(), rows, sides, []template.HTML{
		plot("TTFT by percentile (1: p90, 2: p99, 3: p99.9)", "nines", "ms", spectrum(baselineArm, blue, &a.CorrectedTTFT), spectrum(candidateArm, orange, &b.CorrectedTTFT)),
		plot("Latency by percentile (1: p90, 2: p99, 3: p99.9)", "nines", "ms", spectrum(baselineArm, blue, &a.CorrectedLatency), spectrum(candidateArm, orange, &b.CorrectedLatency)),
		plot("TTFT, share of requests by time", "ms", "%", density(baselineArm, blue, &a.CorrectedTTFT), density(candidateArm, orange, &b.CorrectedTTFT)),
		plot("TPOT, share of requests by time", "ms", "%", density(baselineArm, blue, &a.TPOT), density(candidateArm, orange, &b.TPOT)),
		plot("TTFT p99 over time", "s", "ms", a.ttftCourse(baselineArm, blue), b.ttftCourse(candidateArm, orange)),
	}})
}

// shares returns the bounds of the difference relative to the baseline.
func (d Difference) shares() (low, high float64) {
	base := max(1, float64(d.Baseline))
	return float64(d.Low) / base, float64(d.High) / base
}

// bar draws the interval around a line at no difference. widest is the relative
// difference at either end.
func (d Difference) bar(widest float64) template.HTML {
	const w = 220.0
	low, high := d.shares()
	at := func(share float64) float64 { return w/2 + max(-1, min(share/widest, 1))*(w/2-2) }
	colour := blue
	if d.Low > 0 {
		colour = red
	} else if d.High < 0 {
		colour = green
	}
	mid := float64(d.Candidate-d.Baseline) / max(1, float64(d.Baseline))
	return template.HTML(fmt.Sprintf(`<svg class="bar" viewBox="0 0 %g 14" role="img" aria-label="%.1f to %.1f percent"><line class="g" x1="%g" x2="%g" y1="0" y2="14"/>`+
		`<line stroke="%s" stroke-width="2" x1="%.1f" x2="%.1f" y1="7" y2="7"/><circle fill="%s" r="4" cx="%.1f" cy="7"/></svg>`,
		w, 100*low, 100*high, w/2, w/2, colour, at(low), at(high), colour, at(mid)))
}

// ttftCourse returns the p99 of the corrected TTFT over time.
func (r *Report) ttftCourse(name, colour string) line {
	l := line{name: name, colour: colour}
	for _, i := range r.Series() {
		y := math.NaN()
		if i.Sent > 0 {
			y = 1000 * i.TTFT99
		}
		l.x, l.y = append(l.x, i.Start+i.Length/2), append(l.y, y)
	}
	return l
}
