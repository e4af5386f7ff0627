package loadtest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/internal/evalue"
	"github.com/serin-go/serin/loadtest/pace"
)

func speak(first time.Duration) script {
	return script{parts: []part{{at: first, data: content("a")}, {at: first + 20*ms, data: content("b")}, {at: first + 21*ms, data: goodTail}}}
}

func TestCompareTargetsAndFiles(t *testing.T) {
	for name, test := range map[string]struct {
		first time.Duration
		want  analysis.Verdict
	}{"slower": {180 * ms, analysis.Harmed}, "equal": {100 * ms, analysis.Safe}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			luck := map[string]*rand.Rand{"model.test": rand.New(rand.NewPCG(1, 1)), "new.test": rand.New(rand.NewPCG(2, 2))}
			p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				first := time.Duration(luck[r.URL.Host].Int64N(int64(40 * ms)))
				mu.Unlock()
				first += 100 * ms
				if r.URL.Host == "new.test" {
					first += test.first - 100*ms
				}
				return speak(first).RoundTrip(r)
			}))
			p.Pacer, p.Requests = pace.Constant(50), 2000
			got, err := Compare(t.Context(), p, "http://new.test", analysis.Plan{})
			if err != nil || got.Judgement.Verdict != test.want || got.Baseline.Sent != 2000 || got.Candidate.Sent != 2000 {
				t.Errorf("%s: %v\n%v", name, err, got)
			}
			d := got.Differences[0]
			if truth := test.first - 100*ms; d.Name != "TTFT p50" || d.Low > truth || d.High < truth || (d.Low > 0) != (truth > 0) {
				t.Errorf("%s: %+v does not cover %v", name, d, truth)
			}
			var files [2]string
			for i, first := range []time.Duration{100 * ms, test.first} {
				var results []Result
				rng := rand.New(rand.NewPCG(uint64(i), 7))
				p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					return speak(first + time.Duration(rng.Int64N(int64(40*ms)))).RoundTrip(r)
				}))
				p.Pacer, p.Requests = pace.Constant(50), 2000
				p.OnResult = func(r Result) { results = append(results, r) }
				if _, err := Run(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				files[i] = write(t, JSONLines, results...)
			}
			got, err = CompareFiles(strings.NewReader(files[0]), strings.NewReader(files[1]), analysis.Plan{})
			if err != nil || got.Judgement.Verdict != test.want {
				t.Errorf("files, %s: %v\n%v", name, err, got)
			}
		})
	}
	if _, err := CompareFiles(strings.NewReader("x\n"), strings.NewReader(""), analysis.Plan{}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a bad file: %v", err)
	}
}

// queue is a server that answers one request after the other, 20 ms each: it
// can take 50 a second, and close to that its queue grows.
type queue struct {
	mu      sync.Mutex
	free    time.Time
	service time.Duration // 0 means 20 ms
}

func (q *queue) RoundTrip(r *http.Request) (*http.Response, error) {
	q.mu.Lock()
	begin := time.Now()
	if q.free.After(begin) {
		begin = q.free
	}
	q.free = begin.Add(cmp.Or(q.service, 20*ms))
	wait := time.Until(q.free)
	q.mu.Unlock()
	return script{parts: []part{{at: wait, data: content("a") + goodTail}}}.RoundTrip(r)
}

func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(&queue{})
		p.Pacer, p.Requests, p.Duration, p.SLOs = nil, 0, time.Minute, []SLO{{TTFT: 200 * ms}}
		got, err := FindCapacity(t.Context(), Search{Plan: p, From: 2, To: 400, Seed: 3})
		// Of an M/D/1 queue at a load of 0.8 about 0.5 % wait for more than 180 ms,
		// at 0.9 7 %, at 1 nearly all of a long run. They wait in groups, so a run of a
		// few minutes cannot show a load of 0.8.
		if err != nil || got.Kept < 33 || got.Broken > 50 || got.Broken/got.Kept > 1.1 {
			t.Errorf("%v, %v", got, err)
		}
		got, err = FindCapacity(t.Context(), Search{Plan: p, From: 2, To: 4})
		if err != nil || got.Kept != 4 || got.Broken != 0 {
			t.Errorf("all: %v, %v", got, err)
		}
		got, err = FindCapacity(t.Context(), Search{Plan: p, From: 200, To: 400})
		if err != nil || got.Kept != 0 || !strings.Contains(got.String(), "none shown") {
			t.Errorf("none: %v, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, _ = FindCapacity(ctx, Search{Plan: p, From: 2, To: 400}); !strings.Contains(got.Reason, "interrupted") {
			t.Errorf("interrupted: %v", got)
		}
	})
	if _, err := FindCapacity(t.Context(), Search{Share: 2, Precision: 0.5, Confidence: -1}); err == nil || strings.Count(err.Error(), "\n") < 6 {
		t.Errorf("not all problems: %v", err)
	}
	if low, high := evalue.Wilson(95, 100, 0.975); low < 0.888 || low > 0.889 || high < 0.978 || high > 0.979 {
		t.Errorf("wilson: %v to %v, want 0.8882 to 0.9785", low, high)
	}
}

// TestCapacityOfAPerfectServer begins at rates with too few requests to show anything.
func TestCapacityOfAPerfectServer(t *testing.T) {
	for _, share := range []float64{0.9, 0.95, 0.99} {
		synctest.Test(t, func(t *testing.T) {
			p := plan(script{parts: []part{{at: 20 * ms, data: content("a") + goodTail}}})
			p.Pacer, p.Requests, p.Duration, p.SLOs = nil, 0, 10*time.Second, []SLO{{TTFT: 400 * ms}}
			for _, to := range []float64{2, 64} {
				if got, err := FindCapacity(t.Context(), Search{Plan: p, From: 1, To: to, Share: share}); err != nil || got.Kept != to {
					t.Errorf("share %v: %v, %v, want %v", share, got, err, to)
				}
			}
		})
	}
}

