package loadtest

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
)

// TestInterruptedGate has quick failures below the limit and slow answers, and ends before
// the answers.
func TestInterruptedGate(t *testing.T) {
	minute := script{parts: []part{{data: content("a")}, {at: time.Minute, data: goodTail}, {at: time.Minute, err: io.EOF}}}
	for _, test := range []struct {
		every int
		want  checks.Status
	}{{33, checks.Unknown}, {2, checks.Fail}} {
		synctest.Test(t, func(t *testing.T) {
			p := plan(failing(test.every, minute))
			p.Pacer, p.Requests, p.Duration = pace.Constant(20), 0, 10*time.Minute
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if got := Gate(p, threshold(t, "error rate <= 5%")).Check(ctx); got.Status != test.want {
				t.Errorf("each %d fails: %v: %s, want %v", test.every, got.Status, got.Summary, test.want)
			}
		})
	}
}

// TestMergeKeepsWhatIsUnderWay has two shards of which only the failures have ended.
func TestMergeKeepsWhatIsUnderWay(t *testing.T) {
	shard := func() *Report {
		r := newReport(Plan{}, "")
		for range 15 {
			r.add(Result{Class: analysis.Error, Due: r.Began, Sent: r.Began}, chunks{})
		}
		r.UnderWay = 480
		r.finish()
		return r
	}
	a := shard()
	a.Merge(shard())
	a.Judge(threshold(t, "error rate <= 5%"))
	if got := a.Judged[0].Result; a.UnderWay != 960 || got.Status != checks.Unknown {
		t.Errorf("%d under way, %v: %s", a.UnderWay, got.Status, got.Summary)
	}
}

// TestGateOfMeans has means that keep their limit narrowly, and one that does not.
func TestGateOfMeans(t *testing.T) {
	fails := func(limit string) (n int) {
		for seed := range uint64(40) {
			rng := rand.New(rand.NewPCG(seed, 9))
			var mu sync.Mutex
			p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				at := time.Duration(rng.ExpFloat64() * float64(108*ms))
				mu.Unlock()
				return script{parts: []part{{at: at, data: content("a") + goodTail}, {at: at, err: io.EOF}}}.RoundTrip(r)
			}))
			p.Pacer, p.Requests, p.Workers = pace.Constant(1), 200, 1
			if check(t, p, limit).Status == checks.Fail {
				n++
			}
		}
		return n
	}
	if n := fails("latency mean <= 109ms"); n > 2 {
		t.Errorf("%d of 40 gates fail a mean that is kept", n)
	}
	if n := fails("latency mean <= 60ms"); n < 36 {
		t.Errorf("%d of 40 gates fail a mean that is nearly twice its limit", n)
	}
}

// TestTimeoutsHaveNoGoodTTFT has a server of which nine in ten answers never begin.
func TestTimeoutsHaveNoGoodTTFT(t *testing.T) {
	hanging := script{parts: []part{{data: role}, {at: time.Hour, err: io.EOF}}}
	for _, text := range []string{"ttft p95 <= 400ms", "e2e p95 <= 400ms", "latency p95 <= 400ms"} {
		var n atomic.Int64
		p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if n.Add(1)%10 > 0 {
				return hanging.RoundTrip(r)
			}
			return script{parts: spoken}.RoundTrip(r)
		}))
		p.Pacer, p.Requests, p.Timeout = pace.Constant(20), 200, 5*time.Second
		if got := check(t, p, text); got.Status != checks.Fail {
			t.Errorf("%s: %v: %s", text, got.Status, got.Summary)
		}
	}
}

// TestDriftThatIsFarFromTheLimit is a server whose answers take 5 % of the limit, a little
// more and a little less in turn.
func TestDriftThatIsFarFromTheLimit(t *testing.T) {
	var due, took []float64
	for i := range 400 {
		at := float64(i) / 2
		due, took = append(due, at), append(took, 1+0.01*math.Sin(2*math.Pi*at/300))
	}
	if g := goodput(due, took, 20); !(Search{}).withDefaults().judge(g).Kept {
		t.Errorf("%d of %d good, as much as %.0f independent requests", g.Good, g.Sent, g.Effective)
	}
	if g := goodput(due, took, 1.009); g.Effective > 40 {
		t.Errorf("a drift to the limit: as much as %.0f independent requests of %d", g.Effective, g.Sent)
	}
}

// TestReportOfBadSeries has intervals of impossible widths.
func TestReportOfBadSeries(t *testing.T) {
	r := newReport(Plan{}, "")
	r.add(Result{Class: analysis.OK, Due: r.Began, Sent: r.Began, Latency: time.Second}, chunks{})
	r.finish()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(data), `"series":{"width_ns":250000000`, `"series":{"width_ns":9200000000000000000`, 1)
	if err := json.Unmarshal([]byte(bad), new(Report)); bad == string(data) || err == nil {
		t.Errorf("an interval of 292 years is accepted, %v", err)
	}
}

// TestHostileTokenizers counts impossible numbers of tokens.
func TestHostileTokenizers(t *testing.T) {
	for _, n := range []int{-5, math.MaxInt} {
		p := plan(script{parts: spoken})
		p.Pacer, p.Requests, p.Tokenizer = pace.Constant(10), 5, func(string) int { return n }
		report, _ := simulate(t, p)
		data, err := json.Marshal(report)
		if err == nil {
			err = json.Unmarshal(data, new(Report))
		}
		if err != nil || report.OutputTokens < 0 || report.OutputTokens > 10_000 || report.InputTokens < 0 {
			t.Errorf("%d: %d tokens out, %d in, %v", n, report.OutputTokens, report.InputTokens, err)
		}
	}
}

// TestZeroValues are printed and merged.
func TestZeroValues(t *testing.T) {
	for _, text := range []string{Curve{Knee: -1}.String(), Curve{}.String(), Step{}.String(), (&Comparison{}).String(), Capacity{}.String(), (&Report{}).String()} {
		if text == "" {
			t.Error("a zero value has no text")
		}
	}
	r := newReport(Plan{}, "")
	r.add(Result{Class: analysis.OK, Due: r.Began, Sent: r.Began, Latency: time.Second}, chunks{})
	r.finish()
	for _, join := range []func(*Report){new(Report).Merge, new(Report).Append} {
		join(r)
	}
	if q := r.Latency.Quantile(math.NaN()); q != time.Second {
		t.Errorf("the quantile NaN is %v", q)
	}
	p := plan(script{parts: spoken})
	p.Pacer, p.Requests, p.Duration, p.SLOs = nil, 0, time.Second, []SLO{{}}
	for _, run := range []Runner{
		func(context.Context, Plan) (*Report, error) { return NewReport(Plan{}, time.Now()), nil },
		func(context.Context, Plan) (*Report, error) { return nil, nil },
	} {
		if _, err := FindCapacity(t.Context(), Search{Plan: p, From: 1, To: 2, Run: run}); err == nil {
			t.Error("a report without goodput is accepted")
		}
	}
}
