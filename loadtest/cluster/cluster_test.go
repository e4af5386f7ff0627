package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/cluster"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

const (
	token   = "a token that cannot be guessed"
	fileVar = "SERIN_TEST_WORKER_RESULTS"
	joinVar = "SERIN_TEST_WORKER_JOIN" // the URL of a coordinator; tlsVar is a folder
	tlsVar  = "SERIN_TEST_WORKER_TLS"
)

// TestMain makes of the test binary a worker, when a test has started it as one.
func TestMain(m *testing.M) {
	if file := os.Getenv(fileVar); file != "" {
		if err := work(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work serves a worker until its standard input ends, and writes down each
// result as it comes.
func work(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w, err := loadtest.NewWriter(f, loadtest.JSONLines, "worker", "")
	if err != nil {
		return err
	}
	var mu sync.Mutex
	cfg := cluster.WorkerConfig{Token: token, OnResult: func(r loadtest.Result) {
		mu.Lock()
		defer mu.Unlock()
		w.Write(r)
		_ = w.Flush() // the process may be killed
	}}
	if url := os.Getenv(joinVar); url != "" {
		return join(cfg, url, filepath.Base(name))
	}
	worker, err := cluster.NewWorker(cfg)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { _ = http.Serve(l, worker) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// join joins a coordinator over HTTPS with mutual TLS until it ends, or until the standard
// input of this process does.
func join(cfg cluster.WorkerConfig, url, name string) error {
	cfg.Name, cfg.Token = strings.TrimSuffix(name, ".jsonl"), ""
	worker, err := cluster.NewWorker(cfg)
	if err != nil {
		return err
	}
	mutual, err := loadTLS(os.Getenv(tlsVar))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("joining")
	err = worker.Join(ctx, func(ctx context.Context) (net.Conn, error) { return cluster.Dial(ctx, url, mutual) })
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// child is a worker in a process of its own.
type child struct {
	url, file string
	cmd       *exec.Cmd
}

func startChild(t *testing.T) child {
	t.Helper()
	return startProcess(t, filepath.Join(t.TempDir(), "results.jsonl"))
}

// startProcess starts a worker that writes its results to a file.
func startProcess(t *testing.T, file string, env ...string) child {
	t.Helper()
	c := child{file: file, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), fileVar+"="+c.file), env...)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.cmd.Wait() // it may have been killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c.url = strings.TrimSpace(line)
	return c
}

func startModel(t *testing.T) string {
	t.Helper()
	model, err := modeltest.New(modeltest.Config{Seed: 4, TTFT: 20 * time.Millisecond, TimePerToken: 2 * time.Millisecond, Jitter: 0.5, ErrorRate: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(model)
	t.Cleanup(server.Close)
	return server.URL
}

func testPlan(target string) loadtest.Plan {
	return loadtest.Plan{
		Target: target, Model: modeltest.DefaultModel, Pacer: pace.Poisson(150, 2), Duration: 2 * time.Second, MaxTokens: 6, LagBound: time.Minute,
		Workload: workload.Synthetic{Input: workload.Length{Mean: 10}, Seed: 3}, SLOs: []loadtest.SLO{{TTFT: time.Second}},
	}
}

func coordinator(t *testing.T, change func(*cluster.Config), urls ...string) *cluster.Coordinator {
	t.Helper()
	// A worker on a busy machine may have to wait for a processor.
	cfg := cluster.Config{Workers: urls, Token: token, Lead: 300 * time.Millisecond, Silence: time.Minute}
	if change != nil {
		change(&cfg)
	}
	c, err := cluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// summarise makes one report of the results that the workers wrote down: what
// one process would have reported on the same requests.
func summarise(t *testing.T, children ...child) *loadtest.Report {
	t.Helper()
	var all []io.Reader
	for _, c := range children {
		f, err := os.Open(c.file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all = append(all, f)
	}
	r, err := loadtest.Summarise(io.MultiReader(all...), loadtest.SLO{TTFT: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTwoProcessesAreAsOne runs one plan by this process alone, and by two
// others.
func TestTwoProcessesAreAsOne(t *testing.T) {
	target := startModel(t)
	a, b := startChild(t), startChild(t)
	merged, err := coordinator(t, nil, a.url, b.url).Run(t.Context(), testPlan(target))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := loadtest.Run(t.Context(), testPlan(target))
	if err != nil {
		t.Fatal(err)
	}
	if merged.Sent != alone.Sent || merged.Unsent != 0 || merged.Missing != 0 || merged.Interrupted || merged.Goodput[0].Sent != alone.Goodput[0].Sent {
		t.Errorf("merged:\n%v\nalone:\n%v", merged, alone)
	}
	one := summarise(t, a, b)
	if diff := cmp.Diff(one.Classes, merged.Classes); diff != "" || one.OutputTokens != merged.OutputTokens || one.Chunks != merged.Chunks || one.Elapsed-merged.Elapsed > time.Second {
		t.Errorf("classes (-one +merged):\n%s\n%v", diff, merged)
	}
	for name, pair := range map[string][2]*loadtest.Distribution{
		"TTFT": {&one.TTFT, &merged.TTFT}, "corrected TTFT": {&one.CorrectedTTFT, &merged.CorrectedTTFT}, "TPOT": {&one.TPOT, &merged.TPOT},
		"Latency": {&one.Latency, &merged.Latency}, "SchedLag": {&one.SchedLag, &merged.SchedLag}, "NTPOT": {&one.NTPOT, &merged.NTPOT},
	} {
		want, got := throughJSON(t, pair[0]), pair[1]
		if want.Count() != got.Count() || !near(want.Quantile(0), got.Quantile(0)) || !near(want.Quantile(1), got.Quantile(1)) {
			t.Errorf("%s: %d from %v to %v, want %d from %v to %v", name, got.Count(), got.Quantile(0), got.Quantile(1), want.Count(), want.Quantile(0), want.Quantile(1))
		}
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
			if x, y := want.Quantile(q), got.Quantile(q); !near(x, y) {
				t.Errorf("%s: quantile %v is %v, of one process %v", name, q, y, x)
			}
		}
	}
	if len(merged.Notes) != 3 || !strings.Contains(merged.Notes[0], "clock off by") || !strings.HasPrefix(merged.Notes[2], "the plan has") {
		t.Errorf("notes %q", merged.Notes)
	}
}

// near allows the error of the histograms, and a microsecond for instants that
// went through files, where they lose the monotonic clock.
func near(a, b time.Duration) bool { return (a - b).Abs() <= a/1000+time.Microsecond }

// throughJSON returns d as its histogram has it, which is what workers send.
func throughJSON(t *testing.T, d *loadtest.Distribution) *loadtest.Distribution {
	t.Helper()
	data, err := d.MarshalJSON()
	back := new(loadtest.Distribution)
	if err == nil {
		err = back.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestKilledWorker kills one of two processes in the middle of a run: its share
// is taken over, or declared missing, and either way all requests are
// accounted for.
func TestKilledWorker(t *testing.T) {
	for name, declare := range map[string]bool{"taken over": false, "declared missing": true} {
		t.Run(name, func(t *testing.T) {
			target := startModel(t)
			a, b := startChild(t), startChild(t)
			p := testPlan(target)
			p.Duration = 6 * time.Second // time to notice the loss, and to take over, on a busy machine
			p.Pacer = pace.Poisson(50, 2)
			whole := 0
			for at := range p.Pacer.Arrivals() {
				if at > p.Duration {
					break
				}
				whole++
			}
			var once sync.Once
			p.OnInterval = func(*loadtest.Report) {
				once.Do(func() { _ = b.cmd.Process.Kill() })
			}
			c := coordinator(t, func(cfg *cluster.Config) { cfg.DeclareMissing = declare }, a.url, b.url)
			got, err := c.Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if got.Sent+got.Unsent+got.Missing != whole || got.Missing == 0 || got.Interrupted != declare {
				t.Errorf("%d sent, %d unsent, %d missing, want %d in all:\n%v", got.Sent, got.Unsent, got.Missing, whole, got)
			}
			text := strings.Join(got.Notes, "\n")
			if !strings.Contains(text, "LOST") || !strings.Contains(text, b.url) || strings.Contains(text, "took over") == declare {
				t.Errorf("notes:\n%s", text)
			}
			if !strings.Contains(got.String(), "MISSING") {
				t.Errorf("report:\n%v", got)
			}
			if one := summarise(t, a); !declare && one.Sent <= whole/2+5 {
				t.Errorf("the worker that is left sent %d of %d: it took over nothing", one.Sent, whole)
			}
		})
	}
}

// startWorker serves a worker within this process.
func startWorker(t *testing.T) *httptest.Server {
	t.Helper()
	w, err := cluster.NewWorker(cluster.WorkerConfig{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return server
}

func TestStoppedRunReports(t *testing.T) {
	target := startModel(t)
	c := coordinator(t, nil, startWorker(t).URL, startWorker(t).URL)
	p := testPlan(target)
	p.Duration, p.Pacer = 0, pace.Poisson(30, 2) // it has no end, and does not overload a busy machine
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	p.OnInterval = func(r *loadtest.Report) {
		if seen += r.Sent; seen > 20 {
			cancel()
		}
	}
	got, err := c.Run(ctx, p)
	if err != nil || !got.Interrupted || got.Missing != 0 || got.Sent < 20 || strings.Contains(got.String(), "LOST") {
		t.Errorf("%v\n%v", err, got)
	}
}

func TestClosedLoop(t *testing.T) {
	target := startModel(t)
	p := testPlan(target)
	p.Pacer, p.Users, p.Requests, p.Duration = nil, 5, 61, 0
	got, err := coordinator(t, nil, startWorker(t).URL, startWorker(t).URL).Run(t.Context(), p)
	if err != nil || got.Sent != 61 || got.PeakConcurrency > 5 {
		t.Errorf("%v\n%v", err, got)
	}
}

func TestBadConfigurations(t *testing.T) {
	_, err := cluster.New(cluster.Config{Workers: []string{"x", "http://a", "http://a"}, Token: "short", Lead: -1, Silence: 1})
	for _, want := range []string{"Token", "Workers[0]", "Workers[2]", "Lead", "Silence"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported in: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "short") {
		t.Error("the error has the token")
	}
	if _, err := cluster.New(cluster.Config{Token: token}); err == nil {
		t.Error("no workers are accepted")
	}
	_, err = cluster.New(cluster.Config{Workers: []string{"http://a"}, MinWorkers: -1, Names: []string{"a", "", "a"}})
	for _, want := range []string{"Token", "MinWorkers", "Names[1]", "Names[2]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported in: %v", want, err)
		}
	}
	if _, err := cluster.NewWorker(cluster.WorkerConfig{Token: "short", Name: "a b", MaxRuns: -1}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all problems of a worker: %v", err)
	}
	p := testPlan("http://127.0.0.1:1")
	p.Header, p.APIKey, p.OnResult, p.Tokenizer = http.Header{"A": {"b"}}, "key", func(loadtest.Result) {}, func(string) int { return 1 }
	p.Prepare, p.Transport = func(uint64, *http.Request) {}, http.DefaultTransport
	_, err = coordinator(t, nil, "http://127.0.0.1:1").Run(t.Context(), p)
	var invalid *checks.InvalidError
	if !errors.As(err, &invalid) || strings.Count(err.Error(), "\n") != 5 {
		t.Errorf("not all that cannot be sent: %v", err)
	}
	if _, err = coordinator(t, nil, "http://127.0.0.1:1").Run(t.Context(), testPlan("http://127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "worker http://127.0.0.1:1") {
		t.Errorf("a worker that is not there: %v", err)
	}
}

func TestWorkerRefuses(t *testing.T) {
	server := startWorker(t)
	version := "2"
	post := func(auth, method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", auth)
		r.Header.Set("Serin-Loadtest-Version", version)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	tests := []struct {
		auth, method, path, body string
		status                   int
		want                     string
	}{
		{"", "GET", "/v1/clock", "", 401, "token"},
		{"Bearer wrong", "POST", "/v1/runs", "{}", 401, "token"},
		{token, "GET", "/v1/clock", "", 401, "token"},
		{"Bearer " + token, "GET", "/v1/clock", "", 200, "now"},
		{"Bearer " + token, "POST", "/v1/runs", "{", 400, "cannot parse"},
		{"Bearer " + token, "POST", "/v1/runs", `{"id":"1","plan":{"colour":1}}`, 400, "colour"},
		{"Bearer " + token, "POST", "/v1/runs", `{"id":"1","plan":{}}`, 422, "Target"},
		{"Bearer " + token, "POST", "/v1/runs", `{"id":"1","plan":{"pacer":{}}}`, 400, "constant, poisson"},
		{"Bearer " + token, "DELETE", "/v1/runs/7", "", 404, "unknown run"},
		{"Bearer " + token, "POST", "/v1/runs/7/give", `{"of":1}`, 404, "unknown run"},
		{"Bearer " + token, "POST", "/v1/runs/7/give", `{"of":0}`, 422, "at least one"},
		{"Bearer " + token, "POST", "/v1/runs/7/give", `{"from_ns":-1,"of":1}`, 422, "at least 0"},
		{"Bearer " + token, "POST", "/v1/runs/7/give", `{"of":"x"}`, 400, "cannot parse"},
		{"Bearer " + token, "POST", "/v1/goodbye", "", 404, ""}, // for connections that the worker has opened
	}
	for _, test := range tests {
		if status, text := post(test.auth, test.method, test.path, test.body); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s %s %q: %d %s, want %d with %q", test.method, test.path, test.body, status, text, test.status, test.want)
		}
	}
	for version = range map[string]bool{"": true, "1": true, "3": true, "two": true} {
		if status, text := post("Bearer "+token, "GET", "/v1/clock", ""); status != 400 || !strings.Contains(text, "protocol version mismatch") {
			t.Errorf("version %q: %d %s", version, status, text)
		}
	}
	// A coordinator whose token is another gets an error immediately.
	c := coordinator(t, func(cfg *cluster.Config) { cfg.Token = "another token, as long" }, server.URL)
	if _, err := c.Run(t.Context(), testPlan("http://127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
}

// TestSilentWorkerIsLost has a worker that accepts a run and then says nothing.
func TestSilentWorkerIsLost(t *testing.T) {
	target := startModel(t)
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Serin-Loadtest-Version", "2")
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"now":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339Nano))
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, "{}")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer silent.Close()
	p := testPlan(target)
	p.Duration = 4 * time.Second
	c := coordinator(t, func(cfg *cluster.Config) { cfg.Silence = 2 * time.Second }, startWorker(t).URL, silent.URL)
	got, err := c.Run(t.Context(), p)
	text := fmt.Sprint(got)
	if err != nil || !strings.Contains(text, "no message for 2s") || !strings.Contains(text, "clock off by 1h0m0") && !strings.Contains(text, "clock off by 59m59.9") || !strings.Contains(text, "took over") {
		t.Errorf("%v\n%v", err, got)
	}
}

func TestConfigurationsFromEnvironment(t *testing.T) {
	read := func(target any, values map[string]string) {
		t.Helper()
		if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: target, Lookuper: envconfig.MapLookuper(values)}); err != nil {
			t.Error(err)
		}
	}
	var cfg cluster.Config
	read(&cfg, map[string]string{"WORKERS": "http://a,http://b", "TOKEN": token, "LEAD": "1s", "SILENCE": "9s", "DECLARE_MISSING": "true", "MIN_WORKERS": "3", "NAMES": "w1,w2"})
	want := cluster.Config{Workers: []string{"http://a", "http://b"}, MinWorkers: 3, Names: []string{"w1", "w2"}, Token: token, Lead: time.Second, Silence: 9 * time.Second, DeclareMissing: true}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("coordinator (-want +got):\n%s", diff)
	}
	if _, err := cluster.New(cfg); err != nil {
		t.Error(err)
	}
	var worker cluster.WorkerConfig
	read(&worker, map[string]string{"TOKEN": token, "NAME": "w1", "API_KEY": "sk-1", "MAX_RUNS": "3"})
	if worker.Name != "w1" || worker.Token != token || worker.APIKey != "sk-1" || worker.MaxRuns != 3 || worker.Logger != nil {
		t.Errorf("worker %+v", worker)
	}
}
