package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// recorded writes a file of results with one recorded stream of six tokens: a role chunk
// after 5 ms, content after 200, 230, 290 (three tokens) and 310 ms, and the end after
// 315 ms. The request was sent when it was due.
func recorded(t *testing.T) string {
	t.Helper()
	content := func(text string) string {
		return `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n"
	}
	rec := new(loadtest.Recording)
	for _, part := range []struct {
		at   time.Duration
		text string
	}{
		{5, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"},
		{200, content("Hel")}, {230, content("lo")}, {290, content(" world, this")}, {310, content("!")},
		{312, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"},
		{313, `data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":6,"total_tokens":15}}` + "\n\n"},
		{314, "data: [DONE]\n\n"}, {315, ""},
	} {
		rec.Body = append(rec.Body, part.text...)
		rec.Reads = append(rec.Reads, loadtest.Read{At: part.at * time.Millisecond, Size: len(part.text)})
	}
	var b bytes.Buffer
	w, err := loadtest.NewWriter(&b, loadtest.JSONLines, "test", "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Unix(1_700_000_000, 0)
	w.Write(loadtest.Result{Prompt: -1, Due: due, Sent: due, Class: analysis.OK, Status: 200, Latency: 315 * time.Millisecond, InputTokens: 9, OutputTokens: 6, Chunks: 4, Recording: rec})
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "recorded.jsonl")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestReportAsOtherTools prints the metrics of one stream as each tool has them,
// computed by hand from its code.
func TestReportAsOtherTools(t *testing.T) {
	file := recorded(t)
	for tool, lines := range map[string][]string{
		"vllm":     {"Total generated tokens: +6 ", `Mean TTFT \(ms\): +5\.00 `, `Mean TPOT \(ms\): +61\.40 `, `Mean ITL \(ms\): +61\.40 `, `Median ITL \(ms\): +30\.00 `, `Mean E2EL \(ms\): +312\.00 `},
		"guidellm": {`\| -- +\| 0\.3 +\| 0\.3 +\| 200\.0 \| 200\.0 \| 200\.0 \| 200\.0 \| 22\.0 \| 22\.0 \| 51\.7 \| 51\.7 \|`},
		"aiperf":   {`Time to First Token \(ms\) │ 200\.00 `, `Inter Token Latency \(ms\) │ +22\.00 `, `Inter Chunk Latency \(ms\) │ +36\.67 │ +20\.00 │ +60\.00 `, `Request Latency \(ms\) │ 310\.00 `},
		"vegeta":   {`Latencies +\[min, mean, 50, 90, 95, 99, max\]  315ms, 315ms, `, "Status Codes .* 200:1 "},
	} {
		code, out, errs := command(t, "report", "-as", tool, "-tokens", "words", file)
		if code != 0 || errs != "" {
			t.Errorf("%s: exit code %d, %s", tool, code, errs)
		}
		for _, line := range lines {
			if !regexp.MustCompile(line).MatchString(out) {
				t.Errorf("%s: no line %s in\n%s", tool, line, out)
			}
		}
	}
	_, out, _ := command(t, "report", "-as", "inference-perf", "-tokens", "words", file)
	var summary struct {
		Successes struct {
			Latency map[string]struct{ Mean, Median float64 }
		}
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]float64{
		"time_to_first_token": {0.2, 0.2}, "inter_token_latency": {0.022, 0.02}, "time_per_output_token": {0.022, 0.022}, "normalized_time_per_output_token": {0.0525, 0.0525}, "request_latency": {0.315, 0.315},
	} {
		got := summary.Successes.Latency[name]
		if d := [2]float64{got.Mean - want[0], got.Median - want[1]}; max(d[0], -d[0], d[1], -d[1]) > 1e-9 {
			t.Errorf("%s: %v, want mean and median %v", name, got, want)
		}
	}
}

func TestBadTools(t *testing.T) {
	file, _ := resultsFile(t, "r.jsonl", 3)
	for _, test := range []struct{ args, want string }{
		{"report -as locust " + file, `-as is "locust", want vllm, aiperf, guidellm, inference-perf or vegeta`},
		{"attack -as locust", `-as is "locust", want vllm, aiperf, guidellm, inference-perf or vegeta`},
		{"report -as vllm -tokens bytes " + file, `-tokens is "bytes", want chunks or words`},
		{"report -as vllm " + file, "result 0: compat: a result has no recording"},
		{"report -as vllm -type vegeta " + file, "cannot be used together"},
		{"report -as vllm -html x " + file, "cannot be used with -as"},
		{"report -as vllm -slo itl=1s " + file, "limits is itl <= 1s, want ttft, tpot and latency for vllm"},
		{"report -as vllm -slo ttft=1s -slo tpot=1s " + file, "want it once"},
		{"report -as vegeta -slo ttft=1s " + file, "no goodput"},
		{"attack -record", "-record requires -results"},
		{"attack -record -format csv -results r.csv", "-record requires -results in the format jsonl"},
		{"attack -as vllm -url http://127.0.0.1:1 -workers http://127.0.0.1:1", "-as cannot be used with workers"},
	} {
		code, out, errs := command(t, strings.Fields(test.args)...)
		if code != wrongUse || !strings.Contains(errs, test.want) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", test.args, code, wrongUse, test.want, out, errs)
		}
	}
}

// TestAttackAsAnotherTool prints the report of another tool, and writes recordings from
// which report makes the same one.
func TestAttackAsAnotherTool(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.jsonl")
	_, live, errs := command(t, "attack", "-duration", "500ms", "-rate", "20", "-arrivals", "constant", "-output", "5", "-as", "vllm", "-record", "-results", file)
	if !strings.Contains(live, "Successful requests:                     10 ") {
		t.Fatalf("%s\n%s", live, errs)
	}
	if code, again, errs := command(t, "report", "-as", "vllm", file); code != 0 || again != live {
		t.Errorf("report: %d\n%s%s\nattack:\n%s", code, again, errs, live)
	}
	if _, _, errs := command(t, "attack", "-duration", "200ms", "-rate", "20", "-output", "2", "-as", "vllm", "-results", file); strings.Contains(errs, "record") {
		t.Error(errs)
	}
	if code, _, errs := command(t, "report", "-as", "vllm", file); code != wrongUse || !strings.Contains(errs, "no recording") {
		t.Errorf("without -record: %d, %s", code, errs)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]int{"": 0, "Hel": 1, " world, this": 3, "!": 1, "a b1-c": 4, " ": 0, "grüße 你好": 2} {
		if got := words(text); got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	}
}
