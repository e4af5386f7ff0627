package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// writePage writes one page that holds all it needs: no script, and nothing
// that is fetched from anywhere.
func (r report) writePage(w io.Writer) error {
	data := struct {
		report
		Looks, PerLook int
		Scenarios      []string
		Rows           []row
		Bars           bars
		Curves         []curves
		Notes          string
	}{report: r, Looks: looks, PerLook: perLook, Bars: r.bars(), Notes: notes}
	for s, scenario := range scenarios {
		data.Scenarios = append(data.Scenarios, scenario.name)
		if !scenario.healthy {
			data.Curves = append(data.Curves, r.curves(s))
		}
	}
	for m, way := range methods() {
		row := row{Name: way.name, Colour: way.colour, Dashes: way.dashes}
		for s := range scenarios {
			res := r.Results[s][m]
			c := cell{Share: fmt.Sprintf("%.1f %%", 100*res.share())}
			if !res.scenario.healthy {
				c.Requests = res.word(0.5) + " / " + res.word(0.9)
			}
			c.Bad = res.scenario.healthy && res.share() > 0.1 || !res.scenario.healthy && res.share() < 0.9
			row.Cells = append(row.Cells, c)
		}
		data.Rows = append(data.Rows, row)
	}
	return pageTemplate.Execute(w, data)
}

type row struct {
	Name, Colour, Dashes string
	Cells                []cell
}

type cell struct {
	Share, Requests string
	Bad             bool
}

// bars is the plot of wrong rollbacks: two bars for each method.
type bars struct {
	Height int
	Bars   []bar
}

type bar struct {
	Name, Label, Colour string
	Y, Width            float64
	Faint               bool // the second of its method
}

const barWidth = 380.0

func (r report) bars() (b bars) {
	y := 24.0
	for m, way := range methods() {
		first := true
		for s, scenario := range scenarios {
			if !scenario.healthy {
				continue
			}
			share := r.Results[s][m].share()
			bar := bar{Label: fmt.Sprintf("%.1f %% %s", 100*share, scenario.name), Colour: way.colour, Y: y, Width: max(1, share*barWidth), Faint: !first}
			if first {
				bar.Name = way.name
			}
			b.Bars, first = append(b.Bars, bar), false
			y += 13
		}
		y += 7
	}
	b.Height = int(y)
	return b
}

// curves is the plot of one scenario: the share of candidates found over how
// many of their requests had been served.
type curves struct {
	Title string
	Lines []curve
	XTick []tick
	YTick []tick
}

type curve struct {
	Name, Colour, Dashes, Path string
	Wide                       bool
}

type tick struct {
	At   float64
	Text string
}

// The area of the plot, in the units of its SVG.
const (
	left, right, top, bottom = 46.0, 532.0, 30.0, 210.0
	fewest                   = 10.0
)

// across places a number of requests on a logarithmic axis.
func across(n float64) float64 {
	return left + (right-left)*math.Log(max(n, fewest)/fewest)/math.Log(looks*perLook/fewest)
}

func up(share float64) float64 { return bottom - (bottom-top)*share }

func (r report) curves(s int) curves {
	c := curves{Title: scenarios[s].name}
	for _, n := range []int{10, 100, 1000, looks * perLook} {
		c.XTick = append(c.XTick, tick{across(float64(n)), grouped(n)})
	}
	for _, share := range []float64{0, 0.5, 1} {
		c.YTick = append(c.YTick, tick{up(share), fmt.Sprintf("%.0f %%", 100*share)})
	}
	for m, way := range methods() {
		var path strings.Builder
		fmt.Fprintf(&path, "M%.1f %.1f", left, up(0))
		exposed := r.Results[s][m].exposed
		for i, n := range exposed {
			if i+1 < len(exposed) && exposed[i+1] == n {
				continue // one step for equal values
			}
			fmt.Fprintf(&path, "H%.1fV%.1f", across(float64(n)), up(float64(i+1)/float64(r.Runs)))
		}
		fmt.Fprintf(&path, "H%.1f", right)
		c.Lines = append(c.Lines, curve{Name: way.name, Colour: way.colour, Dashes: way.dashes, Path: path.String(), Wide: m < 2})
	}
	return c
}
