// Package clustertest provides a conformance suite for the connections between the
// workers and the coordinator of a distributed load test, such as package natscluster has
// them.
package clustertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// Connect makes workers able to join c, which is closed after the test, and returns the
// function that [cluster.Worker.Join] dials with. The coordinator and the workers have a
// token.
type Connect func(t *testing.T, c *cluster.Coordinator) (dial func(context.Context) (net.Conn, error))

// Run runs the suite: three workers join and send exactly the requests of the plan, once
// each, also if another worker joins during the run or one of them leaves; if one is cut
// off, with or without a word, the requests that it may have sent are counted as missing;
// a run can be stopped; and a plan of a megabyte arrives. The parts run in parallel
// and take about six seconds. connect is called for each part.
func Run(t *testing.T, connect Connect) {
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, dialOut(connect))
		})
	}
}

// RunVirtual runs the suite in the virtual time of package synctest. It is for
// connections within the process, such as [net.Pipe], and checks more of what depends on
// time.
func RunVirtual(t *testing.T, connect Connect) {
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { part(t, dialOut(connect)) })
		})
	}
}

var parts = map[string]func(*testing.T, start){
	"Whole": whole, "Late": late, "Leave": leave, "Cut": cutOff, "Silent": silent, "Stopped": stopped, "LargePlan": largePlan,
}

const (
	token = "a token of the conformance suite"
	rate  = 50 // requests per second
	long  = 6 * time.Second
)

// start connects workers with a coordinator of cfg.
type start func(t *testing.T, cfg cluster.Config, workers ...*cluster.Worker) *links

// links are the connections of a coordinator.
type links struct {
	coordinator *cluster.Coordinator
	wires       []*wire
	join        func(*cluster.Worker) // nil if workers do not dial out
}

// dialOut returns a start of workers that dial out.
func dialOut(connect Connect) start {
	return func(t *testing.T, cfg cluster.Config, workers ...*cluster.Worker) *links {
		t.Helper()
		cfg.MinWorkers = len(workers)
		c, err := cluster.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wait sync.WaitGroup
		dial := connect(t, c)
		t.Cleanup(func() { // before the network ends
			_ = c.Close() // the listener may be closed
			cancel()
			wait.Wait()
		})
		l := &links{coordinator: c}
		l.join = func(w *cluster.Worker) {
			wire := &wire{}
			l.wires = append(l.wires, wire)
			wait.Go(func() {
				err := w.Join(ctx, func(ctx context.Context) (net.Conn, error) {
					conn, err := dial(ctx)
					if err != nil {
						return nil, err
					}
					return wire.lay(conn)
				})
				if err != nil && ctx.Err() == nil {
					t.Errorf("Join: %v", err)
				}
			})
		}
		for _, w := range workers {
			l.join(w)
		}
		return l
	}
}

// ledger has the requests that workers have sent, by number.
type ledger struct {
	mu   sync.Mutex
	sent map[uint64]int
	by   map[string]int
}

func (l *ledger) add(worker string, r loadtest.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[r.Seq]++
	l.by[worker]++
}