// TestCapacityAtALowRate has a capacity below the rates at which a step has enough
// requests: one request at a time takes 400 ms.
func TestCapacityAtALowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(&queue{service: 400 * ms})
		p.Pacer, p.Requests, p.Duration, p.SLOs = nil, 0, 10*time.Second, []SLO{{TTFT: 2 * time.Second}}
		got, err := FindCapacity(t.Context(), Search{Plan: p, From: 0.5, To: 64})
		if err != nil || got.Kept < 1 || got.Kept > 2.5 || got.Broken > 1.1*got.Kept {
			t.Errorf("%v, %v, want 1 to 2.5", got, err)
		}
	})
}

// TestCapacityOfABusyGenerator has a generator that is held up: all the time, for one
// run, or so that it sends late.
func TestCapacityOfABusyGenerator(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(run int, r *Report)
		kept  bool
	}{
		{"held up", func(_ int, r *Report) { r.Generator.Bottleneck = true }, true},
		{"late once", func(run int, r *Report) { r.Generator.Bottleneck, r.Late = run == 3, run == 3 }, true},
		{"late", func(_ int, r *Report) { r.Generator.Bottleneck, r.Late = true, true }, false},
		{"without ports", func(_ int, r *Report) { r.Generator.Bottleneck, r.Faults[faultLocal] = true, 1 }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := plan(script{parts: []part{{at: 20 * ms, data: content("a") + goodTail}}})
			p.Pacer, p.Requests, p.Duration, p.SLOs = nil, 0, 10*time.Second, []SLO{{TTFT: 400 * ms}}
			runs := 0
			got, err := FindCapacity(t.Context(), Search{Plan: p, From: 1, To: 32, Run: func(ctx context.Context, p Plan) (*Report, error) {
				r, err := Run(ctx, p)
				test.spoil(runs, r)
				runs++
				return r, err
			}})
			if err != nil || (got.Kept == 32) != test.kept || !test.kept && (got.Kept != 0 || !strings.Contains(got.Reason, "bottleneck")) {
				t.Errorf("%s: %v, %v", test.name, got, err)
			}
		})
	}
}

// TestKneeWithoutTheGenerator has a sweep in which the generator was the bottleneck.
func TestKneeWithoutTheGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(&queue{})
		p.Pacer, p.Requests, p.Duration = nil, 0, 20*time.Second
		bad := func(from float64, missing int) Curve {
			curve, err := Sweep(t.Context(), Search{Plan: p, From: 5, To: 80, Seed: 2, Run: func(ctx context.Context, p Plan) (*Report, error) {
				r, err := Run(ctx, p)
				if r.SentRate > from {
					r.Generator.Bottleneck, r.Missing = missing == 0, missing
				}
				return r, err
			}}, 9)
			if err != nil {
				t.Fatal(err)
			}
			return curve
		}
		for _, missing := range []int{0, 3} {
			curve := bad(20, missing)
			if curve.Knee >= 0 || !strings.Contains(curve.finding(), "left out") {
				t.Errorf("a knee among steps of the generator:\n%v", curve)
			}
			if text := curve.String(); !strings.Contains(text, "BOTTLENECK") && !strings.Contains(text, "3 REQUESTS MISSING") {
				t.Errorf("the steps are not marked:\n%s", text)
			}
		}
	})
}

// TestKnee sweeps over a queue whose wait grows without bound as its load comes
// near 1, at 50 a second.
func TestKnee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(&queue{})
		p.Pacer, p.Requests, p.Duration = nil, 0, 20*time.Second
		curve, err := Sweep(t.Context(), Search{Plan: p, From: 5, To: 80, Seed: 2}, 9)
		if err != nil || len(curve.Steps) != 9 || curve.Knee < 0 {
			t.Fatalf("%v, %v", curve, err)
		}
		if at := curve.Steps[curve.Knee].Rate; at < 28 || at > 50 || !strings.Contains(curve.String(), "<- knee") {
			t.Errorf("the knee is at %v/s:\n%v", at, curve)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if curve, err := Sweep(ctx, Search{Plan: p, From: 5, To: 80}, 9); err != nil || len(curve.Steps) != 1 || curve.Knee != -1 {
			t.Errorf("a sweep that was interrupted: %v, %v", curve, err)
		}
	})
	if _, err := Sweep(t.Context(), Search{}, 2); err == nil || !strings.Contains(err.Error(), "steps is 2") {
		t.Errorf("not all problems: %v", err)
	}
	for _, test := range []struct {
		x, y []float64
		want int
	}{
		{nil, nil, -1}, {[]float64{1, 2}, []float64{1, 9}, -1}, {[]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, -1},
		{[]float64{1, 2, 3, 4, 5}, []float64{1, 1, 1, 1, 9}, 3}, {[]float64{5, 5, 5}, []float64{1, 2, 3}, -1}, {[]float64{1, 2, 3, 4}, []float64{1, 0.7, 1.1, 1}, -1}, {[]float64{1, 2, 3}, []float64{9, 5, 1}, -1}, {[]float64{1, 2, 3}, []float64{4, 4, 4}, -1},
	} {
		if got := knee(test.x, test.y); got != test.want {
			t.Errorf("the knee of %v over %v is %d, want %d", test.y, test.x, got, test.want)
		}
	}
}
