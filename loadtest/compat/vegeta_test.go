package compat

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/loadtest"
)

// goldenRun are the ten results of cases 1 and 3.
func goldenRun() (results []loadtest.Result) {
	codes := []int{200, 200, 200, 200, 200, 429, 200, 200, 503, 0}
	for i, latency := range []int{12, 15, 11, 250, 13, 14, 18, 12, 900, 16} {
		at := time.Unix(1700000000, 0).UTC().Add(time.Duration(i) * 100 * ms)
		r := loadtest.Result{Seq: uint64(i), Due: at, Sent: at, Latency: time.Duration(latency) * ms, Status: codes[i], BytesIn: 100, BytesOut: 10}
		if codes[i] != 200 {
			r.Err = errors.New(strconv.Itoa(codes[i]))
		}
		results = append(results, r)
	}
	return results
}

func report(t *testing.T, write func(*VegetaReport) func(io.Writer) error, buckets ...time.Duration) string {
	t.Helper()
	v, err := NewVegetaReport(buckets...)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range goldenRun() {
		v.Add(r)
	}
	if err := write(v)(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestVegetaText(t *testing.T) {
	got := report(t, func(v *VegetaReport) func(io.Writer) error { return v.WriteText })
	for _, want := range []string{
		"Requests [total, rate, throughput] 10, 11.11, 4.12",
		"Duration [total, attack, wait] 1.7s, 900ms, 800ms",
		"Latencies [min, mean, 50, 90, 95, 99, max] 11ms, 126.1ms, 14.5ms, 575ms, 900ms, 900ms, 900ms",
		"Bytes In [total, mean] 1000, 100.00", "Bytes Out [total, mean] 100, 10.00",
		"Success [ratio] 70.00%",
		"Status Codes [code:count] 0:1 200:7 429:1 503:1",
	} {
		if flat := strings.Join(strings.Fields(got), " "); !strings.Contains(flat, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if json := report(t, func(v *VegetaReport) func(io.Writer) error { return v.WriteJSON }); !strings.Contains(json, `"requests":10,`) {
		t.Errorf("JSON: %s", json)
	}
}

// TestVegetaErrorsHaveNoControlCharacters has an error with the text of a server.
func TestVegetaErrorsHaveNoControlCharacters(t *testing.T) {
	v, err := NewVegetaReport()
	if err != nil {
		t.Fatal(err)
	}
	v.Add(loadtest.Result{Status: 500, Err: errors.New("status 500: a\x1b[2Jb\r\nc\u009b31m")})
	var text, data strings.Builder
	if err := errors.Join(v.WriteText(&text), v.WriteJSON(&data)); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{text.String(), data.String()} {
		if strings.ContainsAny(got, "\x1b\r\u009b") || strings.Contains(got, `\u001b`) || !strings.Contains(got, "status 500: a [2Jb  c 31m") {
			t.Errorf("%q", got)
		}
	}
}

func TestVegetaHistogram(t *testing.T) {
	got := report(t, func(v *VegetaReport) func(io.Writer) error { return v.WriteHistogram }, 10*ms, 20*ms, 100*ms, 500*ms)
	want := []string{
		"Bucket # % Histogram", "[0s, 10ms] 0 0.00%", "[10ms, 20ms] 8 80.00% " + strings.Repeat("#", 60), "[20ms, 100ms] 0 0.00%",
		"[100ms, 500ms] 1 10.00% #######", "[500ms, +Inf] 1 10.00% #######",
	}
	var lines []string
	for line := range strings.Lines(got) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("histogram (-want +got):\n%s", diff)
	}
	if _, err := NewVegetaReport(20*ms, 10*ms); err == nil {
		t.Error("buckets in no order are accepted")
	}
	v, err := NewVegetaReport()
	if err != nil || v.WriteHistogram(io.Discard) == nil {
		t.Errorf("a histogram without buckets: %v", err)
	}
}

func TestQuantiles(t *testing.T) {
	values := []time.Duration{40 * ms, 10 * ms, 30 * ms, 20 * ms}
	for d, want := range map[Definition][]time.Duration{
		AIPerf: {25 * ms, 37 * ms, 39700 * time.Microsecond}, InferencePerf: {25 * ms, 37 * ms, 39700 * time.Microsecond},
		VLLM: {25 * ms, 37 * ms, 39700 * time.Microsecond}, GuideLLM: {20 * ms, 40 * ms, 40 * ms},
	} {
		got := []time.Duration{d.Quantile(values, 0.5), d.Quantile(values, 0.9), d.Quantile(values, 0.99)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: p50, p90, p99 (-want +got):\n%s", d, diff)
		}
	}
}
