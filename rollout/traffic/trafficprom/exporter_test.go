package trafficprom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/rollout/traffic/trafficprom"
	"github.com/serin-go/serin/strategies"
)

// router returns a router that has served some of everything.
func router(t testing.TB) *traffic.Router {
	t.Helper()
	r, err := traffic.New(traffic.Config{
		Arms: map[string]traffic.Backend{
			"1.4.0":      {URL: "https://api.openai.com", Price: traffic.Price{Input: 1_000_000, Output: 2_000_000}},
			"a\"b\\c\nd": {URL: "http://10.0.0.1:8000", Provider: "vllm"},
		},
		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: 7500}, {Name: "a\"b\\c\nd", Weight: 2500}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		o := analysis.Observation{
			Route: "POST /v1/chat/completions", Model: []string{"small", "large"}[i%2], Class: analysis.OK, Latency: time.Duration(i+1) * 50 * time.Millisecond,
			TTFT: time.Duration(i+1) * time.Millisecond, ITL: 20 * time.Millisecond, InputTokens: 16, OutputTokens: 1 + i%100, CachedTokens: 4,
		}
		switch i % 10 {
		case 3:
			o.Class = analysis.Refused
		case 7:
			o = analysis.Observation{Route: "POST /v1/embeddings", Model: "small", Class: analysis.Error, Latency: time.Second, Cost: -1}
		}
		r.Assign(context.Background(), fmt.Sprint(i)).Done(o)
	}
	r.Assign(context.Background(), "in flight")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/sleep", nil)) // a control route
	if w.Code != http.StatusForbidden {
		t.Fatalf("status %d", w.Code)
	}
	return r
}

// page returns what an exporter serves.
func page(t testing.TB, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("status %d, %s", w.Code, w.Header())
	}
	return w.Body.String()
}

