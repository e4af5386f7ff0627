package main

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// watch gathers what the live view and the summary show of the traffic: what
// the router observed, and what its users met.
type watch struct {
	rate float64 // requests per second that are asked for

	mu     sync.Mutex
	counts totals
	window map[string]*sums     // by version, since the last roll
	past   map[string]histories // by version
	rolled time.Time
}

// totals counts one act's requests.
type totals struct {
	requests int            // that users sent
	errors   map[string]int // that users saw, by the version that served them
	dropped  int            // that got no answer or half of one
	served   map[string]int // that the router assigned, by version
}

// allErrors returns the errors of all versions.
func (t totals) allErrors() int {
	n := 0
	for _, count := range t.errors {
		n += count
	}
	return n
}

type sums struct{ n, errors, timed, ttft, itl, latency, cost float64 }

// histories are recent means of what each metric is about, the newest last.
type histories map[string][]float64

const (
	windowLength = 500 * time.Millisecond
	historySize  = 40
)

func newWatch() *watch {
	w := &watch{}
	w.begin()
	return w
}

// begin resets the counts.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts = totals{served: make(map[string]int), errors: make(map[string]int)}
	w.window = make(map[string]*sums)
	w.past = make(map[string]histories)
	w.rolled = time.Now()
}

// result takes in what a user has met.
func (w *watch) result(r loadtest.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &w.counts
	t.requests++
	if r.Class != analysis.OK && r.Class != analysis.Refused && r.Class != analysis.Cancelled {
		t.errors[r.Version]++
		// An error that a server has answered with is the model's. No answer, or
		// one that breaks off, would be the router's fault.
		if r.Status == 0 || r.Status == http.StatusOK {
			t.dropped++
		}
	}
}

// observe takes in what the router has seen.
func (w *watch) observe(o analysis.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.served[o.Arm]++
	s := w.window[o.Arm]
	if s == nil {
		s = &sums{}
		w.window[o.Arm] = s
	}
	s.n++
	if o.Class != analysis.OK {
		s.errors++
		return
	}
	s.timed++
	s.ttft += o.TTFT.Seconds()
	s.itl += o.ITL.Seconds()
	s.latency += o.Latency.Seconds()
	s.cost += float64(o.Cost)
}

// totals returns what was counted since begin.
func (w *watch) totals() totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.counts
	t.served, t.errors = maps.Clone(t.served), maps.Clone(t.errors)
	return t
}

// history returns the recent values of a version's metric.
func (w *watch) history(arm, metric string) []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.rolled) >= windowLength {
		w.roll()
		w.rolled = now
	}
	return w.past[arm][metric]
}

// roll closes the present window.
func (w *watch) roll() {
	for arm, s := range w.window {
		h := w.past[arm]
		if h == nil {
			h = make(histories)
			w.past[arm] = h
		}
		add := func(metric string, sum, n float64) {
			if n == 0 {
				return
			}
			values := append(h[metric], sum/n)
			h[metric] = values[max(0, len(values)-historySize):]
		}
		add("error rate", s.errors, s.n)
		add("ttft", s.ttft, s.timed)
		add("itl", s.itl, s.timed)
		add("latency", s.latency, s.timed)
		add("tokens/s", s.timed, s.itl)
		add("cost", s.cost, s.timed)
		*s = sums{}
	}
}