// crew returns a ledger and n workers that write to it. Their requests are answered by a
// model within the process.
func crew(t *testing.T, n int) (*ledger, []*cluster.Worker) {
	t.Helper()
	model, err := modeltest.New(modeltest.Config{Seed: 1, TTFT: 20 * time.Millisecond, TimePerToken: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{sent: make(map[uint64]int), by: make(map[string]int)}
	var all []*cluster.Worker
	for i := range n {
		name := fmt.Sprintf("w%d", i)
		w, err := cluster.NewWorker(cluster.WorkerConfig{
			Name: name, Token: token, Transport: handled{model}, OnResult: func(r loadtest.Result) { l.add(name, r) },
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return l, all
}

// handled is a Transport whose requests are answered by a handler.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}

func plan() loadtest.Plan {
	return loadtest.Plan{
		Target: "http://model.test", Model: modeltest.DefaultModel, Pacer: pace.Constant(rate), Duration: long, MaxTokens: 2,
		Workload: workload.Synthetic{Input: workload.Length{Mean: 5}}, LagBound: time.Minute, Timeout: 10 * time.Minute,
	}
}

// planned is the number of requests of plan.
const planned = rate * int(long/time.Second)

var config = cluster.Config{Token: token, Lead: 300 * time.Millisecond, Silence: time.Minute}

// when calls f when a run of p has reported some requests.
func when(p *loadtest.Plan, f func()) {
	var once sync.Once
	p.OnInterval = func(r *loadtest.Report) {
		if r.Sent > 0 {
			once.Do(f)
		}
	}
}

// run runs p and checks that all its requests are accounted for.
func (l *links) run(t *testing.T, p loadtest.Plan) *loadtest.Report {
	t.Helper()
	r, err := l.coordinator.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if sum := r.Sent + r.Unsent + r.Missing; sum != planned || !strings.Contains(strings.Join(r.Notes, "\n"), fmt.Sprintf("the plan has %d requests: %d sent, %d unsent, %d missing", planned, r.Sent, r.Unsent, r.Missing)) {
		t.Errorf("%d sent, %d unsent and %d missing are %d, want %d:\n%v", r.Sent, r.Unsent, r.Missing, sum, planned, r)
	}
	return r
}

// exactly checks that each request was sent once, and nothing is missing.
func exactly(t *testing.T, r *loadtest.Report, l *ledger) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Sent != planned || r.Missing != 0 || r.Interrupted || len(l.sent) != planned {
		t.Errorf("%d sent, %d missing, interrupted %v, %d different ones, want %d:\n%v", r.Sent, r.Missing, r.Interrupted, len(l.sent), planned, r)
	}
	for number, times := range l.sent {
		if times != 1 || number >= uint64(planned) {
			t.Errorf("request %d was sent %d times", number, times)
		}
	}
}

func whole(t *testing.T, connect start) {
	sent, workers := crew(t, 3)
	l := connect(t, config, workers...)
	exactly(t, l.run(t, plan()), sent)
	for worker, n := range sent.by {
		if n != planned/3 {
			t.Errorf("worker %s sent %d, want %d", worker, n, planned/3)
		}
	}
}

// late has a worker join when the others have sent a sixth of the plan. It gets a quarter
// of the rest.
func late(t *testing.T, connect start) {
	sent, workers := crew(t, 4)
	l := connect(t, config, workers[:3]...)
	if l.join == nil {
		t.Skip("workers do not dial out")
	}
	p := plan()
	when(&p, func() { l.join(workers[3]) })
	r := l.run(t, p)
	exactly(t, r, sent)
	// In real time, the run may be over when a busy machine has the worker joined.
	if n := sent.by["w3"]; virtual() && (n < planned/8 || n > planned/4) {
		t.Errorf("the worker that joined sent %d of %d:\n%v", n, planned, r)
	}
}

// virtual reports whether it is called in virtual time, which begins in the year 2000.
func virtual() bool { return time.Now().Year() == 2000 }

func leave(t *testing.T, connect start) {
	sent, workers := crew(t, 3)
	l := connect(t, config, workers...)
	p := plan()
	var left sync.WaitGroup
	when(&p, func() {
		left.Go(func() {
			if err := workers[0].Leave(context.Background()); err != nil {
				t.Errorf("Leave: %v", err)
			}
		})
	})
	r := l.run(t, p)
	left.Wait()
	exactly(t, r, sent)
	if text := r.String(); strings.Contains(text, "LOST") || virtual() && !strings.Contains(text, "left 1s after the start, 0 requests missing; w") {
		t.Errorf("%s", text)
	}
	if n := sent.by["w0"]; virtual() && n > planned/6 {
		t.Errorf("the worker that left sent %d of %d", n, planned)
	}
}

func cutOff(t *testing.T, connect start) { lost(t, connect, config, (*wire).cut, "") }

func silent(t *testing.T, connect start) {
	cfg := config
	if cfg.Silence = 2 * time.Second; !virtual() {
		cfg.Silence = 5 * time.Second // the others may have to wait for a processor
	}
	lost(t, connect, cfg, (*wire).silence, "")
}

// lost loses worker 0 when it has sent a sixth of its share.
func lost(t *testing.T, connect start, cfg cluster.Config, lose func(*wire), why string) {
	t.Helper()
	sent, workers := crew(t, 3)
	l := connect(t, cfg, workers...)
	p := plan()
	when(&p, func() { lose(l.wires[0]) })
	r := l.run(t, p)
	text := r.String()
	if n := strings.Count(text, "LOST"); n < 1 || virtual() && n != 1 || r.Missing == 0 || !strings.Contains(text, why) {
		t.Errorf("%d workers are lost, %d requests missing:\n%s", n, r.Missing, text)
	}
	if n := sent.by["w1"] + sent.by["w2"]; virtual() && (n <= 2*planned/3 || !strings.Contains(text, "took over the rest")) {
		t.Errorf("the others sent %d of %d:\n%s", n, planned, text)
	}
}

func stopped(t *testing.T, connect start) {
	_, workers := crew(t, 2)
	l := connect(t, config, workers...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := plan()
	p.Duration = 0
	when(&p, cancel)
	r, err := l.coordinator.Run(ctx, p)
	if err != nil || !r.Interrupted || r.Missing != 0 || strings.Contains(r.String(), "LOST") {
		t.Errorf("%v\n%v", err, r)
	}
}

func largePlan(t *testing.T, connect start) {
	sent, workers := crew(t, 2)
	l := connect(t, config, workers...)
	p := plan()
	p.Workload = nil
	p.Prompts = []workload.Prompt{workload.Ask("Hello"), workload.Ask(strings.Repeat("0123456789abcdef", 64<<10))}
	p.Pacer, p.Requests = pace.Shard(p.Pacer, 1, 2), 1 // the long prompt is not sent
	p.Duration = 0
	r, err := l.coordinator.Run(t.Context(), p)
	if err != nil || r.Sent != 1 || r.Missing != 0 {
		t.Errorf("%v\n%v", err, r)
	}
	_ = sent
}
