package loadtest

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// line is one line of a plot: y over x, both in the units of the axes.
type line struct {
	name   string
	colour string
	x, y   []float64
	dots   bool   // its points are marked
	hollow []bool // of the dots, those that are circles
	loose  bool   // its points are not connected
	mark   bool   // a vertical line at the first x
}

const (
	blue   = "#2f6fb0"
	orange = "#c4621a"
	red    = "#b3261e"
	green  = "#2e7d4f"
)

// plot draws lines as SVG. A NaN interrupts its line.
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
		fmt.Fprintf(&b, `<line class="g" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`, left, w-right, py(y), py(y), left-6, py(y)+4, number(y))
	}
	for i := 0.0; i*xStep <= xMax*1.0001; i++ {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%s</text>`, px(i*xStep), h-bottom+16, number(i*xStep))
	}
	fmt.Fprintf(&b, `<text class="u" x="%g" y="%g">%s</text><text class="y" x="%g" y="%g">%s</text>`, w-right, h-2, xUnit, left-6, top-14, yUnit)
	at := w - right
	for _, l := range slices.Backward(lines) {
		fmt.Fprintf(&b, `<text class="u" x="%g" y="14" style="fill:%s">%s</text>`, at, l.colour, l.name)
		at -= 10 + 7.5*float64(len(l.name))
	}
	for _, l := range lines {
		if l.mark {
			fmt.Fprintf(&b, `<line class="m" stroke="%s" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, l.colour, px(l.x[0]), px(l.x[0]), top, h-bottom)
			continue
		}
		if l.dots {
			for i := range l.x {
				if math.IsNaN(l.y[i]) {
					continue
				}
				fill := l.colour
				if len(l.hollow) > 0 && l.hollow[i] {
					fill = "none"
				}
				fmt.Fprintf(&b, `<circle fill="%s" stroke="%s" r="3" cx="%.1f" cy="%.1f"/>`, fill, l.colour, px(l.x[i]), py(l.y[i]))
			}
		}
		if l.loose {
			continue
		}
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

// step returns a round distance between ticks, for about four ticks up to top.
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
