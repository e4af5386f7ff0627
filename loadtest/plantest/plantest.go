// Package plantest provides conformance suites for the parts of a load test's plan: pacers,
// which are arrival schedules, and workloads, which generate prompts and HTTP requests.
//
// A suite opens a new implementation for each of its parts. Run the suites with the race
// detector. A call that takes longer than 30 s counts as hanging.
package plantest

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// most is the number of requests of a schedule that are looked at.
const most = 2000

// Pacer runs the conformance suite of [pace.Pacer]: instants ascend from 0, every
// iteration yields the same instants, iterations may be stopped, interleaved and
// concurrent, and Validate, Len and [pace.Marshal] agree with the instants. open returns a
// valid schedule that is always the same. The first 2,000 requests are looked at.
func Pacer(t *testing.T, open func(t *testing.T) pace.Pacer) {
	for name, part := range map[string]func(*testing.T, pace.Pacer){
		"Ascending": ascending, "Repeated": repeatedSchedule, "Stopped": stopped, "Interleaved": interleaved,
		"Concurrent": concurrentSchedules, "Valid": validPacer, "Len": length, "JSON": survivesJSON,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
	t.Run("Reopened", func(t *testing.T) {
		same(t, "another Pacer that open returns", instants(t, open(t)), instants(t, open(t)))
	})
}

// upTo returns the first n instants.
func upTo(p pace.Pacer, n int) (all []time.Duration) {
	for at := range p.Arrivals() {
		if all = append(all, at); len(all) >= n {
			break
		}
	}
	return all
}

func instants(t *testing.T, p pace.Pacer) (all []time.Duration) {
	t.Helper()
	suitetest.Call(t, "Arrivals", func() { all = upTo(p, most) })
	return all
}

// same checks that two iterations yield the same instants.
func same(t *testing.T, which string, want, got []time.Duration) {
	t.Helper()
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Errorf("%s yields %d instants, which differ from the first %d from number %d on", which, len(got), len(want), i)
			return
		}
	}
}

func ascending(t *testing.T, p pace.Pacer) {
	last := time.Duration(0)
	all := instants(t, p)
	for i, at := range all {
		if at < last {
			t.Fatalf("request %d is due at %v, want at least %v", i, at, last)
		}
		last = at
	}
	if len(all) == 0 {
		t.Error("the schedule has no requests")
	}
}

func repeatedSchedule(t *testing.T, p pace.Pacer) {
	first := instants(t, p)
	for range 2 {
		same(t, "another iteration", first, instants(t, p))
	}
	all := p.Arrivals()
	suitetest.Call(t, "Arrivals", func() {
		for range 2 {
			var again []time.Duration
			for at := range all {
				if again = append(again, at); len(again) >= most {
					break
				}
			}
			same(t, "the same sequence", first, again)
		}
	})
}

// stopped breaks iterations off. An iteration that goes on after that panics.
func stopped(t *testing.T, p pace.Pacer) {
	first := instants(t, p)
	for _, n := range []int{1, 2, 10, len(first)} {
		suitetest.Call(t, "Arrivals", func() {
			same(t, "an iteration that is broken off", first[:min(n, len(first))], upTo(p, n))
		})
	}
	same(t, "an iteration after others were broken off", first, instants(t, p))
}

func interleaved(t *testing.T, p pace.Pacer) {
	first := instants(t, p)
	var a, b []time.Duration
	suitetest.Call(t, "Arrivals", func() {
		nextA, stopA := iter.Pull(p.Arrivals())
		defer stopA()
		nextB, stopB := iter.Pull(p.Arrivals())
		defer stopB()
		for range first {
			atA, _ := nextA()
			atB, _ := nextB()
			a, b = append(a, atA), append(b, atB)
		}
	})
	same(t, "the first of two interleaved iterations", first, a)
	same(t, "the second of two interleaved iterations", first, b)
}

func concurrentSchedules(t *testing.T, p pace.Pacer) {
	first := instants(t, p)
	suitetest.Together(t, "Arrivals", func(int) { same(t, "a concurrent iteration", first, upTo(p, most)) })
}

// valid checks the result of a method Validate.
func valid(t *testing.T, v any) {
	t.Helper()
	validator, ok := v.(interface{ Validate() error })
	if !ok {
		t.Skip("there is no method Validate")
	}
	for range 2 {
		if err := validator.Validate(); err != nil {
			t.Errorf("Validate = %v", err)
		}
	}
}

