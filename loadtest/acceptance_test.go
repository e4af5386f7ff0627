package loadtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
)

// TestAcceptance has the cases by which this package is accepted, by number.
// The values were computed by hand or taken from a run of vegeta v12.13.0. Most
// have a test of their own, which also runs under its own name.
func TestAcceptance(t *testing.T) {
	cases := []struct {
		number int
		name   string
		test   func(*testing.T)
	}{
		{1, "vegeta's text report", vegetaText}, {3, "vegeta's histogram", vegetaHistogram},
		{5, "vegeta's CSV", TestCSVIsThatOfVegeta}, {7, "constant pacer", TestConstantWait}, {9, "ramps", TestRamp},
		{11, "gamma arrivals", TestGammaVariesAsAsked}, {13, "coordinated omission", TestCoordinatedOmission},
		{15, "reasoning first", TestReasoningComesFirst}, {17, "usage chunk", TestUsageMovesNoInstants},
		{19, "framing", TestFramingDoesNotMatter}, {21, "two events in one read", TestCoalescedChunks},
		{23, "percentiles", percentiles}, {25, "merge", TestMergeEqualsTheUnion}, {27, "Mooncake hashes", mooncake},
		{29, "users in an open loop", usersInTurn}, {31, "a million different errors", manyErrors},
		{33, "peak concurrency", peakConcurrency}, {35, "vegeta reads our lines", TestVegetaReadsOurFiles},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("case %02d %s", c.number, c.name), c.test)
	}
}

// goldenRun are the ten results of cases 1 and 3.
func goldenRun() (results []Result) {
	codes := []int{200, 200, 200, 200, 200, 429, 200, 200, 503, 0}
	for i, latency := range []int{12, 15, 11, 250, 13, 14, 18, 12, 900, 16} {
		at := time.Unix(1700000000, 0).UTC().Add(time.Duration(i) * 100 * ms)
		r := Result{Seq: uint64(i), Due: at, Sent: at, Latency: time.Duration(latency) * ms, Status: codes[i], BytesIn: 100, BytesOut: 10}
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

func vegetaText(t *testing.T) {
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

func vegetaHistogram(t *testing.T) {
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

func percentiles(t *testing.T) {
	TestQuantiles(t)
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

func mooncake(t *testing.T) {
	_, err := ReadTrace(strings.NewReader(`{"timestamp":0,"input_length":1025,"output_length":1,"hash_ids":[1,2]}`), TraceOptions{})
	if err == nil || !strings.Contains(err.Error(), "line 1: 2 hash_ids for an input_length of 1025, want 3") {
		t.Errorf("%v", err)
	}
}

// usersInTurn has 15 users at 1 request a second: each asks every 15 s, goes on
// with its conversation, and is late when the answer before is.
func usersInTurn(t *testing.T) {
	p := plan(script{parts: []part{{at: 100 * ms, data: content("light") + goodTail}}})
	p.Pacer, p.Requests, p.Users, p.Prompts = Constant(1), 60, 15, nil
	for i := range 15 {
		p.Conversations = append(p.Conversations, Conversation{Turns: []string{fmt.Sprint("first of ", i), "second", "third", "fourth"}})
	}
	var mu sync.Mutex
	dues := make(map[string][]time.Duration)
	p.Transport = roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		_, user, _ := strings.Cut(string(body), "first of ")
		user, _, _ = strings.Cut(user, `"`)
		mu.Lock()
		dues[user] = append(dues[user], time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
		mu.Unlock()
		return script{parts: []part{{at: 100 * ms, data: content("light") + goodTail}}}.RoundTrip(r)
	})
	report, _ := simulate(t, p)
	if report.Sent != 60 || report.Interrupted || report.SchedLag.Max() != 0 || len(dues) != 15 {
		t.Errorf("%d users:\n%v", len(dues), report)
	}
	for user, at := range dues {
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] != 15*time.Second {
				t.Errorf("user %s asked at %v", user, at)
			}
		}
	}
	p.Transport = script{parts: []part{{at: 20 * time.Second, data: content("a") + goodTail}}}
	if report, _ = simulate(t, p); report.Sent != 60 || report.SchedLag.Max() != 15*time.Second || report.PeakConcurrency != 15 {
		t.Errorf("answers that take longer than a turn: %v", report)
	}
}

// manyErrors counts a million errors whose texts all differ.
func manyErrors(t *testing.T) {
	r := newReport(Plan{LagBound: time.Second}, "")
	v, err := NewVegetaReport()
	if err != nil {
		t.Fatal(err)
	}
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 1_000_000
	at := time.Unix(0, 0)
	one := func(i int) {
		res := Result{Seq: uint64(i), Due: at, Sent: at, Latency: time.Duration(i), Class: analysis.Error, Fault: Connect,
			Err: fmt.Errorf("dial tcp 127.0.0.1:%d: connection %d refused", i%65536, i)}
		if i%4 == 0 {
			res.Class, res.Fault = analysis.Timeout, LateHeader
		}
		r.add(res, chunks{})
		v.Add(res)
	}
	for i := range n / 10 {
		one(i)
	}
	before := memory()
	for i := n / 10; i < n; i++ {
		one(i)
	}
	after := memory()
	if r.Classes[analysis.Error] != 750_000 || r.Classes[analysis.Timeout] != 250_000 || r.Faults[Connect] != 750_000 || len(r.FirstErrors) != 2 {
		t.Errorf("classes %v, faults %v, %d first errors", r.Classes, r.Faults, len(r.FirstErrors))
	}
	if after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(v)
}

// peakConcurrency sweeps over half-open intervals: at one instant ends come
// before begins, in whatever order they are told.
func peakConcurrency(t *testing.T) {
	for _, test := range []struct {
		intervals [][2]time.Duration
		want      int
	}{
		{nil, 0}, {[][2]time.Duration{{0, 1}, {1, 2}}, 1}, {[][2]time.Duration{{0, 2}, {1, 3}}, 2}, {[][2]time.Duration{{0, 1}, {0, 1}, {1, 2}, {1, 2}, {1, 3}}, 3},
		{[][2]time.Duration{{0, 10}, {1, 2}, {2, 3}, {3, 4}}, 2},
	} {
		for _, beginsFirst := range []bool{true, false} {
			type event struct {
				at time.Duration
				by int
			}
			var events []event
			for _, i := range test.intervals {
				events = append(events, event{i[0], 1}, event{i[1], -1})
			}
			slices.SortStableFunc(events, func(a, b event) int {
				if a.at == b.at && beginsFirst {
					return b.by - a.by
				}
				if a.at == b.at {
					return a.by - b.by
				}
				return int(a.at - b.at)
			})
			var o overlap
			for _, e := range events {
				o.move(e.at, e.by)
			}
			if got := o.most(); got != test.want {
				t.Errorf("%v: %d, want %d", test.intervals, got, test.want)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := plan(script{parts: []part{{at: 100 * ms, data: content("a") + goodTail}}})
		p.Pacer, p.Requests = Constant(10), 20 // each ends when the next begins
		report, err := Run(t.Context(), p)
		if err != nil || report.PeakConcurrency != 1 {
			t.Errorf("%v at once, %v", report.PeakConcurrency, err)
		}
	})
}
