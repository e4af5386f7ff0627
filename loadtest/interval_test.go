package loadtest

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/hdr"
	"github.com/serin-go/serin/loadtest/pace"
)

// uneven answers with streams of many shapes, and fails now and then.
func uneven() http.RoundTripper {
	rng := rand.New(rand.NewPCG(8, 8))
	var mu sync.Mutex
	return roundTripFunc(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		first, kind := time.Duration(rng.Int64N(int64(900*ms))), rng.IntN(10)
		mu.Unlock()
		switch kind {
		case 0:
			return script{status: 503}.RoundTrip(r)
		case 1:
			return nil, errors.New("broken")
		case 2:
			return script{parts: []part{{at: first, data: content("a")}}}.RoundTrip(r)
		}
		return speak(first).RoundTrip(r)
	})
}

// TestIntervalsAddUp takes the report of each second through JSON, as a worker
// sends it, and compares the sum with the report of the whole.
func TestIntervalsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum *Report
		cuts := 0
		p := plan(uneven())
		p.Pacer, p.Requests, p.SLOs, p.WarmUp = pace.Poisson(300, 4), 3000, []SLO{{TTFT: 500 * ms}}, time.Second
		p.Thresholds = []analysis.Threshold{threshold(t, "ttft p95 <= 1s"), threshold(t, "error rate <= 1%")}
		p.OnInterval = func(r *Report) {
			cuts++
			data, err := json.Marshal(r)
			back := new(Report)
			if err == nil {
				err = json.Unmarshal(data, back)
			}
			if err != nil {
				t.Fatal(err)
			}
			if sum == nil {
				sum = back
			} else {
				sum.Append(back)
			}
		}
		whole, err := Run(t.Context(), p)
		if err != nil || cuts < 10 {
			t.Fatal(err, cuts)
		}
		sum.Judge(p.Thresholds...)
		same := func(r *Report) map[string]any {
			m := map[string]any{
				"counts": []int{r.Sent, r.Unsent, r.Trimmed, r.InputTokens, r.OutputTokens, r.Chunks, r.Coalesced, r.PeakConcurrency},
				"rates":  []float64{r.DueRate, r.SentRate, r.TokenRate()}, "elapsed": r.Elapsed, "classes": r.Classes, "faults": r.Faults,
				"sources": r.TokenSources, "goodput": r.Goodput, "series": r.Series(), "summary": r.tally.summary(),
			}
			for _, row := range r.rows() {
				m[row.name] = *row.d.histogram()
				m[row.name+" ends"] = []time.Duration{row.d.Quantile(0), row.d.Quantile(1)}
			}
			return m
		}
		if diff := cmp.Diff(same(whole), same(sum), cmp.AllowUnexported(hdr.Histogram{}), closeFloats); diff != "" {
			t.Errorf("report (-whole +sum of %d intervals):\n%s", cuts, diff)
		}
	})
}

// closeFloats lets sums of floats be added in any order.
var closeFloats = cmp.Comparer(func(a, b float64) bool { return a == b || (a-b)/b < 1e-9 && (b-a)/b < 1e-9 })

// TestThresholdsJudgeAsLiveTraffic compares the summary of a run with that of
// the recorder of live traffic for the same requests.
func TestThresholdsJudgeAsLiveTraffic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var metrics []analysis.Metric
		for _, r := range rates() {
			metrics = append(metrics, r.metric)
		}
		for _, a := range new(tally).amounts() {
			if a.metric.Name == analysis.TPOT().Name {
				a.metric = analysis.ITL() // which live traffic measures as a report its TPOT
			}
			metrics = append(metrics, a.metric)
		}
		recorder, err := analysis.NewRecorder(analysis.Plan{Metrics: metrics}, targetArm)
		if err != nil {
			t.Fatal(err)
		}
		var parts [2]tally
		for i := range rapid.IntRange(0, 60).Draw(t, "requests") {
			r := Result{
				Class: analysis.Class(rapid.IntRange(0, int(analysis.Cancelled)).Draw(t, "class")), Chunks: rapid.IntRange(0, 2).Draw(t, "chunks"),
				TTFT: time.Duration(rapid.IntRange(0, 1e9).Draw(t, "ttft")), TPOT: time.Duration(rapid.IntRange(0, 1e8).Draw(t, "tpot")),
				Latency: time.Duration(rapid.IntRange(0, 1e10).Draw(t, "latency")), Due: time.Unix(0, 0), Sent: time.Unix(0, int64(rapid.IntRange(0, 1e9).Draw(t, "lag"))),
			}
			recorder.Record(observe(r))
			parts[i%2].add(r)
		}
		parts[0].merge(&parts[1])
		want, err := recorder.Summary(targetArm)
		for i := range want.Metrics {
			if want.Metrics[i].Metric == analysis.ITL().Name {
				want.Metrics[i].Metric = analysis.TPOT().Name
			}
		}
		if diff := cmp.Diff(want, parts[0].summary(), closeFloats); err != nil || diff != "" {
			t.Errorf("summary (-live +load test): %v\n%s", err, diff)
		}
	})
}

func FuzzReport(f *testing.F) {
	r := newReport(Plan{}, "")
	r.add(Result{Due: time.Unix(1, 0), Sent: time.Unix(1, 0), Chunks: 2, TTFT: ms, E2E: 2 * ms, Latency: 3 * ms}, chunks{at: []time.Duration{ms, 2 * ms}})
	r.finish()
	data, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"state":{"tally":{},"series":{"width_ns":250000000,"bins":[{"i":3,"ttft":"AAE="}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := new(Report), new(Report)
		if json.Unmarshal(data, a) != nil || json.Unmarshal(data, b) != nil {
			return
		}
		a.Append(b)
		a.Merge(b)
		_ = a.String()
	})
}
