package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// busyReport returns the report of a second with many answers and large figures.
func busyReport(t *testing.T) *loadtest.Report {
	t.Helper()
	var b bytes.Buffer
	w, err := loadtest.NewWriter(&b, loadtest.JSONLines, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Unix(1_700_000_000, 0)
	for i := range 1000 {
		r := loadtest.Result{Due: due, Sent: due, Class: analysis.OK, Status: 200, Chunks: 2, OutputTokens: 1 << 20, TTFT: 127 * time.Second, Latency: 128 * time.Second}
		if i == 0 {
			r.Class = analysis.Error
		}
		w.Write(r)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := loadtest.Summarise(&b)
	if err != nil {
		t.Fatal(err)
	}
	r.PeakConcurrency = 10_000
	return r
}

// TestProgressFitsTheTerminal writes lines for terminals of all widths.
func TestProgressFitsTheTerminal(t *testing.T) {
	r := busyReport(t)
	for width := range 200 {
		p := newProgress(console{width: func() int { return width }}, time.Hour)
		most := 79
		if width > 0 {
			most = max(1, min(width, 80)-1)
		}
		for i := range 100 {
			line := p.line(time.Duration(i*i) * time.Minute)
			if n := utf8.RuneCountInString(line); n > most || n == 0 || strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }) {
				t.Fatalf("%d columns: a line of %d: %q", width, n, line)
			}
			p.interval(r)
		}
	}
	p := newProgress(console{}, 10*time.Second)
	p.interval(r)
	if got, want := p.line(5*time.Second), "[#####.....] 5.0s  1000 (200/s)  99.9 % ok  TTFT p50 2m7s p99 2m7s"; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestProgressOnATerminal overwrites one line on a terminal and writes plain lines
// elsewhere.
func TestProgressOnATerminal(t *testing.T) {
	for _, live := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var e bytes.Buffer
			p := newProgress(console{err: &e, live: live, width: func() int { return 40 }}, time.Minute)
			p.start()
			time.Sleep(25 * time.Second)
			p.stop()
			got := e.String()
			if live && (strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") || strings.Count(got, "\r\x1b[K[") < 100) {
				t.Errorf("on a terminal: %q", got)
			}
			if !live && (strings.ContainsAny(got, "\r\x1b") || strings.Count(got, "\n") != 2) {
				t.Errorf("in a pipe: %q", got)
			}
		})
	}
}

// judgedFile writes results with a lag and with failures, and returns the name.
func judgedFile(t *testing.T, n, failed int, lag time.Duration) string {
	t.Helper()
	var b bytes.Buffer
	w, err := loadtest.NewWriter(&b, loadtest.JSONLines, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		due := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * 10 * time.Millisecond)
		r := loadtest.Result{Seq: uint64(i), Prompt: -1, Due: due, Sent: due.Add(lag), Class: analysis.OK, Status: 200, Latency: time.Second}
		if i < failed {
			r.Class, r.Status, r.Fault, r.Err = analysis.Error, 500, "server error", errors.New("status 500")
		}
		w.Write(r)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "r.jsonl")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestVerdicts has each exit code, and the sentence and the colour that goes with it.
func TestVerdicts(t *testing.T) {
	tests := []struct {
		file       string
		threshold  string
		code       int
		want, tint string
	}{
		{judgedFile(t, 1000, 0, 0), "error rate <= 1%", 0, "server good: error rate <= 1%: 0 % over 1,000 requests", "32"},
		{judgedFile(t, 1000, 100, 0), "error rate <= 1%", breached, "server bad: threshold breached: error rate <= 1%: 10 % over 1,000 requests", "31"},
		{judgedFile(t, 1000, 12, 0), "error rate <= 1%", inconclusive, "not conclusive: not enough evidence: error rate <= 1%: 1.2 % over 1,000 requests, which may be chance", "33"},
		{judgedFile(t, 10, 10, 0), "latency <= 1h", inconclusive, "not conclusive: no request succeeded, of 10", "33"},
		{judgedFile(t, 1000, 500, time.Second), "error rate <= 1%", generatorFault, "not conclusive: the generator was the bottleneck: the p99 of SchedLag, 1s, exceeds 50ms", "33"},
		{judgedFile(t, 1000, 100, 0), "", 0, "no thresholds to judge by; 900 of 1,000 requests succeeded", ""},
	}
	for _, test := range tests {
		args := []string{"report", test.file}
		if test.threshold != "" {
			args = []string{"report", "-threshold", test.threshold, test.file}
		}
		for _, coloured := range []bool{false, true} {
			var o, e bytes.Buffer
			code := run(t.Context(), console{out: &o, err: &e, coloured: coloured, getenv: func(string) string { return "" }}, args)
			first, _, _ := strings.Cut(o.String(), "\n")
			want := "Verdict   " + test.want
			if coloured && test.tint != "" {
				want = "\x1b[1;" + test.tint + "m" + want + "\x1b[0m"
			}
			if code != test.code || first != want || e.Len() > 0 || !coloured && strings.Contains(o.String(), "\x1b") {
				t.Errorf("%v: exit code %d, want %d\ngot  %q\nwant %q\n%s", args, code, test.code, first, want, e.String())
			}
		}
	}
}

