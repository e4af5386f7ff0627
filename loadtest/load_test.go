package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// TestUsersTakeTurns has 15 users at 1 request a second: each asks every 15 s, goes on
// with its conversation, and is late when the answer before is.
func TestUsersTakeTurns(t *testing.T) {
	p := plan(script{parts: []part{{at: 100 * ms, data: content("light") + goodTail}}})
	p.Pacer, p.Requests, p.Users, p.Prompts = pace.Constant(1), 60, 15, nil
	for i := range 15 {
		p.Conversations = append(p.Conversations, workload.Conversation{Turns: []string{fmt.Sprint("first of ", i), "second", "third", "fourth"}})
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
	if report.Sent != 60 || report.Interrupted || report.SchedLag.Quantile(1) != 0 || len(dues) != 15 {
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
	if report, _ = simulate(t, p); report.Sent != 60 || report.SchedLag.Quantile(1) != 15*time.Second || report.PeakConcurrency != 15 {
		t.Errorf("answers that take longer than a turn: %v", report)
	}
}

// TestManyErrorsTakeBoundedMemory counts a million errors whose texts all differ.
func TestManyErrorsTakeBoundedMemory(t *testing.T) {
	r := newReport(Plan{LagBound: time.Second}, "")
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 1_000_000
	at := time.Unix(0, 0)
	one := func(i int) {
		res := Result{Seq: uint64(i), Due: at, Sent: at, Latency: time.Duration(i), Class: analysis.Error, Fault: faultConnect,
			Err: fmt.Errorf("dial tcp 127.0.0.1:%d: connection %d refused", i%65536, i)}
		if i%4 == 0 {
			res.Class, res.Fault = analysis.Timeout, faultLateHeader
		}
		r.add(res, chunks{})
	}
	for i := range n / 10 {
		one(i)
	}
	before := memory()
	for i := n / 10; i < n; i++ {
		one(i)
	}
	after := memory()
	if r.Classes[analysis.Error] != 750_000 || r.Classes[analysis.Timeout] != 250_000 || r.Faults[faultConnect] != 750_000 || len(r.FirstErrors) != 2 {
		t.Errorf("classes %v, faults %v, %d first errors", r.Classes, r.Faults, len(r.FirstErrors))
	}
	if after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	runtime.KeepAlive(r)
}

// TestPeakConcurrency sweeps over half-open intervals: at one instant ends come
// before begins, in whatever order they are told.
func TestPeakConcurrency(t *testing.T) {
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
		p.Pacer, p.Requests = pace.Constant(10), 20 // each ends when the next begins
		report, err := Run(t.Context(), p)
		if err != nil || report.PeakConcurrency != 1 {
			t.Errorf("%v at once, %v", report.PeakConcurrency, err)
		}
	})
}

// TestBusyUsersAreNotTheGenerator has users who wait for a slow server when requests are
// due. The generator is accused only of what it adds to that.
func TestBusyUsersAreNotTheGenerator(t *testing.T) {
	for name, test := range map[string]struct {
		prepare time.Duration
		late    bool
		lag     time.Duration
	}{"slow server": {0, false, 0}, "slow generator as well": {100 * ms, true, 100 * ms}} {
		p := plan(script{parts: []part{{data: role}, {at: time.Second, data: content("a") + goodTail}}})
		p.Users, p.Pacer, p.Requests = 2, pace.Constant(10), 40
		p.Prepare = func(seq uint64, _ *http.Request) {
			if seq >= 20 {
				time.Sleep(test.prepare) // of the bubble
			}
		}
		report, results := simulate(t, p)
		data, err := json.Marshal(report)
		back := new(Report)
		if err == nil {
			err = json.Unmarshal(data, back)
		}
		if err != nil {
			t.Fatal(err)
		}
		merged := NewReport(p, report.Began)
		merged.Merge(back)
		read, err := Summarise(strings.NewReader(write(t, JSONLines, results...)))
		if err != nil {
			t.Fatal(err)
		}
		for kind, r := range map[string]*Report{"run": report, "JSON": back, "merged": merged, "file": read} {
			if r.Late != test.late || r.Generator.LagP99.Round(ms) != test.lag || r.SchedLag.Quantile(0.99) < 10*time.Second || r.CorrectedTTFT.Quantile(0.5) < 5*time.Second {
				t.Errorf("%s, %s: late %v, lag p99 %v, SchedLag p99 %v, corrected TTFT p50 %v", name, kind, r.Late, r.Generator.LagP99, r.SchedLag.Quantile(0.99), r.CorrectedTTFT.Quantile(0.5))
			}
		}
	}
}
