package loadtest

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

func distribution(values ...time.Duration) *Distribution {
	d := new(Distribution)
	for _, v := range values {
		d.add(v)
	}
	d.seal()
	return d
}

func TestQuantiles(t *testing.T) {
	d := distribution(40*ms, 10*ms, 30*ms, 20*ms)
	got := []time.Duration{d.Quantile(0), d.Quantile(0.5), d.Quantile(0.9), d.Quantile(0.99), d.Quantile(1), d.Quantile(-1), d.Quantile(2), d.Mean(), d.Quantile(1)}
	want := []time.Duration{10 * ms, 25 * ms, 37 * ms, 39700 * time.Microsecond, 40 * ms, 10 * ms, 40 * ms, 25 * ms, 40 * ms}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("quantiles (-want +got):\n%s", diff)
	}
	if d.AtMost(9*ms) != 0 || d.AtMost(20*ms) != 2 || d.AtMost(time.Hour) != 4 || d.Sum() != 0.1 {
		t.Errorf("%d and %d, sum %v", d.AtMost(9*ms), d.AtMost(20*ms), d.Sum())
	}
	if d := distribution(); d.Quantile(0.5) != 0 || d.Mean() != 0 || d.Quantile(1) != 0 || d.Count() != 0 {
		t.Error("an empty distribution has figures")
	}
}

func TestManyDurationsStayAccurate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	values := make([]time.Duration, 50_000)
	for i := range values {
		values[i] = time.Duration(rng.ExpFloat64() * float64(100*ms))
	}
	many := distribution(values...)
	slices.Sort(values)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := values[int(q*float64(len(values)-1))]
		if got := many.Quantile(q); got < want*998/1000 || got > want*1002/1000 {
			t.Errorf("quantile %v of %d durations is %v, want %v", q, len(values), got, want)
		}
	}
	for _, at := range []time.Duration{-1, 0, 50 * ms, time.Second, 100 * time.Hour} {
		want := 0
		for _, v := range values {
			if v <= at {
				want++
			}
		}
		if got := many.AtMost(at); math.Abs(float64(got)-float64(want)) > 50 {
			t.Errorf("%d are at most %v, want %d", got, at, want)
		}
	}
	if many.exact != nil || many.Count() != 50_000 || many.Quantile(1) != values[len(values)-1] {
		t.Errorf("count %d, max %v, %d kept", many.Count(), many.Quantile(1), len(many.exact))
	}
}

func TestReportText(t *testing.T) {
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests, p.Workers = pace.Constant(5), 1200, 1
	report, _ := simulate(t, p)
	report.Generator.CPU, report.Generator.GCPauses = -1, 0 // those of this process are not known beforehand
	want := strings.TrimPrefix(`
Verdict   not conclusive: the generator was the bottleneck: the p99 of SchedLag, 2m17s, exceeds 50ms
Generator LATE, THE BOTTLENECK: 3.175/s of 5/s, lag p99 2m17s, GC pauses 0s
          the p99 of SchedLag, 2m17s, exceeds 50ms: the figures are not reliable
Requests  1,200 sent in 6m18s, 5/s due, 3.175/s reached, up to 1 concurrent
Outcomes  1,200 ok (100 %)
Tokens    7,200 out (19.04/s), 10,800 in, 4,800 cached, 47.59/s in all; as the server reported
                   count    mean     p50     p90     p95     p99   p99.9     max
TTFB               1,200      0s      0s      0s      0s      0s     ~0s      0s
TTFT               1,200   200ms   200ms   200ms   200ms   200ms  ~200ms   200ms
TTFC               1,200   200ms   200ms   200ms   200ms   200ms  ~200ms   200ms
ITL                3,600  36.7ms    30ms    60ms    60ms    60ms   ~60ms    60ms
TPOT               1,200    22ms    22ms    22ms    22ms    22ms   ~22ms    22ms
NTPOT              1,200  51.7ms  51.7ms  51.7ms  51.7ms  51.7ms ~51.7ms  51.7ms
E2E                1,200   310ms   310ms   310ms   310ms   310ms  ~310ms   310ms
Latency            1,200   315ms   315ms   315ms   315ms   315ms  ~315ms   315ms
SchedLag           1,200  1m8.9s  1m8.9s    2m4s   2m11s   2m17s  ~2m18s   2m18s
corr. TTFT         1,200  1m9.1s  1m9.1s    2m4s   2m11s   2m17s  ~2m18s   2m18s
corr. E2E          1,200  1m9.3s  1m9.3s    2m4s   2m11s   2m17s  ~2m18s   2m18s
corr. Latency      1,200  1m9.3s  1m9.3s    2m4s   2m11s   2m17s  ~2m18s   2m18s
~ chance decides, as fewer than 10 values lie beyond: p99.9 1 (of 1,200 values); p99.9 3 (of 3,600 values)`, "\n")
	if got := report.String(); got != want {
		t.Errorf("report:\n%s", got)
	}
}

