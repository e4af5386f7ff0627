package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), console{out: &o, err: &e, getenv: func(string) string { return "" }}, args)
	return code, o.String(), e.String()
}

// TestFirstScreen does what a new user does, and then what the next step is.
func TestFirstScreen(t *testing.T) {
	dir := t.TempDir()
	results, page := filepath.Join(dir, "r.jsonl"), filepath.Join(dir, "r.html")
	_, out, errs := command(t, "attack", "-duration", "1s", "-rate", "20", "-output", "8", "-slo", "ttft=10s", "-results", results,
		"-html", page, "-json", filepath.Join(dir, "r.json"), "-hdr", filepath.Join(dir, "r.hdr"))
	lines := strings.Split(out, "\n")
	if len(lines) > 24 || !strings.HasPrefix(out, "Generator") || !strings.Contains(out, "Goodput") || !strings.Contains(out, "TTFT") || !strings.Contains(errs, "small model") {
		t.Errorf("%s\n%s", out, errs)
	}
	code, again, errs := command(t, "report", results)
	if code != 0 || !strings.Contains(again, "corrected TTFT") {
		t.Errorf("report: %d\n%s%s", code, again, errs)
	}
	if _, same, _ := command(t, "compare", results, results); !strings.HasPrefix(same, "Verdict") || strings.Contains(same, " *\n") {
		t.Errorf("a file differs from itself:\n%s", same)
	}
	opensWithoutErrors(t, page)
}

// opensWithoutErrors shows the page in a browser, if there is one.
func opensWithoutErrors(t *testing.T, page string) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("no chromium here")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--log-level=0", "--dump-dom", "file://"+page)
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	if err := cmd.Run(); err != nil {
		t.Logf("chromium does not run here: %v", err)
		return
	}
	if strings.Contains(log.String(), "CONSOLE") || strings.Count(dom.String(), "<svg") != 8 {
		t.Errorf("the page has errors:\n%s", log.String())
	}
}

// TestShardsMakeOneReport sends one schedule by one process and by two.
func TestShardsMakeOneReport(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, part := range []string{"0/1", "0/2", "1/2"} {
		file := filepath.Join(dir, strings.ReplaceAll(part, "/", "of"))
		if _, out, errs := command(t, "attack", "-duration", "1s", "-rate", "30", "-output", "3", "-results", file, "-shard", part); !strings.Contains(out, "sent") {
			t.Fatalf("%s\n%s", out, errs)
		}
		files = append(files, file)
	}
	outcomes := func(files ...string) string {
		_, out, _ := command(t, append([]string{"report"}, files...)...)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "Outcomes") {
				return line
			}
		}
		return out
	}
	whole, parts := outcomes(files[0]), outcomes(files[1:]...)
	if whole != parts || !strings.Contains(whole, " ok (100 %)") {
		t.Errorf("one process: %stwo: %s", whole, parts)
	}
}

func TestExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(file, []byte("{\"prompt\":1}\n{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		code int
		want string
	}{
		{"", 0, "loadtest attack"},
		{"help", 0, "Exit codes"},
		{"atack", wrongUse, `no command "atack"`},
		{"attack -help", 0, "-duration"},
		{"attack -rate 0 -dry-run", wrongUse, "Poisson rate is 0"},
		{"attack -rate 5 -arrivals constant -dry-run", 0, "Requests: 50"},
		{"attack -arrivals never -dry-run", wrongUse, "-arrivals is"},
		{"attack -slo speed=9", wrongUse, "want ttft"},
		{"attack -prompts " + file + " -trace " + file + " -dry-run", wrongUse, "line 2"},
		{"attack -url http://127.0.0.1:1 -duration 300ms -arrivals constant -threshold error:rate<=1%", wrongUse, "Metric is"},
		{"attack -duration 300ms -output 2 -rate 20 -arrivals constant -threshold latency<=1ns", breached, "breached"},
		{"compare", wrongUse, "two files"},
		{"report /none", wrongUse, "/none"},
		{"search -from 9 -to 1", wrongUse, "From and To"},
	}
	for _, test := range tests {
		code, out, errs := command(t, strings.Fields(test.args)...)
		if test.code == breached && strings.Contains(errs, "generator was the bottleneck") {
			continue // a busy machine: nothing can be told, and the command says so
		}
		if code != test.code || !strings.Contains(out+errs, test.want) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", test.args, code, test.code, test.want, out, errs)
		}
	}
}

func TestInterruptedRunReports(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	code := run(ctx, console{out: &o, err: &e, getenv: func(string) string { return "" }}, []string{"attack"})
	if code != cannotTell || !strings.Contains(o.String(), "interrupted") {
		t.Errorf("%d:\n%s%s", code, o.String(), e.String())
	}
}
