package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runs is how many rollouts of each kind the figures rest on.
const runs = 40

// simulated is one simulation for all tests.
var simulated = sync.OnceValues(func() ([][]result, error) {
	return simulate(context.Background(), runs, 1, func(int) {})
})

func results(t *testing.T) [][]result {
	t.Helper()
	r, err := simulated()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The figures of larger simulations, written down independently, with room for
// chance: the share that is rolled back, from and to, and the median of the
// candidate's requests, at most (0: not looked at).
func TestAnchors(t *testing.T) {
	type anchor struct {
		scenario, method string
		from, to         float64
		median           int
	}
	if raced {
		t.Skip("figures take many rollouts, and are the same with the race detector")
	}
	noise := 3 * math.Sqrt(0.05*0.95/runs)
	for _, a := range []anchor{
		{"no change", "Serin", 0, 0.05 + noise, 0},
		{"no change", "Serin, looking every 10", 0, 0.05 + noise, 0},
		{"no change", "argo, tight, failureLimit 0", 0.95, 1, 0},
		{"no change", "argo, tight, failureLimit 3", 0.45, 0.85, 0},
		{"no change", "argo, loose, failureLimit 3", 0, 0.02, 0},
		{"no change", "flagger, tight, threshold 5", 0.58, 0.93, 0},
		{"no change", "flagger, loose, threshold 5", 0, 0.02, 0},
		{"no change", "Kayenta, every look", 0, 0.09, 0},
		{"no change", "Kayenta, once at the end", 0, 0.05, 0},
		{"incident", "Serin", 0, 0.05 + noise, 0},
		{"incident", "Serin, looking every 10", 0, 0.05 + noise, 0},
		{"incident", "argo, loose, failureLimit 3", 0.95, 1, 0},
		{"incident", "flagger, loose, threshold 5", 0.95, 1, 0},
		{"incident", "Kayenta, every look", 0, 0.09, 0},
		{"errors 1 -> 2 %", "Serin", 0.93, 1, 4000},
		{"errors 1 -> 2 %", "Serin, looking every 10", 0.95, 1, 3000},
		{"errors 1 -> 2 %", "argo, loose, failureLimit 3", 0, 0.05, 0},
		{"errors 1 -> 2 %", "Kayenta, every look", 0.93, 1, 3800},
		{"errors 1 -> 5 %", "Serin", 1, 1, 1000},
		{"errors 1 -> 5 %", "Serin, looking every 10", 1, 1, 405},
		{"errors 1 -> 5 %", "argo, tight, failureLimit 3", 1, 1, 800},
		{"errors 1 -> 5 %", "argo, loose, failureLimit 3", 1, 1, 2200},
		{"errors 1 -> 5 %", "Kayenta, every look", 1, 1, 1200},
		{"latency +10 %", "Serin", 0.65, 1, 0},
		{"latency +10 %", "Serin, looking every 10", 0.8, 1, 8000},
		{"latency +10 %", "argo, loose, failureLimit 3", 0, 0.08, 0},
		{"latency +10 %", "Kayenta, every look", 0.6, 0.95, 0},
		{"latency +50 %", "Serin", 1, 1, 1200},
		{"latency +50 %", "Serin, looking every 10", 1, 1, 240},
		{"latency +50 %", "argo, tight, failureLimit 3", 1, 1, 1000},
		{"latency +50 %", "Kayenta, every look", 1, 1, 1400},
		{"no change", "by completed request", 0, 0.05 + noise, 0},
		{"long answers", "Serin", 0, 0.05 + noise, 0},
		{"long answers", "Serin, looking every 10", 0, 0.05 + noise, 0},
		{"long answers", "by completed request", 0.5, 1, 0},
		{"200 users", "Serin", 0, 0.05 + noise, 0},
		{"200 users", "Serin, looking every 10", 0, 0.05 + noise, 0},
		{"30 % hang", "Serin", 1, 1, 1000},
		{"30 % hang", "Serin, looking every 10", 1, 1, 200},
		{"30 % hang", "by completed request", 0, 0.2, 0},
		{"30 % hang", "argo, loose, failureLimit 3", 0, 0.05, 0},
		{"30 % hang", "Kayenta, every look", 0, 0.2, 0},
		{"long answers x2", "Serin", 1, 1, 2000},
		{"long answers x2", "Serin, looking every 10", 1, 1, 1000},
	} {
		found := false
		for _, row := range results(t) {
			for _, r := range row {
				if r.scenario.name != a.scenario || r.method.name != a.method {
					continue
				}
				found = true
				if s := r.share(); s < a.from || s > a.to {
					t.Errorf("%s, %s: %.3f rolled back, want %.3f to %.3f", a.method, a.scenario, s, a.from, a.to)
				}
				if n, ok := r.quantile(0.5); a.median > 0 && (!ok || n > a.median) {
					t.Errorf("%s, %s: median %d, %v, want at most %d", a.method, a.scenario, n, ok, a.median)
				}
			}
		}
		if !found {
			t.Errorf("there is no %s, %s", a.method, a.scenario)
		}
	}
}

// The same seed gives the same table, whichever processor did what.
func TestSeed(t *testing.T) {
	if raced {
		t.Skip("three simulations; the race detector sees one in TestCommand")
	}
	table := func(seed uint64) string {
		results, err := simulate(t.Context(), 2, seed, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		report{Results: results, Runs: 2, Seed: seed}.writeTable(&b)
		return b.String()
	}
	first := table(7)
	if diff := cmp.Diff(first, table(7)); diff != "" {
		t.Errorf("the same seed gives another table:\n%s", diff)
	}
	if first == table(8) {
		t.Error("another seed gives the same table")
	}
}

func TestQuantiles(t *testing.T) {
	r := result{exposed: []int{100, 200, 300}, runs: 5}
	for q, want := range map[float64]int{0: 100, 0.25: 200, 0.5: 300} {
		if n, ok := r.quantile(q); !ok || n != want {
			t.Errorf("quantile %v: %d, %v, want %d", q, n, ok, want)
		}
	}
	if n, ok := r.quantile(0.9); ok {
		t.Errorf("three of five were found, but 90 %% of them by %d", n)
	}
	if r.share() != 0.6 {
		t.Errorf("share %v, want 0.6", r.share())
	}
}

// The page holds all it needs: nothing in it is fetched or run.
func TestPage(t *testing.T) {
	if raced {
		t.Skip("it shows the figures")
	}
	var page bytes.Buffer
	if err := (report{Results: results(t), Runs: runs, Seed: 1}).writePage(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, outside := range []string{`https?:`, `//[a-z]`, `<script`, `<link`, `<iframe`, `<img`, `\bsrc=`, `\bhref=`, `@import`, `url\(`, `\bon[a-z]+=`, `ZgotmplZ`, `NaN`} {
		if at := regexp.MustCompile(outside).FindString(text); at != "" {
			t.Errorf("the page has %q", at)
		}
	}
	bad := len(scenarios)
	for _, s := range scenarios {
		if s.healthy {
			bad--
		}
	}
	if n := strings.Count(text, "<svg"); n != 1+bad+len(methods()) {
		t.Errorf("%d drawings, want one of bars, %d of curves and a key for each method", n, bad)
	}
	if n := strings.Count(text, "<path class=\"curve"); n != bad*len(methods()) {
		t.Errorf("%d curves, want %d", n, bad*len(methods()))
	}
	for _, way := range methods() {
		if !strings.Contains(text, way.name) {
			t.Errorf("%s is not on the page", way.name)
		}
	}
	if page.Len() > 150_000 {
		t.Errorf("the page has %d bytes", page.Len())
	}
}

func TestCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-runs", "1", "-seed", "3", "-o", file}, &out, &errs, true); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if !strings.Contains(out.String(), "Serin, looking every 10") || !strings.Contains(out.String(), "Plots: "+file) {
		t.Errorf("output:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 132 {
			t.Errorf("a line is %d wide: %s", len(line), line)
		}
	}
	if !strings.Contains(errs.String(), "100 % simulated") {
		t.Errorf("progress: %q", errs.String())
	}
	if data, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(data, []byte("<!doctype html>")) {
		t.Errorf("page: %v", err)
	}
}

func TestWrongUse(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		args []string
		code int
		want string
	}{
		{t.Context(), []string{"-runs", "0"}, 2, "-runs is 0, want 1 to 100000"},
		{t.Context(), []string{"-runs", "100001"}, 2, "want 1 to 100000"},
		{t.Context(), []string{"-runs", "many"}, 2, `invalid value "many" for flag -runs`},
		{t.Context(), []string{"-seed", "-1"}, 2, "for flag -seed"},
		{t.Context(), []string{"-speed", "3"}, 2, "flag provided but not defined: -speed; -help explains the flags"},
		{t.Context(), []string{"10"}, 2, `"10" is no flag`},
		{t.Context(), []string{"-runs", "1", "-o", filepath.Join(t.TempDir(), "no", "page.html")}, 1, "no such file or directory"},
		{interrupted, []string{"-runs", "1"}, 1, "canarysim: interrupted"},
		{t.Context(), []string{"-help"}, 0, "-seed"},
	} {
		var out, errs bytes.Buffer
		if code := run(tt.ctx, tt.args, &out, &errs, false); code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%v: exit code %d, %q, want %d and %q", tt.args, code, errs.String(), tt.code, tt.want)
		}
	}
}