// TestComparisonExitCodes compares files that are alike, worse, too short, and late.
func TestComparisonExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		baseline, candidate string
		code                int
		want                string
	}{
		"alike":     {judgedFile(t, 20_000, 0, 0), judgedFile(t, 20_000, 0, 0), 0, "safe: "},
		"worse":     {judgedFile(t, 2000, 0, 0), judgedFile(t, 2000, 1000, 0), breached, "harmed: "},
		"too short": {judgedFile(t, 10, 0, 0), judgedFile(t, 10, 1, 0), inconclusive, "continue: "},
		"late":      {judgedFile(t, 2000, 0, 0), judgedFile(t, 2000, 1000, time.Second), generatorFault, "not conclusive: the generator was the bottleneck for the candidate: "},
	} {
		if code, out, errs := command(t, "compare", test.baseline, test.candidate); code != test.code || !strings.HasPrefix(out, "Verdict   "+test.want) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s%s", name, code, test.code, test.want, out, errs)
		}
	}
}

// TestNoColour has the process itself write to a pipe.
func TestNoColour(t *testing.T) {
	p := start(t, []string{"FORCE_COLOR=1"}, "report", "-threshold", "error rate <= 1%", judgedFile(t, 100, 100, 0))
	_ = p.Wait() // the exit code is checked
	if out := p.out.String() + p.errs.String(); p.ProcessState.ExitCode() != breached || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d: %q", p.ProcessState.ExitCode(), out)
	}
}

// TestErrorsAfterAVerdict prints what went wrong after the verdict of a run.
func TestErrorsAfterAVerdict(t *testing.T) {
	code, _, errs := command(t, "report", "-threshold", "error rate <= 1%", "-html", filepath.Join(t.TempDir(), "no", "r.html"), judgedFile(t, 1000, 500, 0))
	if code == 0 || !strings.Contains(errs, "no such file") {
		t.Error(code, errs)
	}
}

func TestFolded(t *testing.T) {
	text := "Generator ok: 20/s of 20/s, gap CV 0.92 of 0.92, lag p99 1.97ms, CPU 6 %\n" + strings.Repeat("x", 90) + "\n" + strings.Repeat("=", 60) + " end"
	want := "Generator ok: 20/s of 20/s, gap CV 0.92 of 0.92, lag p99\n          1.97ms, CPU 6 %\n" + strings.Repeat("x", 90) + "\n" + strings.Repeat("=", 60) + "\n          end"
	if got := folded(text, 60); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, width := range []int{0, 39, 1000} {
		if got := folded(text, width); got != text {
			t.Errorf("%d columns:\n%s", width, got)
		}
	}
	for width := 40; width < 100; width++ {
		for line := range strings.Lines(folded(strings.Repeat("some words ", 40), width)) {
			if len(line) > width+1 {
				t.Errorf("%d columns: a line of %d", width, len(line))
			}
		}
	}
}

func TestPercent(t *testing.T) {
	for _, test := range []struct {
		part, whole int
		want        string
	}{{0, 0, "0.0 %"}, {999_999, 1_000_000, "99.9 %"}, {5, 5, "100.0 %"}, {1, 3, "33.3 %"}} {
		if got := percent(test.part, test.whole); got != test.want {
			t.Errorf("%d of %d is %s, want %s", test.part, test.whole, got, test.want)
		}
	}
	if got := fmt.Sprint(brief(1234567*time.Microsecond), brief(127123*time.Millisecond)); got != "1.235s 2m7.12s" {
		t.Error(got)
	}
}
