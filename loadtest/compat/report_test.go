package compat

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/heaptest"
	"github.com/serin-go/serin/loadtest"
)

// result is a request with the answer of spoken.
func result() loadtest.Result {
	due := time.Unix(1_700_000_000, 0)
	rec := spoken
	return loadtest.Result{Due: due, Sent: due, Class: analysis.OK, Status: 200, Latency: 315 * ms, InputTokens: 9, Recording: &rec}
}

func text(t *testing.T, d Definition, limits loadtest.SLO, results ...loadtest.Result) string {
	t.Helper()
	r, err := NewReport(d, words, limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range results {
		if err := r.Add(res); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if notes := r.Notes(); len(notes) > 0 {
		t.Error(notes)
	}
	return b.String()
}

// TestReportsOfOtherTools has the whole report of the stream whose figures were computed
// by hand.
func TestReportsOfOtherTools(t *testing.T) {
	failed := loadtest.Result{Due: result().Due, Sent: result().Sent, Class: analysis.Error, Status: 500, Latency: 100 * ms}
	for d, want := range map[Definition]string{
		VLLM: `
============ Serving Benchmark Result ============
Successful requests:                     1         
Failed requests:                         1         
Benchmark duration (s):                  0.32      
Total input tokens:                      9         
Total generated tokens:                  6         
Request throughput (req/s):              3.17      
Request goodput (req/s):                 3.17      
Output token throughput (tok/s):         19.05     
Total token throughput (tok/s):          47.62     
---------------Time to First Token----------------
Mean TTFT (ms):                          5.00      
Median TTFT (ms):                        5.00      
P99 TTFT (ms):                           5.00      
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          61.40     
Median TPOT (ms):                        61.40     
P99 TPOT (ms):                           61.40     
---------------Inter-token Latency----------------
Mean ITL (ms):                           61.40     
Median ITL (ms):                         30.00     
P99 ITL (ms):                            189.60    
----------------End-to-end Latency----------------
Mean E2EL (ms):                          312.00    
Median E2EL (ms):                        312.00    
P99 E2EL (ms):                           312.00    
==================================================
`,
		GuideLLM: `


ℹ Request Token Statistics (Completed Requests)
|===========|======|=====|======|======|
| Benchmark | Input Tok || Output Tok ||
| Strategy  | Per Req   || Per Req    ||
|           | Mdn  | p95 | Mdn  | p95  |
|-----------|------|-----|------|------|
| --        | 9.0  | 9.0 | 6.0  | 6.0  |
|===========|======|=====|======|======|


ℹ Request Latency Statistics (Completed Requests)
|===========|=========|========|=======|=======|=======|=======|======|======|======|======|
| Benchmark | Request Latency || TTFT         || TTFOT        || ITL        || TPOT       ||
| Strategy  | Sec             || ms           || ms           || ms         || ms         ||
|           | Mdn     | p95    | Mdn   | p95   | Mdn   | p95   | Mdn  | p95  | Mdn  | p95  |
|-----------|---------|--------|-------|-------|-------|-------|------|------|------|------|
| --        | 0.3     | 0.3    | 200.0 | 200.0 | 200.0 | 200.0 | 22.0 | 22.0 | 51.7 | 51.7 |
|===========|=========|========|=======|=======|=======|=======|======|======|======|======|


ℹ Server Throughput Statistics (All Requests)
|===========|======|=======|=========|==============|===============|==============|
| Benchmark | Requests             ||| Input Tokens | Output Tokens | Total Tokens |
| Strategy  | Concurrency || Per Sec | Per Sec      | Per Sec       | Per Sec      |
|           | Mdn  | Mean  | Mean                                               ||||
|-----------|------|-------|---------|--------------|---------------|--------------|
| --        | --   | 1.3   | 6.3     | 28.6         | 19.0          | 47.6         |
|===========|======|=======|=========|==============|===============|==============|
`,
		AIPerf: `
                                            NVIDIA AIPerf | LLM Metrics
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━━┳━━━━━━━┓
┃                                             Metric ┃    avg ┃    min ┃    max ┃    p99 ┃    p90 ┃    p50 ┃   std ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━━╇━━━━━━━┩
│                           Time to First Token (ms) │ 200.00 │ 200.00 │ 200.00 │ 200.00 │ 200.00 │ 200.00 │  0.00 │
│                          Time to Second Token (ms) │  30.00 │  30.00 │  30.00 │  30.00 │  30.00 │  30.00 │  0.00 │
│                               Request Latency (ms) │ 310.00 │ 310.00 │ 310.00 │ 310.00 │ 310.00 │ 310.00 │  0.00 │
│                           Inter Token Latency (ms) │  22.00 │  22.00 │  22.00 │  22.00 │  22.00 │  22.00 │  0.00 │
│                           Inter Chunk Latency (ms) │  36.67 │  20.00 │  60.00 │  59.40 │  54.00 │  30.00 │ 17.00 │
│ Output Token Throughput Per User (tokens/sec/user) │  45.45 │  45.45 │  45.45 │  45.45 │  45.45 │  45.45 │  0.00 │
│                    Output Sequence Length (tokens) │   6.00 │   6.00 │   6.00 │   6.00 │   6.00 │   6.00 │  0.00 │
│                     Input Sequence Length (tokens) │   9.00 │   9.00 │   9.00 │   9.00 │   9.00 │   9.00 │  0.00 │
│               Output Token Throughput (tokens/sec) │  19.35 │    N/A │    N/A │    N/A │    N/A │    N/A │   N/A │
│                  Request Throughput (requests/sec) │   3.23 │    N/A │    N/A │    N/A │    N/A │    N/A │   N/A │
│                             Goodput (requests/sec) │   3.23 │    N/A │    N/A │    N/A │    N/A │    N/A │   N/A │
│                           Request Count (requests) │   1.00 │    N/A │    N/A │    N/A │    N/A │    N/A │   N/A │
│                     Error Request Count (requests) │   1.00 │    N/A │    N/A │    N/A │    N/A │    N/A │   N/A │
└────────────────────────────────────────────────────┴────────┴────────┴────────┴────────┴────────┴────────┴───────┘
`,
	} {
		limits := loadtest.SLO{TTFT: 200 * ms}
		if d == GuideLLM {
			limits = loadtest.SLO{}
		}
		if diff := cmp.Diff(want[1:], text(t, d, limits, result(), failed)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d, diff)
		}
	}
}

func TestReportOfInferencePerf(t *testing.T) {
	var got struct {
		Time      float64 `json:"benchmark_time_seconds"`
		Successes struct {
			Count      int                           `json:"count"`
			Latency    map[string]map[string]float64 `json:"latency"`
			Throughput map[string]float64            `json:"throughput"`
			Goodput    map[string]float64            `json:"goodput_metrics"`
		} `json:"successes"`
		Failures struct{ Count int } `json:"failures"`
	}
	cancelled := result()
	cancelled.Class = analysis.Cancelled
	trimmed := result()
	trimmed.Trimmed = true
	if err := json.Unmarshal([]byte(text(t, InferencePerf, loadtest.SLO{TTFT: ms}, result(), cancelled, trimmed)), &got); err != nil {
		t.Fatal(err)
	}
	means := map[string]float64{}
	for name, l := range got.Successes.Latency {
		means[name] = l["mean"]
	}
	want := map[string]float64{"request_latency": 0.315, "normalized_time_per_output_token": 0.0525, "time_per_output_token": 0.022, "time_to_first_token": 0.2, "inter_token_latency": 0.022}
	near := cmpopts.EquateApprox(1e-9, 0)
	if diff := cmp.Diff(want, means, near); diff != "" || got.Time != 0.315 || got.Successes.Count != 1 || got.Failures.Count != 1 {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
	itl := got.Successes.Latency["inter_token_latency"]
	if diff := cmp.Diff(map[string]float64{"median": 0.02, "min": 0, "max": 0.06}, map[string]float64{"median": itl["median"], "min": itl["min"], "max": itl["max"]}, near); diff != "" {
		t.Errorf("ITL (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"goodput_percentage": 0, "request_goodput": 0, "good_requests": 0, "total_requests": 1}, got.Successes.Goodput); diff != "" {
		t.Errorf("goodput (-want +got):\n%s", diff)
	}
	if rate := got.Successes.Throughput["output_tokens_per_sec"]; math.Abs(rate-6/0.315) > 1e-9 {
		t.Errorf("%v tokens per second", rate)
	}
}

func TestReportsOfNothing(t *testing.T) {
	for _, d := range Definitions() {
		if got := text(t, d, loadtest.SLO{}); got == "" || strings.Contains(got, "NaN") {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestBadReports(t *testing.T) {
	for d, limits := range map[Definition]loadtest.SLO{"locust": {}, VLLM: {ITL: ms}, AIPerf: {TPOT: ms}, InferencePerf: {ITL: ms}, GuideLLM: {TTFT: ms}} {
		var invalid *checks.InvalidError
		if _, err := NewReport(d, nil, limits); !errors.As(err, &invalid) {
			t.Errorf("%s with %v: %v", d, limits, err)
		}
	}
	r, err := NewReport(InferencePerf, nil, loadtest.SLO{})
	if err != nil {
		t.Fatal(err)
	}
	bare := result()
	bare.Recording = nil
	if err := r.Add(bare); !errors.Is(err, errNoRecording) {
		t.Errorf("a result without a recording: %v", err)
	}
	mute, cut := recording([]chunk{{5, role}, {6, finish}, {7, done}, {8, ""}}), spoken
	cut.Truncated = true
	for _, rec := range []*loadtest.Recording{&mute, &cut} {
		res := result()
		res.Recording = rec
		if err := r.Add(res); err != nil {
			t.Error(err)
		}
	}
	if notes := r.Notes(); len(notes) != 2 || r.done != 2 {
		t.Errorf("%d answers, notes %q", r.done, notes)
	}
	if err := r.WriteText(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("a broken writer: %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// TestValues compares quantiles above and below the number that is exact.
func TestValues(t *testing.T) {
	for _, n := range []int{3, 1000, 10 * exactly} {
		for v, unit := range map[*values]float64{{}: 1e-3, {counts: true}: 1} {
			for i := range n {
				v.add(float64((i*7919)%n+1) * unit)
			}
			top := float64(n) * unit
			if math.Abs(v.mean-(top+unit)/2) > 1e-6*top || v.least != unit || v.most != top || n > 3 && math.Abs(v.deviation()/(top/math.Sqrt(12))-1) > 1e-3 {
				t.Errorf("%d: mean %v, %v to %v, deviation %v", n, v.mean, v.least, v.most, v.deviation())
			}
			for _, d := range Definitions() {
				if got := v.quantile(d, 0.9); math.Abs(got-0.9*top) > 0.001*top+unit {
					t.Errorf("%s: p90 of %d values is %v, want %v", d, n, got, 0.9*top)
				}
			}
		}
	}
	if got := decimals(1234.999); got != "1,235.00" {
		t.Error(got)
	}
}

func TestReportsTakeBoundedMemory(t *testing.T) {
	r, err := NewReport(AIPerf, nil, loadtest.SLO{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := AIPerf.Figures(spoken, nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20 * exactly
	var early int64
	for i := range n {
		if i == n/10 {
			early = heaptest.InUse()
		}
		r.measure(f)
	}
	if late := heaptest.InUse(); late > early+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
	if r.ttft.n != n {
		t.Errorf("%d values of %d", r.ttft.n, n)
	}
}
