package loadtest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stepOf returns a step with output tokens per second in all and a TPOT.
func stepOf(rate float64, tokens int, tpot time.Duration, held bool) Step {
	r := newReport(Plan{}, "")
	r.Sent, r.OutputTokens, r.Elapsed = 1, tokens, time.Second
	if tpot > 0 {
		r.TPOT.add(tpot)
		r.ITL.add(tpot)
	}
	r.Generator.Bottleneck = held
	return Step{Rate: rate, Throughput: rate, Report: r}
}

// TestParetoFrontier has steps that are beaten in one way, in both, or not to be compared.
func TestParetoFrontier(t *testing.T) {
	c := newCurve([]Step{
		stepOf(1, 100, 10*ms, false),  // on the frontier: 100 tokens/s per user
		stepOf(2, 100, 20*ms, false),  // as many tokens, slower
		stepOf(3, 300, 20*ms, false),  // on the frontier
		stepOf(4, 900, 1*ms, true),    // the best of all, if the generator was not the bottleneck
		stepOf(5, 250, 40*ms, false),  // less of both
		stepOf(6, 400, 100*ms, false), // on the frontier
		stepOf(7, 5000, 0, false),     // no streams
	})
	if diff := cmp.Diff([]int{0, 2, 5}, c.frontier()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := c.String()
	for _, want := range []string{
		"Most tokens: 400/s, at 10/s for each user. Quickest: 100/s for each user, at 100/s in all.",
		"1 of 7 steps are left out",
		"THE GENERATOR WAS THE BOTTLENECK; TTFT p99 –, TPOT p50 ~1ms, ITL p99 ~1ms, out 900 tokens/s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var b bytes.Buffer
	if err := c.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Count(page, " Pareto</td>") != 3 || strings.Count(page, `<tr class="held">`) != 1 || !strings.Contains(page, `<circle fill="none"`) || !strings.Contains(page, "<th>ITL p99</th>") {
		t.Error(page)
	}
	if got := newCurve(nil).frontier(); got != nil {
		t.Errorf("a frontier of nothing: %v", got)
	}
}
