package console

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
	"github.com/serin-go/serin/strategies"
)

// chart is a picture that the server draws, with its numbers in a table.
type chart struct {
	SVG   template.HTML
	Text  string // the text alternative
	Head  []string
	Table [][]string
}

// svg wraps shapes, in which nothing comes from outside, with an escaped text alternative.
func svg(class string, width, height int, text, shapes string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="%s" viewBox="0 0 %d %d" role="img" aria-label="%s" preserveAspectRatio="none">%s</svg>`,
		class, width, height, template.HTMLEscapeString(text), shapes))
}

// bar draws the shares of a split, the baseline first.
func bar(s strategies.Split) template.HTML {
	var b strings.Builder
	var text []string
	x := 0.0
	for i, a := range s.Arms {
		w := float64(a.Weight) / float64(strategies.Full) * 1000
		class := "cand"
		if i == 0 {
			class = "base"
		} else if i > 1 {
			class = "cand more"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" width="%.1f" height="24"/>`, class, x, w)
		if i > 0 && w > 0 {
			fmt.Fprintf(&b, `<rect class="gap" x="%.1f" width="3" height="24"/>`, x)
		}
		x += w
		text = append(text, a.Name+" "+situation.Percent(a.Weight))
	}
	return svg("bar", 1000, 24, "traffic: "+strings.Join(text, ", "), b.String())
}

// spark draws a small line of values.
func spark(values []float64, text string) template.HTML {
	if len(values) < 2 {
		return ""
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if high == low {
		high = low + 1
	}
	return svg("spark", 100, 24, text, line(len(values), 100, 24, func(i int) float64 { return (values[i] - low) / (high - low) }, "line"))
}

// line draws n points whose heights are from 0 to 1.
func line(n int, width, height float64, y func(i int) float64, class string) string {
	var b strings.Builder
	for i := range n {
		v := y(i)
		if math.IsNaN(v) {
			continue
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", float64(i)/float64(max(n-1, 1))*width, 1+(height-2)*(1-min(max(v, 0), 1)))
	}
	return fmt.Sprintf(`<polyline class="%s" points="%s"/>`, class, strings.TrimSpace(b.String()))
}

// sequence draws the evidence for harm of one metric over the requests, on a logarithmic
// scale, with the limit at which it alone rolls back.
func (c *Console) sequence(name string, points []point, i int, limit float64) chart {
	level := func(e float64) float64 { return (math.Log10(min(max(e, .1), 3*limit)) + 1) / (math.Log10(3*limit) + 1) }
	var used []point
	for _, p := range points {
		if i < len(p.metrics) {
			used = append(used, p)
		}
	}
	ch := chart{Head: []string{"time", "requests of the candidate", "evidence of harm"}}
	if len(used) < 2 || limit <= 1 {
		return ch
	}
	last := used[len(used)-1]
	ch.Text = fmt.Sprintf("%s: evidence of harm %s of %s after %d requests of the candidate", name, situation.Number(last.metrics[i].harm), situation.Number(limit), last.cand)
	y := 1 + 78*(1-level(limit))
	one := 1 + 78*(1-level(1))
	shapes := fmt.Sprintf(`<line class="limit" x1="0" x2="400" y1="%.1f" y2="%.1f"/><line class="one" x1="0" x2="400" y1="%.1f" y2="%.1f"/>`, y, y, one, one) +
		line(len(used), 400, 80, func(k int) float64 { return level(used[k].metrics[i].harm) }, "line")
	ch.SVG = svg("sequence", 400, 80, ch.Text, shapes)
	step := max(len(used)/12, 1)
	for k := 0; k < len(used); k += step {
		ch.Table = append(ch.Table, []string{situation.Clock(used[k].at, time.Now(), c.cfg.Zone), fmt.Sprint(used[k].cand), situation.Number(used[k].metrics[i].harm)})
	}
	return ch
}

// shares draws what the candidates had over the time of a rollout.
func (c *Console) shares(events []rollout.Event, end time.Time) chart {
	ch := chart{Head: []string{"time", "candidate", "phase"}}
	if len(events) == 0 {
		return ch
	}
	began := events[0].At
	whole := max(end.Sub(began), time.Second)
	given := func(s strategies.Split) float64 {
		if len(s.Arms) == 0 {
			return 0
		}
		return 1 - float64(s.Weight(s.Baseline()))/float64(strategies.Full)
	}
	var b strings.Builder
	before := -1.0
	for i, ev := range events {
		until := end
		if i+1 < len(events) {
			until = events[i+1].At
		}
		x, w := float64(ev.At.Sub(began))/float64(whole)*400, float64(until.Sub(ev.At))/float64(whole)*400
		g := given(ev.Split)
		fmt.Fprintf(&b, `<rect class="cand" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x, 60*(1-g), max(w, .1), 60*g)
		if g != before {
			ch.Table = append(ch.Table, []string{situation.Clock(ev.At, time.Now(), c.cfg.Zone), fmt.Sprintf("%.4g %%", 100*g), ev.Phase.String()})
		}
		before = g
	}
	ch.Text = fmt.Sprintf("the candidate's share from %s to %s; now %.4g %%", situation.Clock(began, time.Now(), c.cfg.Zone), situation.Clock(end, time.Now(), c.cfg.Zone), 100*given(events[len(events)-1].Split))
	ch.SVG = svg("shares", 400, 60, ch.Text, b.String())
	return ch
}
