package plantest_test

import (
	"errors"
	"iter"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-go/serin/internal/suitetest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/plantest"
	"github.com/serin-go/serin/loadtest/workload"
)

// arrivals is a function as a Pacer.
type arrivals func(yield func(time.Duration) bool)

func (a arrivals) Arrivals() iter.Seq[time.Duration] { return iter.Seq[time.Duration](a) }

func fixed(all ...time.Duration) arrivals { return arrivals(slices.Values(all)) }

// listed is a Pacer with a length, a validation and a mistake.
type listed struct {
	arrivals
	n   int
	err error
}

func (l listed) Len() int        { return l.n }
func (l listed) Validate() error { return l.err }

// counting is a Pacer whose iterations share their state.
type counting struct {
	mu sync.Mutex
	n  time.Duration
}

func (c *counting) Arrivals() iter.Seq[time.Duration] {
	c.mu.Lock()
	c.n = 0
	c.mu.Unlock()
	return func(yield func(time.Duration) bool) {
		for {
			c.mu.Lock()
			c.n++
			at := c.n
			c.mu.Unlock()
			if at > 100 || !yield(at) {
				return
			}
		}
	}
}

func TestPacer(t *testing.T) {
	trace, err := os.ReadFile("testdata/trace.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	stages := pace.Stages(
		pace.Stage{Pacer: pace.Ramp(0, 50, time.Second), For: time.Second},
		pace.Stage{Pacer: pace.Poisson(50, 1), For: time.Minute},
	)
	for name, open := range map[string]func(t *testing.T) pace.Pacer{
		"Constant": func(*testing.T) pace.Pacer { return pace.Constant(10) },
		"slow":     func(*testing.T) pace.Pacer { return pace.Constant(0.000001) },
		"Poisson":  func(*testing.T) pace.Pacer { return pace.Poisson(100, 7) },
		"Gamma":    func(*testing.T) pace.Pacer { return pace.Gamma(100, 0.5, 7) },
		"even":     func(*testing.T) pace.Pacer { return pace.Gamma(100, 10_000, 7) },
		"Ramp":     func(*testing.T) pace.Pacer { return pace.Ramp(0, 100, 10*time.Second) },
		"down":     func(*testing.T) pace.Pacer { return pace.Ramp(100, 0, 10*time.Second) },
		"Sine":     func(*testing.T) pace.Pacer { return pace.Sine(10, 10, time.Minute) },
		"Stages":   func(*testing.T) pace.Pacer { return stages },
		"Shard":    func(*testing.T) pace.Pacer { return pace.Shard(stages, 1, 3) },
		"After":    func(*testing.T) pace.Pacer { return pace.After(stages, 2*time.Second) },
		"First":    func(*testing.T) pace.Pacer { return pace.First(stages, 30) },
		"listed":   func(*testing.T) pace.Pacer { return listed{fixed(0, 0, 5, 9), 4, nil} },
		"bare":     func(*testing.T) pace.Pacer { return fixed(0, 0, 5, 9) },
		"Trace": func(t *testing.T) pace.Pacer {
			p, err := workload.ReadTrace(strings.NewReader(string(trace)), workload.TraceOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
	} {
		t.Run(name, func(t *testing.T) { plantest.Pacer(t, open) })
	}
}

func TestBrokenPacers(t *testing.T) {
	crowd := suitetest.NewCrowd()
	calls := time.Duration(0)
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part  string
		pacer pace.Pacer
	}{
		"descends":                {"Ascending", fixed(0, 9, 5)},
		"begins before the start": {"Ascending", fixed(-1, 0)},
		"is empty":                {"Ascending", fixed()},
		"hangs":                   {"Ascending", arrivals(func(func(time.Duration) bool) { select {} })},
		"differs":                 {"Repeated", arrivals(func(yield func(time.Duration) bool) { calls++; yield(calls) })},
		"goes on": {"Stopped", arrivals(func(yield func(time.Duration) bool) {
			for at := range time.Duration(20) {
				yield(at)
			}
		})},
		"shares its state": {"Interleaved", new(counting)},
		"is not concurrent": {"Concurrent", arrivals(func(yield func(time.Duration) bool) {
			if crowd.Meet() {
				return
			}
			yield(5)
		})},
		"is invalid":           {"Valid", listed{fixed(0), 1, errors.New("no")}},
		"counts too many":      {"Len", listed{fixed(0, 1), 3, nil}},
		"counts too few":       {"Len", listed{fixed(0, 1), 1, nil}},
		"is not read back":     {"JSON", listed{fixed(5, 1), 2, nil}},
		"is another each time": {"Reopened", nil},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			plantest.Pacer(t, func(*testing.T) pace.Pacer {
				if b.pacer == nil {
					calls++
					return fixed(calls)
				}
				return b.pacer
			})
		}}
	}
	suitetest.Fails(t, all)
}

