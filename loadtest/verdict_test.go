package loadtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
)

// TestVerdictSentences has a report for each kind of verdict.
func TestVerdictSentences(t *testing.T) {
	judged := func(s checks.Status) []Judged {
		return []Judged{{threshold(t, "ttft p95 <= 1s"), checks.Result{Status: s, Summary: "ttft p95 <= 1s: 2 s over 7 requests"}}, {threshold(t, "error rate <= 1%"), checks.Result{Status: checks.Pass, Summary: "fine"}}}
	}
	ok := map[analysis.Class]int{analysis.OK: 6, analysis.Error: 1}
	for want, r := range map[string]*Report{
		"good server good: all 2 thresholds hold":                                             {Sent: 7, Classes: ok, Judged: judged(checks.Pass)},
		"bad server bad: threshold breached: ttft p95 <= 1s: 2 s over 7 requests":             {Sent: 7, Classes: ok, Judged: judged(checks.Fail)},
		"bad server bad: threshold breached: x":                                               {Sent: 7, Classes: ok, Judged: judged(checks.Pass), Aborted: "loadtest: threshold breached: x"},
		"open not conclusive: not enough evidence: ttft p95 <= 1s: 2 s over 7 requests; fine": {Sent: 7, Classes: ok, Judged: judged(checks.Unknown)},
		"open not conclusive: the generator was the bottleneck: slow; late":                   {Sent: 7, Classes: ok, Judged: judged(checks.Fail), Generator: Generator{Bottleneck: true, Reasons: []string{"slow", "late"}}},
		"open not conclusive: no request was sent":                                            {},
		"open not conclusive: no request succeeded, of 7":                                     {Sent: 7, Judged: judged(checks.Unknown)},
		"open not conclusive: the run was interrupted after 7 requests":                       {Sent: 7, Classes: ok, Interrupted: true, Judged: judged(checks.Pass)},
		"open not conclusive: 2 requests are missing":                                         {Sent: 7, Classes: ok, Missing: 2},
		"open not conclusive: no request succeeded: 7 of 7 were refused":                      {Sent: 7, Classes: map[analysis.Class]int{analysis.Refused: 7}},
		" no thresholds to judge by; 4 of 7 requests succeeded; 3 of 7 were refused":          {Sent: 7, Classes: map[analysis.Class]int{analysis.OK: 4, analysis.Refused: 3}},
		"good server good: all 2 thresholds hold; 3 of 7 were refused":                        {Sent: 7, Classes: map[analysis.Class]int{analysis.OK: 4, analysis.Refused: 3}, Judged: judged(checks.Pass)},
		" no thresholds to judge by; 6 of 7 requests succeeded":                               {Sent: 7, Classes: ok},
	} {
		if v := r.verdict(); v.Mood+" "+v.Text != want {
			t.Errorf("got  %s %s\nwant %s", v.Mood, v.Text, want)
		}
	}
}

// TestRefusedRunIsNotGood has a server that refuses each request quickly.
func TestRefusedRunIsNotGood(t *testing.T) {
	report := newReport(Plan{}, "")
	for range 100 {
		report.add(Result{Class: analysis.Refused, Status: 200, Latency: 1}, chunks{})
	}
	report.Judge(threshold(t, "error rate <= 1%"), threshold(t, "latency max <= 1s"))
	if v := report.verdict(); v.Mood != "open" || v.Text != "not conclusive: no request succeeded: 100 of 100 were refused" || report.Verdict().Status != checks.Unknown {
		t.Errorf("%+v, %v", v, report.Verdict())
	}
}

// TestFewRequestsLimitTheVerdict has runs of just enough requests and of one fewer.
func TestFewRequestsLimitTheVerdict(t *testing.T) {
	for _, tt := range []struct {
		threshold string
		enough    int
	}{
		{"ttft p50 <= 10s", 2}, {"ttft p99 <= 10s", 100}, {"ttft p99.9 <= 10s", 1000}, {"error rate <= 1%", 100}, {"error rate <= 3%", 34}, {"error rate <= 50%", 2},
		{"error rate <= 0%", 1}, {"error rate <= 100%", 1}, {"ttft max <= 1s", 1}, {"ttft mean <= 1s", 1}, {"tokens/s p90 >= 1", 2},
	} {
		for _, n := range []int{tt.enough - 1, tt.enough} {
			report := newReport(Plan{}, "")
			for range n {
				report.add(Result{Class: analysis.OK, Status: 200, Chunks: 2, TTFT: time.Millisecond, TPOT: time.Millisecond, Latency: time.Second}, chunks{})
			}
			report.Judge(threshold(t, tt.threshold))
			text := report.verdict().Text
			limited := fmt.Sprintf("server good as far as %s: %s", showing(n), report.Judged[0].Result.Summary)
			if few := n < tt.enough; n > 0 && (strings.HasPrefix(text, "server good: ") == few || few != (text == limited) || report.Verdict().Status != checks.Pass) {
				t.Errorf("%s, %d requests: %s", tt.threshold, n, text)
			}
		}
	}
}

// TestServersDoNotWriteToTheTerminal has an answer with control characters.
func TestServersDoNotWriteToTheTerminal(t *testing.T) {
	r := one(t, script{status: 500, parts: []part{{data: "a\x1b[2Jb\r\nc\x07\u009b31m"}}})
	report := newReport(Plan{}, "")
	r.Error, r.Tag = ErrorKind{Type: "x\x1b[2J"}, "t\x1b[2J"
	report.add(r, chunks{})
	text := report.String()
	if strings.ContainsAny(text, "\x1b\r\x07\u009b") || !strings.Contains(text, "\nFirst error: status 500: a [2Jb  c  31m") {
		t.Errorf("%q", text)
	}
}

// TestComparisonBlamesTheGenerator has a harmed candidate whose generator was late.
func TestComparisonBlamesTheGenerator(t *testing.T) {
	c := &Comparison{Baseline: newReport(Plan{}, ""), Candidate: newReport(Plan{}, ""), Judgement: analysis.Judgement{Verdict: analysis.Harmed, Reason: "worse"}}
	page := func() string {
		var b bytes.Buffer
		if err := c.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if text := c.String(); !strings.HasPrefix(text, "Verdict   harmed: worse\n") || !strings.Contains(page(), `<div class="verdict bad"><strong>Verdict: harmed: worse<`) {
		t.Error(text)
	}
	c.Candidate.Generator = Generator{Bottleneck: true, Reasons: []string{"slow"}}
	want := "not conclusive: the generator was the bottleneck for the candidate: slow; otherwise harmed: worse"
	if text := c.String(); !strings.HasPrefix(text, "Verdict   "+want+"\n") || !strings.Contains(page(), `<div class="verdict open"><strong>Verdict: `+want+"<") {
		t.Error(text)
	}
}