// line matches the grammar of the format, as far as it goes without its own reader.
var line = regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z_]+="([^"\\]|\\[\\n"])*",?)+\})? [-+0-9.e]+)$`)

func TestExporter(t *testing.T) {
	got := page(t, trafficprom.New(router(t)))
	seen := make(map[string]bool)
	var types []string
	for l := range strings.Lines(got) {
		if l = strings.TrimSuffix(l, "\n"); !line.MatchString(l) {
			t.Errorf("bad line %q", l)
		}
		if name, ok := strings.CutPrefix(l, "# TYPE "); ok {
			types = append(types, name)
		}
		name := l[:strings.LastIndexByte(l, ' ')]
		if !strings.HasPrefix(l, "#") && seen[name] {
			t.Errorf("repeated: %s", l)
		}
		seen[name] = true
	}
	if diff := cmp.Diff([]string{
		"gen_ai_client_inference_duration_seconds histogram",
		"gen_ai_client_inference_operation_input_tokens histogram",
		"gen_ai_client_inference_operation_output_tokens histogram",
		"gen_ai_client_inference_time_to_first_chunk_seconds histogram",
		"gen_ai_client_inference_usage_cache_read_input_tokens_total counter",
		"gen_ai_client_inference_usage_cache_write_input_tokens_total counter",
		"gen_ai_client_inference_usage_input_tokens_total counter",
		"gen_ai_client_inference_usage_output_tokens_total counter",
		"gen_ai_client_inference_usage_reasoning_output_tokens_total counter",
		"serin_traffic_cost_total counter",
		"serin_traffic_fallbacks_total counter",
		"serin_traffic_in_flight gauge",
		"serin_traffic_requests_total counter",
		"serin_traffic_stale_total counter",
		"serin_traffic_time_per_output_token_seconds histogram",
		"serin_traffic_unpriced_total counter",
		"serin_traffic_unserved_total counter",
		"serin_traffic_weight gauge",
	}, types); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, want := range []string{
		`serin_traffic_weight{serin_arm="1.4.0"} 0.75`,
		`serin_traffic_weight{serin_arm="a\"b\\c\nd"} 0.25`,
		`serin_traffic_unserved_total{serin_why="control route"} 1`,
		`serin_traffic_fallbacks_total{serin_arm="1.4.0"} 0`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
	promtool(t, got, "check", "metrics")
}

// promtool has Prometheus' own reader look at a text.
func promtool(t *testing.T, text string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not here; on Debian: apt-get install prometheus")
		return
	}
	check := exec.CommandContext(t.Context(), program, args...)
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// The sums over labels are what the router itself counts.
func TestExporterAddsUp(t *testing.T) {
	r := router(t)
	got := page(t, trafficprom.New(r))
	sum := func(name, label string) (n float64) {
		for _, m := range regexp.MustCompile(`(?m)^`+name+`\{(.*)\} (\S+)$`).FindAllStringSubmatch(got, -1) {
			var v float64
			if _, err := fmt.Sscan(m[2], &v); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(m[1], label) {
				n += v
			}
		}
		return n
	}
	var requests, inFlight float64
	for _, s := range r.Stats() {
		requests += float64(s.Requests)
		inFlight += float64(s.InFlight)
	}
	for _, tt := range []struct {
		name, label string
		want        float64
	}{
		{"serin_traffic_requests_total", "", requests},
		{"serin_traffic_in_flight", "", inFlight},
		{"gen_ai_client_inference_duration_seconds_count", "", requests},
		{"gen_ai_client_inference_duration_seconds_count", `error_type="error"`, 20},
		{"gen_ai_client_inference_duration_seconds_count", `error_type="refused"`, 0},
		{"gen_ai_client_inference_duration_seconds_bucket", `le="+Inf"`, requests},
		{"gen_ai_client_inference_time_to_first_chunk_seconds_count", "", 180},
		{"gen_ai_client_inference_time_to_first_chunk_seconds_bucket", `le="0.08"`, 72}, // of the first 80 ms, without the errors
		{"gen_ai_client_inference_operation_input_tokens_sum", "", 16 * 180},
		{"gen_ai_client_inference_operation_input_tokens_bucket", `le="16"`, 180},
		{"gen_ai_client_inference_operation_input_tokens_bucket", `le="4"`, 0},
		{"gen_ai_client_inference_usage_input_tokens_total", `gen_ai_token_modality="unknown"`, 16 * 180},
		{"gen_ai_client_inference_usage_cache_read_input_tokens_total", "", 4 * 180},
	} {
		if v := sum(tt.name, tt.label); v != tt.want {
			t.Errorf("%s{%s} is %v, want %v", tt.name, tt.label, v, tt.want)
		}
	}
}

func TestExporterWithoutRouter(t *testing.T) {
	for name, e := range map[string]*trafficprom.Exporter{"New(nil)": trafficprom.New(nil), "zero": {}, "nil": nil} {
		n, err := e.WriteTo(io.Discard)
		if invalid := (*checks.InvalidError)(nil); !errors.As(err, &invalid) || invalid.Field != "router" || n != 0 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ left int }

var errFull = errors.New("full")

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.left)
	d.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestExporterReturnsErrorsOfWriter(t *testing.T) {
	if n, err := trafficprom.New(router(t)).WriteTo(&fullDisk{left: 100}); n != 100 || !errors.Is(err, errFull) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Names from outside cannot add lines or labels.
func TestExporterEscapes(t *testing.T) {
	r, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{"a\"} 1\nx{y=\"": {URL: "http://h.invalid"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{"m\"\n# TYPE x counter\nx 1", "\xff\xfe", `\`, "ok\u2028", strings.Repeat("x", 1<<20)} {
		r.Assign(context.Background(), "").Done(analysis.Observation{Route: "POST /v1/chat/completions\n", Model: model, Class: analysis.OK, Latency: time.Second})
	}
	got := page(t, trafficprom.New(r))
	lines := slices.Collect(strings.Lines(got))
	for _, l := range lines {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("bad line %.200q", l)
		}
	}
	if len(got) > 100_000 {
		t.Errorf("%d bytes", len(got))
	}
	promtool(t, got, "check", "metrics")
}

func BenchmarkWriteTo(b *testing.B) {
	e := trafficprom.New(router(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