func validPacer(t *testing.T, p pace.Pacer) { valid(t, p) }

func length(t *testing.T, p pace.Pacer) {
	counted, ok := p.(interface{ Len() int })
	if !ok {
		t.Skip("there is no method Len")
	}
	n := counted.Len()
	if got := len(upTo(p, n+1)); got != n {
		t.Errorf("Len = %d, but there are %d instants", n, got)
	}
}

func survivesJSON(t *testing.T, p pace.Pacer) {
	text, err := pace.Marshal(p)
	if err != nil {
		if _, ok := p.(interface{ Len() int }); ok {
			t.Errorf("Marshal = %v for a Pacer with a method Len", err)
		}
		t.Skipf("Marshal = %v", err)
	}
	back, err := pace.Unmarshal(text)
	if err != nil {
		t.Fatalf("Unmarshal(%.200s) = %v", text, err)
	}
	same(t, "the Pacer that JSON describes", instants(t, p), instants(t, back))
	if again, err := pace.Marshal(back); err != nil || !bytes.Equal(text, again) {
		t.Errorf("%.200s is written again as %.200s, %v", text, again, err)
	}
}

// Workload runs the conformance suite of [workload.Workload]: a request depends only on
// its number, calls may be concurrent, Validate returns nil, and the requests can be sent.
// open returns a valid workload that is always the same.
func Workload(t *testing.T, open func(t *testing.T) workload.Workload) {
	for name, part := range map[string]func(*testing.T, workload.Workload){
		"Repeated": repeatedRequests, "Concurrent": concurrentRequests, "Sendable": sendable, "Valid": validWorkload,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
	t.Run("Reopened", func(t *testing.T) {
		a, b := open(t), open(t)
		for _, seq := range numbers() {
			equal(t, seq, request(t, a, seq), request(t, b, seq))
		}
	})
}

// numbers returns numbers of requests: the first ones, and some that are as large as
// numbers can be.
func numbers() (all []uint64) {
	for seq := range uint64(100) {
		all = append(all, seq)
	}
	return append(all, 1<<31, 1<<32, 1<<63, math.MaxUint64-1, math.MaxUint64)
}

func request(t *testing.T, w workload.Workload, seq uint64) (r workload.Request) {
	t.Helper()
	suitetest.Call(t, fmt.Sprintf("Request(%d)", seq), func() { r = w.Request(seq) })
	return r
}

func equal(t *testing.T, seq uint64, want, got workload.Request) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("Request(%d) is %+v, and then %+v", seq, want, got)
	}
}

// repeatedRequests asks again, in another order.
func repeatedRequests(t *testing.T, w workload.Workload) {
	all := numbers()
	first := make(map[uint64]workload.Request)
	for _, seq := range all {
		first[seq] = request(t, w, seq)
	}
	slices.Reverse(all)
	for _, seq := range all {
		equal(t, seq, first[seq], request(t, w, seq))
	}
}

func concurrentRequests(t *testing.T, w workload.Workload) {
	first := make(map[uint64]workload.Request)
	for _, seq := range numbers() {
		first[seq] = request(t, w, seq)
	}
	suitetest.Together(t, "Request", func(int) {
		for _, seq := range numbers() {
			equal(t, seq, first[seq], w.Request(seq))
		}
	})
}

// sendable checks that loadtest can send the requests.
func sendable(t *testing.T, w workload.Workload) {
	for _, seq := range numbers() {
		r := request(t, w, seq)
		if r.MaxTokens < 0 {
			t.Errorf("Request(%d) has the limit %d, want at least 0 tokens", seq, r.MaxTokens)
		}
		if r.Body == nil {
			if err := r.Prompt.Validate(); err != nil {
				t.Errorf("Request(%d) has neither a body nor a valid prompt: %v", seq, err)
			}
			continue
		}
		url := r.Path
		if url == "" || url[0] == '/' {
			url = "http://host" + url
		}
		if _, err := http.NewRequest(r.Method, url, bytes.NewReader(r.Body)); err != nil {
			t.Errorf("Request(%d) cannot be sent: %v", seq, err)
		}
	}
}

func validWorkload(t *testing.T, w workload.Workload) { valid(t, w) }