// requests is a function as a Workload.
type requests func(seq uint64) workload.Request

func (r requests) Request(seq uint64) workload.Request { return r(seq) }

// unusable is a Workload that is not valid.
type unusable struct{ requests }

func (unusable) Validate() error { return errors.New("no") }

func TestWorkload(t *testing.T) {
	trace, err := os.ReadFile("testdata/trace.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(t *testing.T) workload.Workload{
		"zero": func(*testing.T) workload.Workload { return workload.Synthetic{} },
		"Synthetic": func(*testing.T) workload.Workload {
			return workload.Synthetic{Input: workload.Length{Mean: 9, SD: 3, LogNormal: true}, Prefix: 2, Prefixes: 3, Seed: 8}
		},
		"pairs": func(*testing.T) workload.Workload {
			return workload.Synthetic{Pairs: []workload.Pair{{Input: 3, Output: 4, Weight: 1}, {Input: 5, Weight: 2}}}
		},
		"HTTP": func(*testing.T) workload.Workload { return workload.HTTP("", "/x", nil) },
		"Targets": func(t *testing.T) workload.Workload {
			targets, err := workload.ReadTargets(strings.NewReader("GET http://host/a\nAccept: */*\n\nDELETE http://host/b\n"), workload.HTTPTargets, nil)
			if err != nil {
				t.Fatal(err)
			}
			return targets
		},
		"Trace": func(t *testing.T) workload.Workload {
			w, err := workload.ReadTrace(strings.NewReader(string(trace)), workload.TraceOptions{Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			return w
		},
	} {
		t.Run(name, func(t *testing.T) { plantest.Workload(t, open) })
	}
}

func TestBrokenWorkloads(t *testing.T) {
	crowd := suitetest.NewCrowd()
	calls := 0
	ask := workload.Request{Prompt: workload.Ask("hi")}
	all := make(map[string]suitetest.Broken)
	for name, b := range map[string]struct {
		part string
		work workload.Workload
	}{
		"counts its calls": {"Repeated", requests(func(uint64) workload.Request { calls++; return workload.Request{Prompt: ask.Prompt, MaxTokens: calls} })},
		"has an end":       {"Repeated", requests(func(seq uint64) workload.Request { return []workload.Request{ask, ask}[seq] })},
		"hangs":            {"Repeated", requests(func(uint64) workload.Request { select {} })},
		"is not concurrent": {"Concurrent", requests(func(seq uint64) workload.Request {
			if seq == 0 && crowd.Meet() {
				return workload.Request{}
			}
			return ask
		})},
		"has no content":       {"Sendable", requests(func(uint64) workload.Request { return workload.Request{} })},
		"has a negative limit": {"Sendable", requests(func(uint64) workload.Request { return workload.Request{Prompt: ask.Prompt, MaxTokens: -1} })},
		"has a bad method":     {"Sendable", requests(func(uint64) workload.Request { return workload.Request{Body: []byte{}, Method: "G E T"} })},
		"has a bad path": {"Sendable", requests(func(uint64) workload.Request {
			return workload.Request{Body: []byte{}, Method: http.MethodGet, Path: "/%zz"}
		})},
		"is invalid":           {"Valid", unusable{func(uint64) workload.Request { return ask }}},
		"is another each time": {"Reopened", nil},
	} {
		all[name] = suitetest.Broken{Part: b.part, Suite: func(t *testing.T) {
			plantest.Workload(t, func(*testing.T) workload.Workload {
				if b.work == nil {
					calls++
					n := calls
					return requests(func(uint64) workload.Request { return workload.Request{Prompt: ask.Prompt, MaxTokens: n} })
				}
				return b.work
			})
		}}
	}
	suitetest.Fails(t, all)
}
