package loadtest

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
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
	p.Pacer, p.Requests, p.Model, p.SLOs = Constant(20), 100, hostile, []SLO{{Name: hostile, TTFT: ms}}
	report, _ := simulate(t, p)
	empty := newReport(plan(nil), "")
	empty.finish()
	for _, r := range []*Report{report, empty} {
		var b bytes.Buffer
		if err := r.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if found := regexp.MustCompile(`(?i)<script|src=|@import|url\(|NaN|%!`).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
		if strings.Count(page, "<svg") != 8 || strings.Count(page, "</svg>") != 8 {
			t.Errorf("%d plots", strings.Count(page, "<svg"))
		}
	}
}