// TestRatesWithoutWarmUp compares rates with and without a warm-up and a cool-down.
func TestRatesWithoutWarmUp(t *testing.T) {
	measure := func(warmUp, coolDown time.Duration) *Report {
		p := plan(script{parts: spoken})
		p.Pacer, p.Requests, p.Duration, p.WarmUp, p.CoolDown, p.SLOs = pace.Constant(50), 0, 20*time.Second, warmUp, coolDown, []SLO{{}}
		report, _ := simulate(t, p)
		return report
	}
	whole := measure(0, 0)
	for _, trim := range [][2]time.Duration{{10 * time.Second, 0}, {0, 10 * time.Second}, {8 * time.Second, 8 * time.Second}} {
		part := measure(trim[0], trim[1])
		data, err := json.Marshal(part)
		back := new(Report)
		if err := errors.Join(err, json.Unmarshal(data, back)); err != nil {
			t.Fatal(err)
		}
		merged := NewReport(Plan{}, part.Began)
		merged.Goodput = []Goodput{{}}
		merged.Merge(part)
		for _, r := range []*Report{part, back, merged} {
			for name, pair := range map[string][2]float64{
				"goodput": {r.Goodput[0].Rate, whole.Goodput[0].Rate}, "tokens": {r.TokenRate(), whole.TokenRate()}, "all tokens": {r.totalTokenRate(), whole.totalTokenRate()},
			} {
				if share := pair[0] / pair[1]; share < 0.9 || share > 1.1 {
					t.Errorf("trimmed by %v: %s %.1f/s, %.1f/s without", trim, name, pair[0], pair[1])
				}
			}
		}
	}
}

// TestAbsentIsNotZero has a run without an answer.
func TestAbsentIsNotZero(t *testing.T) {
	p := plan(script{status: 503})
	p.Pacer, p.Requests = pace.Constant(10), 100
	report, _ := simulate(t, p)
	curve := newCurve([]Step{{Rate: 1, Report: report}, {Rate: 2, Report: report}, {Rate: 3, Report: report}})
	for _, page := range []interface{ WriteHTML(io.Writer) error }{report, curve} {
		var b strings.Builder
		if err := page.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), ">0s<") || !strings.Contains(b.String(), ">–<") {
			t.Errorf("%T shows an absent duration as 0s", page)
		}
	}
	if text := curve.Steps[0].String(); !strings.Contains(text, "TTFT p99 –") {
		t.Errorf("a step shows an absent TTFT: %s", text)
	}
}

// TestAddAllocatesNothing adds requests to a report, which a run does with its lock held.
func TestAddAllocatesNothing(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	r := newReport(Plan{Start: at, SLOs: []SLO{{TTFT: time.Second}}}, "")
	one := Result{Due: at, Sent: at, Class: analysis.OK, Status: 200, TTFB: ms, TTFT: 2 * ms, E2E: 9 * ms, Latency: 9 * ms, TPOT: ms, NTPOT: ms, Chunks: 8, OutputTokens: 8}
	if n := testing.AllocsPerRun(1000, func() { r.add(one, chunks{}) }); n != 0 {
		t.Errorf("%v allocations for a request", n)
	}
}
