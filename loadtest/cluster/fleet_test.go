package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

// fleet is a coordinator with workers that join it by pipes, in virtual time.
type fleet struct {
	t       *testing.T
	c       *cluster.Coordinator
	l       *pipes
	model   http.Handler
	workers map[string]*fleetWorker
}

type fleetWorker struct {
	*cluster.Worker
	conn   net.Conn
	joined chan error
	sent   []uint64 // the numbers of the requests
}

func newFleet(t *testing.T, cfg cluster.Config) *fleet {
	t.Helper()
	model, err := modeltest.New(modeltest.Config{Seed: 1, TTFT: 20 * time.Millisecond, TimePerToken: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, l: newPipes(), model: model, workers: make(map[string]*fleetWorker)}
	cfg.Token = token
	if f.c, err = cluster.New(cfg); err != nil {
		t.Fatal(err)
	}
	serve(t, f.c, f.l)
	return f
}

// join adds a worker, which begins to join when the caller waits. wraps may change its
// connection.
func (f *fleet) join(name string, wraps ...func(net.Conn) net.Conn) {
	f.t.Helper()
	w := &fleetWorker{joined: make(chan error, 1)}
	var err error
	var mu sync.Mutex
	w.Worker, err = cluster.NewWorker(cluster.WorkerConfig{Name: name, Token: token, Transport: inProcess{f.model}, OnResult: func(r loadtest.Result) {
		mu.Lock()
		defer mu.Unlock()
		w.sent = append(w.sent, r.Seq)
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.workers[name] = w
	ctx, cancel := context.WithCancel(context.Background())
	f.t.Cleanup(cancel)
	go func() {
		w.joined <- w.Join(ctx, func(ctx context.Context) (net.Conn, error) {
			if w.conn != nil {
				return nil, io.ErrUnexpectedEOF
			}
			conn, err := f.l.dial(ctx)
			for _, wrap := range wraps {
				conn = wrap(conn)
			}
			w.conn = conn
			return conn, err
		})
	}()
}

// inProcess is a Transport whose requests are answered by a handler.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return answer.Result(), nil
}

// at calls f at an instant of a run that begins 1 s from now.
func at(d time.Duration, f func()) { time.AfterFunc(time.Second+d, f) }

const lead = time.Second // of the fleets' runs

func fleetPlan() loadtest.Plan {
	return loadtest.Plan{
		Target: "http://model.test", Model: modeltest.DefaultModel, Pacer: pace.Constant(80), Duration: 10 * time.Second, MaxTokens: 2,
		Workload: workload.Synthetic{Input: workload.Length{Mean: 5}}, LagBound: time.Minute,
	}
}

// run runs p and checks that the numbers in the report and its notes add up to want.
func (f *fleet) run(p loadtest.Plan, want int) *loadtest.Report {
	f.t.Helper()
	r, err := f.c.Run(f.t.Context(), p)
	if err != nil {
		f.t.Fatal(err)
	}
	last := r.Notes[len(r.Notes)-1]
	if r.Sent+r.Unsent+r.Missing != want || last != fmt.Sprintf("the plan has %d requests: %d sent, %d unsent, %d missing", want, r.Sent, r.Unsent, r.Missing) {
		f.t.Errorf("want %d in all:\n%v", want, r)
	}
	inNotes := 0
	for _, note := range r.Notes {
		var n int
		if _, after, found := strings.Cut(note, ", sent "); found {
			if _, err := fmt.Sscanf(after, "%d requests", &n); err != nil {
				f.t.Errorf("%q: %v", note, err)
			}
			inNotes += n
		}
	}
	if inNotes != r.Sent {
		f.t.Errorf("the notes have %d requests, the report %d:\n%s", inNotes, r.Sent, strings.Join(r.Notes, "\n"))
	}
	return r
}

// TestEightWorkersOfWhichThreeAreLost loses three of eight workers: two whose connections
// end, one of them 200 ms after the other, and one that falls silent. A ninth one joins.
func TestEightWorkersOfWhichThreeAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.Config{MinWorkers: 8, Lead: lead, Silence: 2 * time.Second})
		for i := range 7 {
			f.join(fmt.Sprintf("w%d", i))
		}
		silence := make(chan struct{})
		f.join("w7", func(c net.Conn) net.Conn {
			return &mutedConn{Conn: c, muted: silence, closed: make(chan struct{})}
		})
		at(2050*time.Millisecond, func() { _ = f.workers["w0"].conn.Close() })
		at(2250*time.Millisecond, func() { _ = f.workers["w1"].conn.Close() })
		at(3050*time.Millisecond, func() { close(silence) })
		at(6*time.Second, func() { f.join("late") })
		r := f.run(fleetPlan(), 800)

		text := r.String()
		lost := make(map[string]bool)
		for _, note := range r.Notes {
			if strings.Contains(note, "LOST") {
				lost[strings.Fields(note)[1]] = true
			}
		}
		if diff := cmp.Diff(map[string]bool{"w0,": true, "w1,": true, "w7,": true}, lost); diff != "" || !strings.Contains(text, "no message for 2s") {
			t.Errorf("workers lost (-want +got):\n%s\n%s", diff, text)
		}
		// Each worker sends 10 requests per second. The first two are lost 50 ms and 250 ms
		// after their last report, and replaced 500 ms later; w1 had just taken over from w0,
		// from 2.55 s on, and is replaced in that part from 2.75 s on, too. The third one is
		// lost 2 s after its last message, at 3 s, and replaced 500 ms later.
		if want := 5 + 7 + 2 + 25; r.Missing < want-3 || r.Missing > want+6 {
			t.Errorf("%d missing, want about %d:\n%s", r.Missing, want, text)
		}
		// Of 80 requests per second, a sixth for 3.5 s.
		if n := len(f.workers["late"].sent); n < 44 || n > 49 {
			t.Errorf("the late worker sent %d, want about 46:\n%s", n, text)
		}
		// Each request that is not missing was sent by a worker that is left, or by a lost
		// one before that.
		seen := make(map[uint64]int)
		for _, w := range f.workers {
			for _, number := range w.sent {
				seen[number]++
			}
		}
		if len(seen) < r.Sent || len(seen) > 800 {
			t.Errorf("%d different requests, %d reported", len(seen), r.Sent)
		}
	})
}

