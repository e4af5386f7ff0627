package loadprom_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/loadprom"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// attack runs a small plan against a model with faults.
func attack(t testing.TB, name string, intervals func(*loadtest.Report)) *loadtest.Report {
	t.Helper()
	model, err := modeltest.New(modeltest.Config{Seed: 1, ErrorRate: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(model)
	defer server.Close()
	r, err := loadtest.Run(t.Context(), loadtest.Plan{
		Target: server.URL, Model: modeltest.DefaultModel, Prompts: []workload.Prompt{workload.Ask("What is light?")}, MaxTokens: 8,
		Pacer: pace.Constant(100), Requests: 150, SLOs: []loadtest.SLO{{Name: name}}, OnInterval: intervals,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExporter(t *testing.T) {
	e := loadprom.New()
	text := func() string {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, nil)
		return w.Body.String()
	}
	if got := text(); got != "" {
		t.Errorf("before anything happened: %s", got)
	}
	// A name that has to be escaped.
	r := attack(t, "a\"b\\c\nd", e.Add)
	got := text()
	value := func(name string) float64 {
		m := regexp.MustCompile(`(?m)^loadtest_` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(got)
		if m == nil {
			t.Errorf("no %s in:\n%s", name, got)
			return 0
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	ok := 0
	for c, n := range r.Classes {
		if v := value(`requests_total{class="` + c.String() + `"}`); v != float64(n) {
			t.Errorf("%v: %v, want %d", c, v, n)
		}
		ok += n
	}
	if ok != 150 || value(`faults_total{fault="server error"}`) == 0 || value(`tokens_total{direction="output"}`) != float64(r.OutputTokens) ||
		value(`good_requests_total{slo="a\"b\\c\nd"}`) != float64(r.Goodput[0].Good) || value("unsent_total") != 0 {
		t.Errorf("%v:\n%s", r, got)
	}
	if n := float64(r.TTFT.Count()); value(`duration_seconds_count{kind="ttft"}`) != n || value(`duration_seconds_bucket{kind="corrected_ttft",le="+Inf"}`) != n ||
		value(`duration_seconds_bucket{kind="ttft",le="120"}`) != n || value(`duration_seconds_sum{kind="sched_lag"}`) <= 0 {
		t.Errorf("%v TTFT:\n%s", n, got)
	}
	// The grammar of the format, as far as it goes without its own reader.
	line := regexp.MustCompile(`^(# (HELP|TYPE) loadtest_[a-z_]+ .+|loadtest_[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,le="[^"]+")?\})? [-+0-9.e]+)$`)
	seen := make(map[string]bool)
	for l := range strings.Lines(got) {
		if l = strings.TrimSuffix(l, "\n"); !line.MatchString(l) || seen[l] {
			t.Errorf("bad or repeated line %q", l)
		}
		seen[l] = true
	}
	if promtool, err := exec.LookPath("promtool"); err == nil { // Prometheus' own reader
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(got)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	} else {
		t.Log("promtool is not here")
	}
	attack(t, "", e.Add) // a second run adds up
	if got = text(); value("unsent_total") != 0 || value(`duration_seconds_count{kind="latency"}`) <= float64(r.Latency.Count()) {
		t.Errorf("two runs:\n%s", got)
	}
}

func ExampleExporter() {
	model, err := modeltest.New(modeltest.Config{Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(model)
	defer server.Close()
	metrics := loadprom.New() // serve it, for example by http.ListenAndServe(":9095", metrics)
	_, err = loadtest.Run(context.Background(), loadtest.Plan{
		Target: server.URL, Model: "tinylm", Prompts: []workload.Prompt{workload.Ask("What is light?")}, MaxTokens: 8,
		Pacer: pace.Constant(100), Requests: 20, OnInterval: metrics.Add,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var page strings.Builder
	if _, err := metrics.WriteTo(&page); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "loadtest_requests_total") || strings.Contains(line, `direction="output"`) {
			fmt.Print(line)
		}
	}
	// Output:
	// loadtest_requests_total{class="ok"} 20
	// loadtest_tokens_total{direction="output"} 160
}
