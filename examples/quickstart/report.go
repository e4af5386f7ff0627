package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/report"
	"github.com/serin-go/serin/strategies"
)

//go:embed report.html
var reportText string

var reportPage = template.Must(template.New("report").Parse(reportText))

// page is what report.html shows.
type page struct {
	When, Took, Audit string
	Requests, Dropped int
	Acts              []pageAct
}

// pageAct is the report of a rollout with what its users saw, and two plots.
type pageAct struct {
	report.Report
	Story            string
	Errors, Requests int
	Seconds, Limit   string
	LimitY           float64
	Curve, Area      string // path data
}

// writeReport writes the report: one file that needs nothing else.
func (d *demo) writeReport(ctx context.Context, results []*result, load *loadtest.Report) (err error) {
	p := page{
		When: load.Began.Format("2 January 2006, 15:04"), Took: load.Elapsed.Round(time.Second).String(),
		Requests: load.Sent, Audit: "the audit file that was written with it",
	}
	for _, r := range results {
		p.Dropped += r.load.dropped
		rep, err := report.Read(ctx, d.engine, r.id, report.Options{})
		if err != nil {
			return err
		}
		p.Acts = append(p.Acts, r.page(rep))
	}
	f, err := os.Create(d.cfg.Report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return reportPage.Execute(f, p)
}

func (r *result) page(rep report.Report) pageAct {
	a := pageAct{
		Report: rep, Story: r.act.story, Errors: r.load.allErrors(), Requests: r.load.requests,
		Seconds: fmt.Sprintf("%.0f", r.took().Seconds()), Area: r.sharePath(),
	}
	a.Curve, a.LimitY = r.evidencePath()
	if j := r.end.Judgement; j != nil {
		a.Limit = fmt.Sprintf("%.0f", j.Harm.Limit)
	}
	return a
}

// The plots are drawn between these coordinates.
const (
	left, right           = 40.0, 700.0
	shareTop, shareBottom = 10.0, 70.0
	curveTop, curveBottom = 10.0, 120.0
	curveHeadroom         = 1.15
)

// sharePath draws the candidate's share of the traffic over time, as steps.
func (r *result) sharePath() string {
	x := func(at time.Time) float64 {
		return left + (right-left)*at.Sub(r.events[0].At).Seconds()/max(r.took().Seconds(), 1e-9)
	}
	y := func(ev rollout.Event) float64 {
		return shareBottom - (shareBottom-shareTop)*float64(ev.Split.Weight(r.act.to))/float64(strategies.Full)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "M%.1f %.1f", left, shareBottom)
	before := shareBottom
	for _, ev := range r.events {
		fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", x(ev.At), before, x(ev.At), y(ev))
		before = y(ev)
	}
	fmt.Fprintf(&b, "L%.1f %.1fZ", right, shareBottom)
	return b.String()
}

// evidencePath draws the e-value over the candidate's requests, on a
// logarithmic scale, and returns where its limit is.
func (r *result) evidencePath() (path string, limitY float64) {
	curve := slices.Clone(r.curve)
	if j := r.end.Judgement; j != nil {
		curve = append(curve, *j)
	}
	limit, top, requests := math.Log(20), 0.0, 1
	for _, j := range curve {
		limit = math.Log(j.Harm.Limit)
		top, requests = max(top, logE(j)), max(requests, j.Candidate.Requests)
	}
	top = max(top, limit) * curveHeadroom
	y := func(logE float64) float64 {
		return curveBottom - (curveBottom-curveTop)*max(logE, 0)/top
	}
	var b strings.Builder
	for i, j := range curve {
		op := "L"
		if i == 0 {
			op = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", op, left+(right-left)*float64(j.Candidate.Requests)/float64(requests), y(logE(j)))
	}
	return b.String(), y(limit)
}

// logE is the logarithm of the evidence of harm at its strongest.
func logE(j analysis.Judgement) float64 { return math.Log(max(j.Harm.E, 1)) }