// mutedConn is a connection that loses all bytes when muted is closed.
type mutedConn struct {
	net.Conn
	muted, closed chan struct{}
	once          sync.Once
}

func (c *mutedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.muted:
		<-c.closed
		return 0, io.EOF
	default:
		return n, err
	}
}

func (c *mutedConn) Write(b []byte) (int, error) {
	select {
	case <-c.muted:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

func (c *mutedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestJoinTwice has two workers join during a run, and one of them leave again: each of n
// workers then has an n-th of the rest, and each request is sent once.
func TestJoinTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.Config{MinWorkers: 2, Lead: lead})
		f.join("a")
		f.join("b")
		at(1500*time.Millisecond, func() { f.join("c") }) // from 2 s on
		at(3500*time.Millisecond, func() { f.join("d") }) // from 4 s on
		var leaving sync.WaitGroup
		at(5500*time.Millisecond, func() { leaving.Go(func() { _ = f.workers["c"].Leave(context.Background()) }) }) // from 6 s on
		r := f.run(fleetPlan(), 800)
		leaving.Wait()
		if r.Sent != 800 || r.Missing != 0 || r.Interrupted {
			t.Errorf("%v", r)
		}
		for name, want := range map[string]int{
			"a": 80 + 160/3 + 40 + 80, "b": 80 + 160/3 + 40 + 80, "c": 160/3 + 40, "d": 40 + 80, // or, of c's rest, one has 80 more
		} {
			if n := len(f.workers[name].sent); n < want-3 || n > want+3 && n < want+77 || n > want+83 {
				t.Errorf("%s sent %d, want about %d", name, n, want)
			}
		}
		once(t, f, 800)
		if err := <-f.workers["c"].joined; err != nil {
			t.Errorf("Join of the worker that left: %v", err)
		}
	})
}

// once checks that each of n requests was sent once.
func once(t *testing.T, f *fleet, n int) {
	t.Helper()
	var all []uint64
	for _, w := range f.workers {
		all = append(all, w.sent...)
	}
	slices.Sort(all)
	for i, number := range all {
		if number != uint64(i) {
			t.Fatalf("request %d is number %d of those that were sent", number, i)
		}
	}
	if len(all) != n {
		t.Errorf("%d requests, want %d", len(all), n)
	}
}

// TestAllLeave has the only worker leave, and another one join later.
func TestAllLeave(t *testing.T) {
	for _, returns := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, cluster.Config{MinWorkers: 1, Lead: lead})
			f.model = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(3 * time.Second) // the worker that leaves waits for the answers
				http.Error(w, "busy", http.StatusServiceUnavailable)
			})
			f.join("a")
			at(2*time.Second, func() { go func() { _ = f.workers["a"].Leave(context.Background()) }() })
			if returns {
				at(4*time.Second, func() { f.join("b") })
			}
			r := f.run(fleetPlan(), 800)
			want := 800 - 199 // due before 2.5 s
			if returns {
				want = 160 // due from 2.5 s to 4.5 s
			}
			if r.Missing < want-2 || r.Missing > want+2 || r.Interrupted == returns {
				t.Errorf("%d missing, want about %d:\n%v", r.Missing, want, r)
			}
		})
	}
}

