package loadtest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

func TestPageIsSelfContained(t *testing.T) {
	hostile := "<script>alert(1)</script>"
	n := 0
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		if n++; n%5 == 0 {
			return nil, errors.New(hostile)
		}
		return script{parts: spoken}.RoundTrip(r)
	}))
	p.Pacer, p.Requests, p.Model, p.SLOs = pace.Constant(20), 100, hostile, []SLO{{Name: hostile, TTFT: ms}}
	report, _ := simulate(t, p)
	empty := newReport(plan(nil), "")
	empty.finish()
	judgement := analysis.Judgement{Reason: hostile}
	steps := []Step{{Rate: 1, Good: 1, Sent: 1, Report: report}, {Rate: 2, Report: empty}, {Rate: 3, Report: report}}
	for _, r := range []struct {
		page  interface{ WriteHTML(io.Writer) error }
		plots int
	}{
		{report, 8}, {empty, 8}, {newCurve(steps), 8}, {Curve{Knee: -1}, 8},
		{&Comparison{Baseline: report, Candidate: report, Judgement: judgement, Differences: []Difference{{"TTFT p50", ms, 2 * ms, -ms, 3 * ms}}}, 6},
		{&Comparison{Baseline: empty, Candidate: empty}, 5},
	} {
		var b bytes.Buffer
		if err := r.page.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if found := regexp.MustCompile(`(?i)<script|\ssrc=|@import|url\(|NaN|%!`).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
		if strings.Count(page, "<svg") != r.plots || strings.Count(page, "</svg>") != r.plots {
			t.Errorf("%d plots, want %d", strings.Count(page, "<svg"), r.plots)
		}
	}
}