// TestLeaveWhatIsLeft ends the patience of a worker that leaves: it cancels what is left,
// and the report has it as canceled.
func TestLeaveWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.Config{MinWorkers: 2, Lead: lead, Silence: time.Minute})
		f.model = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(20 * time.Second):
			case <-r.Context().Done():
			}
		})
		f.join("a")
		f.join("b")
		at(2*time.Second, func() {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := f.workers["a"].Leave(ctx); err != context.DeadlineExceeded {
					t.Errorf("Leave: %v", err)
				}
			}()
		})
		r := f.run(fleetPlan(), 800)
		if r.Missing != 0 || !strings.Contains(r.String(), "abandoned") || strings.Contains(r.String(), "LOST") {
			t.Errorf("%v", r)
		}
		if err := <-f.workers["a"].joined; err != nil {
			t.Error(err)
		}
	})
}

// TestClosedLoopLeaves has a worker leave a closed loop, with a number of requests.
func TestClosedLoopLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.Config{MinWorkers: 2, Lead: lead})
		f.join("a")
		f.join("b")
		p := fleetPlan()
		p.Pacer, p.Users, p.Requests, p.Duration = nil, 4, 600, 0
		at(time.Second, func() { go func() { _ = f.workers["a"].Leave(context.Background()) }() })
		at(1500*time.Millisecond, func() { f.join("c") })
		r := f.run(p, 600)
		if r.Sent != 600 || r.Missing != 0 || r.Interrupted || strings.Contains(r.String(), "LOST") || !strings.Contains(r.String(), "took over the rest") {
			t.Errorf("%v", r)
		}
		if n := len(f.workers["a"].sent); n > 110 { // 2 users for a second, 21 ms for each request
			t.Errorf("the worker that left sent %d", n)
		}
	})
}

// TestThresholdsOnMergedData judges runs of two workers. In virtual time, no delay of this
// machine counts as one of the server, and no worker is lost by it.
func TestThresholdsOnMergedData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, cluster.Config{MinWorkers: 2, Lead: lead})
		f.join("a")
		f.join("b")
		limit := func(text string) analysis.Threshold {
			l, err := analysis.ParseThreshold(text)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		p := fleetPlan()
		p.Pacer = pace.Poisson(20, 2) // takes little of the CPU per virtual second
		p.Duration = 3 * time.Second
		p.SLOs = []loadtest.SLO{{TTFT: time.Second}}
		if got := loadtest.Runner(f.c.Run).Gate(p, limit("error rate <= 50%"), limit("latency p99 <= 1m")).Check(t.Context()); got.Status != checks.Pass {
			t.Errorf("%v: %s", got.Status, got.Summary)
		}
		p.Duration = time.Minute
		if got := loadtest.Runner(f.c.Run).Gate(p, limit("latency p99 <= 1ms")).Check(t.Context()); got.Status != checks.Fail {
			t.Errorf("%v: %s", got.Status, got.Summary)
		}
		if n := len(f.workers["a"].sent) + len(f.workers["b"].sent); n > 20*(3+10) {
			t.Errorf("%d requests: the breach did not end the run", n)
		}
		p.Duration = 2 * time.Second
		found, err := loadtest.FindCapacity(t.Context(), loadtest.Search{Plan: p, From: 10, To: 20, Share: 0.5, Run: f.c.Run})
		if err != nil || found.Kept != 20 {
			t.Errorf("%v, %v", err, found)
		}
	})
}

// TestClocks has a worker whose clock is a minute ahead and runs 0.1 % fast, and one whose
// clock is right.
func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		began := time.Now()
		w, err := cluster.NewWorker(cluster.WorkerConfig{Token: token, Transport: inProcess{http.NotFoundHandler()}})
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/clock" {
				w.ServeHTTP(rw, r)
				return
			}
			answer := httptest.NewRecorder()
			w.ServeHTTP(answer, r)
			var reply struct {
				Now time.Time `json:"now"`
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &reply); err != nil {
				t.Error(err)
			}
			reply.Now = reply.Now.Add(time.Minute + time.Since(began)/1000)
			maps.Copy(rw.Header(), answer.Header())
			_ = json.NewEncoder(rw).Encode(reply)
		})}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }}}
		defer client.CloseIdleConnections()
		c, err := cluster.New(cluster.Config{Workers: []string{"http://w"}, Token: token, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		p := fleetPlan()
		p.Pacer, p.Duration = pace.Constant(1), 100*time.Second
		p.Start = time.Time{}
		r, err := c.Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		// The worker begins a minute late, since its clock is not what it claims. The offset
		// grows by 1 ms per second, and is estimated each 10 s.
		if note := r.Notes[0]; !strings.Contains(note, "clock off by 1m0s +- 0s and since changed by ") || !strings.Contains(note, "changed by 160ms") {
			t.Error(note)
		}
	})
}
