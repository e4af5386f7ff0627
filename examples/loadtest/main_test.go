package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/loadtest"
	"github.com/serin-go/serin/loadtest/modeltest"
)

// argsVar makes of the test binary the command itself.
const argsVar = "SERIN_TEST_ARGS"

func TestMain(m *testing.M) {
	args := os.Getenv(argsVar)
	if args == "" {
		_ = os.Setenv("NO_PROXY", "example.com") // see TestConnections; it cannot fail
		os.Exit(m.Run())
	}
	os.Args = append(os.Args[:1], strings.Split(args, "\n")...)
	main()
}

// process is the command in a process of its own.
type process struct {
	*exec.Cmd
	out, errs bytes.Buffer
	first     chan string // the first line of its output
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), first: make(chan string, 1)}
	p.Env = append(append(os.Environ(), argsVar+"="+strings.Join(args, "\n")), env...)
	p.Stdout, p.Stderr = &firstLine{p: p}, &p.errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // if it has not ended
	return p
}

// firstLine keeps output and sends its first line to a channel.
type firstLine struct{ p *process }

func (f *firstLine) Write(b []byte) (int, error) {
	had := strings.Contains(f.p.out.String(), "\n")
	n, err := f.p.out.Write(b)
	if line, _, found := strings.Cut(f.p.out.String(), "\n"); found && !had {
		f.p.first <- line
	}
	return n, err
}

func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), console{out: &o, err: &e, getenv: func(string) string { return "" }}, args)
	return code, o.String(), e.String()
}

// TestFirstScreen does what a new user does, and then what the next step is.
func TestFirstScreen(t *testing.T) {
	dir := t.TempDir()
	results, page := filepath.Join(dir, "r.jsonl"), filepath.Join(dir, "r.html")
	_, out, errs := command(t, "attack", "-duration", "1s", "-rate", "20", "-output", "8", "-slo", "ttft=10s", "-results", results,
		"-html", page, "-json", filepath.Join(dir, "r.json"), "-hdr", filepath.Join(dir, "r.hdr"))
	lines := strings.Split(out, "\n")
	if len(lines) > 26 || !strings.HasPrefix(out, "Verdict   ") || !strings.Contains(out, "\nGenerator ") || !strings.Contains(out, "Goodput") || !strings.Contains(out, "TTFT") || !strings.Contains(errs, "small model") {
		t.Errorf("%s\n%s", out, errs)
	}
	code, again, errs := command(t, "report", results)
	if code != 0 && code != generatorFault || !strings.Contains(again, "corr. TTFT") {
		t.Errorf("report: %d\n%s%s", code, again, errs)
	}
	if code, again, errs = command(t, "report", "-threshold", "latency <= 1ns", filepath.Join(dir, "r.json")); code == 0 || !strings.Contains(again, "corr. TTFT") {
		t.Errorf("report of a report: %d\n%s%s", code, again, errs)
	}
	for kind, want := range map[string]string{"vegeta": "Latencies", "vegeta-json": `"latencies"`, "hist[1ms,1h]": "[1ms,"} {
		if code, again, errs = command(t, "report", "-type", kind, results); code != 0 || !strings.Contains(again, want) {
			t.Errorf("report -type %s: %d\n%s%s", kind, code, again, errs)
		}
	}
	if log, err := os.ReadFile(filepath.Join(dir, "r.hdr")); err != nil || strings.Count(string(log), "Tag=TTFT,") < 2 {
		t.Errorf("histogram log: %v\n%s", err, log)
	}
	other := filepath.Join(dir, "c.html")
	if _, same, _ := command(t, "compare", "-html", other, results, results); !strings.HasPrefix(same, "Verdict") || strings.Contains(same, " *\n") {
		t.Errorf("a file differs from itself:\n%s", same)
	}
	curve := filepath.Join(dir, "s.html")
	if code, swept, errs := command(t, "sweep", "-from", "10", "-to", "30", "-steps", "3", "-duration", "300ms", "-output", "4", "-html", curve); code != 0 || strings.Count(swept, "\n") != 4 {
		t.Errorf("sweep: %d\n%s%s", code, swept, errs)
	}
	opensWithoutErrors(t, page, 8)
	opensWithoutErrors(t, other, 5+9) // with a bar for each quantile
	opensWithoutErrors(t, curve, 8)
}

// opensWithoutErrors shows the page in a browser, if there is one. The policy in
// the page makes an error on the console of each attempt to fetch anything.
func opensWithoutErrors(t *testing.T, page string, plots int) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Log("no chromium here")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--enable-logging=stderr", "--log-level=0", "--dump-dom", "file://"+page)
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &log
	if err := cmd.Run(); err != nil {
		t.Logf("chromium does not run here: %v", err)
		return
	}
	if strings.Contains(log.String(), "CONSOLE") || strings.Count(dom.String(), "<svg") != plots {
		t.Errorf("the page has %d plots, want %d, or errors:\n%s", strings.Count(dom.String(), "<svg"), plots, log.String())
	}
	if page, err := os.ReadFile(page); err != nil || !strings.Contains(string(page), "default-src 'none'") {
		t.Errorf("%v: the page does not forbid itself to fetch anything", err)
	}
}

// TestShardsMakeOneReport sends one schedule by one process and by two.
func TestShardsMakeOneReport(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, part := range []string{"0/1", "0/2", "1/2"} {
		file := filepath.Join(dir, strings.ReplaceAll(part, "/", "of"))
		if _, out, errs := command(t, "attack", "-duration", "1s", "-rate", "30", "-output", "3", "-results", file, "-shard", part); !strings.Contains(out, "sent") {
			t.Fatalf("%s\n%s", out, errs)
		}
		files = append(files, file)
	}
	outcomes := func(files ...string) string {
		_, out, _ := command(t, append([]string{"report"}, files...)...)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "Outcomes") {
				return line
			}
		}
		return out
	}
	whole, parts := outcomes(files[0]), outcomes(files[1:]...)
	if whole != parts || !strings.Contains(whole, " ok (100 %)") {
		t.Errorf("one process: %stwo: %s", whole, parts)
	}
}

func TestExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(file, []byte("{\"prompt\":1}\n{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := textFile(t, "own.jsonl", `{"prompt":"one"}`+"\n"+`{"prompt":"two","model":"c"}`)
	recorded := textFile(t, "recorded.jsonl", `{"timestamp":0,"input_length":1,"output_length":1,"messages":[{"role":"user","content":"one"}],"model":"c"}`)
	tests := []struct {
		args string
		code int
		want string
	}{
		{"", 0, "loadtest attack"},
		{"help", 0, "Exit codes"}, {"report -help", 0, "Exit codes"},
		{"atack", wrongUse, `unknown command "atack"`},
		{"attack -help", 0, "\nWhen to send:\n  -rate requests\n"}, {"sweep -help", 0, "knee"}, {"serve-worker -help", 0, "LOADTEST_TOKEN"},
		{"attack -trace " + file + " -window 5m -dry-run", wrongUse, "-window is"},
		{"attack -api responses", wrongUse, "requires -url"},
		{"attack extra", wrongUse, `unexpected argument "extra"`},
		{"attack -rate x -slo speed=9 -threshold none -colour -seed -1", wrongUse, "invalid value \"x\" for flag -rate"},
		{"attack -rate x -slo speed=9 -threshold none -colour -seed -1", wrongUse, "want ttft"},
		{"attack -rate x -slo speed=9 -threshold none -colour -seed -1", wrongUse, "-threshold"},
		{"attack -rate x -slo speed=9 -threshold none -colour -seed -1", wrongUse, "-colour"},
		{"attack -rate x -slo speed=9 -threshold none -colour -seed -1", wrongUse, "-seed"},
		{"attack -rate -1 -timeout -1s -api telepathy -dry-run", wrongUse, "Timeout"},
		{"attack -rate -1 -timeout -1s -api telepathy -dry-run", wrongUse, "API"},
		{"attack -header X:${NOT_SET} -dry-run", wrongUse, "NOT_SET} is not set"},
		{"attack -targets /none -dry-run", wrongUse, "/none"}, {"attack -conversations -users 2 -dry-run", wrongUse, "requires -prompts"},
		{"attack -workers http://127.0.0.1:1 -duration 1s -url http://127.0.0.1:1", wrongUse, "Token"},
		{"attack -workers x -header a:b -results r -url http://127.0.0.1:1", wrongUse, "stay on their machine"},
		{"attack -listen-workers 127.0.0.1:0 -url http://127.0.0.1:1", wrongUse, "requires -ca"}, {"attack -cert c -url http://127.0.0.1:1", wrongUse, "require -listen-workers"},
		{"attack -workers-min 2 -dry-run", wrongUse, "-workers-min requires"}, {"search -listen-workers 127.0.0.1:0 -workers-min -1", wrongUse, "MinWorkers"},
		{"attack -listen-workers 127.0.0.1:0 -cert " + file + " -key " + file + " -ca " + file + " -url http://127.0.0.1:1", wrongUse, "-cert " + file},
		{"compare -listen-workers :0", wrongUse, "-workers cannot be used"}, {"serve-worker -join http://127.0.0.1:1 -key k", wrongUse, "-join requires -cert"},
		{"serve-worker -join http://127.0.0.1:1 -name a/b", wrongUse, "WorkerConfig.Name"},
		{"serve-worker -join https://127.0.0.1:1 -listen :0", wrongUse, "-listen has no effect"}, {"serve-worker -name w1", wrongUse, "-name has no effect"},
		{"serve-worker", wrongUse, "Token"}, {"sweep -steps 1", wrongUse, "steps is 1"},
		{"report -type vegeta -slo ttft=1s " + file, wrongUse, "-slo cannot be used with -type vegeta"}, {"report -type vegeta -html h -json j " + file, wrongUse, "-json cannot be used with -type"},
		{"report -type hist[1ms] -hdr h -threshold latency<=1s " + file, wrongUse, "-threshold cannot be used with -type"}, {"report -type vegeta -tokens words " + file, wrongUse, "-tokens cannot be used with -type"},
		{"report -as vllm -html h " + file, wrongUse, "-html cannot be used with -as"},
		{"report -type pie " + file, wrongUse, "want text, vegeta"}, {"report -type hist[x] " + file, wrongUse, "want text, vegeta"},
		{"compare -workers http://a", wrongUse, "-workers cannot be used"},
		{"attack -rate 0 -dry-run", wrongUse, "Poisson.Rate is 0"},
		{"attack -rate 5 -arrivals constant -dry-run", 0, "Requests: 50"},
		{"attack -arrivals never -dry-run", wrongUse, "-arrivals is"},
		{"attack -slo speed=9", wrongUse, "want ttft"},
		{"attack -prompts " + file + " -trace " + file + " -dry-run", wrongUse, "line 2"},
		{"attack -url http://127.0.0.1:1 -duration 300ms -arrivals constant -threshold error:rate<=1%", wrongUse, "Metric is"},
		{"attack -duration 300ms -output 2 -rate 20 -arrivals constant -threshold latency<=1ns", breached, "breached"},
		{"attack -body x -prompts y -dry-run", wrongUse, "cannot be used together"}, {"attack -body= -dry-run", wrongUse, "-body is empty"},
		{"attack -body-file /none -dry-run", wrongUse, "/none"}, {"attack -n -3 -dry-run", wrongUse, "Requests"},
		{"attack -trace " + file + " -rate 5 -dry-run", wrongUse, "-rate has no effect with -trace"}, {"attack -speedup 2 -dry-run", wrongUse, "no effect without -trace"},
		{"attack -users 3 -rate 5 -think 1s -dry-run", wrongUse, "-think has no effect with -rate"}, {"attack -input 5 -body x -dry-run", wrongUse, "-input has no effect with -body"},
		{"attack -n 30 -rate 1 -dry-run", 0, "Requests: 30"}, {"attack -n 30 -duration 9s -arrivals constant -rate 1 -dry-run", 0, "Requests: 9"},
		{"attack -n 5 -shard 0/2 -dry-run", 0, "Requests: 3"}, {"attack -n 5 -shard 1/2 -dry-run", 0, "Requests: 2"}, {"attack -n 2 -shard 2/3 -dry-run", wrongUse, "has no request"},
		{"attack -shard 1/2x -dry-run", wrongUse, "want i/n"}, {"attack -shard 1 -dry-run", wrongUse, "want i/n"}, {"attack -shard 2/2 -dry-run", wrongUse, "Shard is"}, {"attack -shard 0/2 -users 3 -dry-run", wrongUse, "-shard has no effect with -users"},
		{"attack -users 4 -rate 5 -n 8 -dry-run", 0, "4 users in turn"}, {"attack -users 4 -dry-run", 0, "closed loop"},
		{"attack -mix a=1,b=2 -dry-run", 0, "for a, b to"}, {"attack -mix a -dry-run", wrongUse, "want models with weights"}, {"attack -mix a=0 -dry-run", wrongUse, "above 0"},
		{"attack -mix a=1,b=2 -extra-body {\"model\":\"c\"} -dry-run", wrongUse, "-extra-body has \"model\""},
		{"attack -mix a=1,b=2 -prompts " + own + " -dry-run", wrongUse, own + ": request 2 has the model \"c\""}, {"attack -mix a=1,b=2 -trace " + recorded + " -dry-run", wrongUse, recorded + ": request 1 has the model \"c\""},
		{"attack -prompts " + own + " -dry-run", 0, "Requests"},
		{"attack -mix a=1,a=2 -dry-run", wrongUse, "Mix.Parts[1].Name"}, {"attack -session-header a:b -users 2 -dry-run", wrongUse, "SessionHeader"},
		{"attack -session-header X-Session -dry-run", wrongUse, "-session-header has no effect without -users"}, {"attack -tokens words -dry-run", wrongUse, "-tokens has no effect without -as"}, {"report -tokens words " + file, wrongUse, "-tokens has no effect without -as"},
		{"attack -in-flight -1 -dry-run", wrongUse, "-in-flight is -1, want 0 to 1,000,000"}, {"attack -trace " + textFile(t, "t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n") + " -dry-run", wrongUse, "has no requests"},
		{"attack -prompts " + textFile(t, "bom.jsonl", "\ufeff{\"prompt\":\"one\"}") + " -dry-run", 0, "Requests"}, {"attack -prompts " + file + " -dry-run", wrongUse, "prompt is a number, want a text"},
		{"attack -mix a=1 -mix b=1 -dry-run", wrongUse, "a second -mix"}, {"attack -mix a=1e308,b=1e308 -dry-run", wrongUse, "finite sum"}, {"attack -mix a=Inf -dry-run", wrongUse, "finite sum"},
		{"attack -trace " + recorded + " -speedup 0 -dry-run", wrongUse, "-speedup is 0"}, {"attack -trace " + recorded + " -output 5 -dry-run", wrongUse, "-output has no effect with -trace"}, {"attack -trace " + recorded + " -dry-run", 0, "Requests: 1"},
		{"attack -arrivals constant:3 -dry-run", wrongUse, "want constant without more"}, {"attack -arrivals poisson:foo -dry-run", wrongUse, "want poisson without more"}, {"attack -arrivals ramp: -dry-run", wrongUse, "want ramp without more"},
		{"attack -resolve host:443 -dry-run", wrongUse, "want host:port:address"}, {"attack -cacert " + file + " -dry-run", wrongUse, "has no certificate"}, {"attack -cacert /none -dry-run", wrongUse, "/none"},
		{"attack -insecure -workers http://a -url http://127.0.0.1:1", wrongUse, "use them with serve-worker"}, {"serve-worker -cacert /none", wrongUse, "/none"},
		{"compare", wrongUse, "two files"},
		{"report /none", wrongUse, "/none"},
		{"search -from 9 -to 1", wrongUse, "Search.To"},
	}
	for _, test := range tests {
		code, out, errs := command(t, strings.Fields(test.args)...)
		if test.code == breached && code == generatorFault && strings.Contains(out, "generator was the bottleneck") {
			continue // a busy machine, and the command says so
		}
		if code != test.code || !strings.Contains(out+errs, test.want) || strings.Contains(out, "\nMore:") {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", test.args, code, test.code, test.want, out, errs)
		}
	}
}

func TestInterruptedRunReports(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	code := run(ctx, console{out: &o, err: &e, getenv: func(string) string { return "" }}, []string{"attack"})
	if code != inconclusive || !strings.Contains(o.String(), "interrupted") {
		t.Errorf("%d:\n%s%s", code, o.String(), e.String())
	}
}

// TestInterruptedProcess sends an interrupt to a process at several moments. Its
// report, its page, its JSON and its file of results must all be whole.
func TestInterruptedProcess(t *testing.T) {
	for _, after := range []time.Duration{0, 80 * time.Millisecond, 700 * time.Millisecond} {
		dir := t.TempDir()
		name := func(s string) string { return filepath.Join(dir, s) }
		p := start(t, nil, "attack", "-duration", "1m", "-rate", "100", "-output", "500", "-results", name("r.jsonl"), "-json", name("r.json"), "-html", name("r.html"), "-hdr", name("r.hdr"))
		for { // it takes interrupts from when it has begun to send
			if data, err := os.ReadFile(name("r.hdr")); err == nil && len(data) == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(after)
		began := time.Now()
		if err := p.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait() // the exit code is checked
		t.Logf("interrupted %v after the start of the run: ended %v later", after, time.Since(began))
		out := p.out.String()
		code := p.ProcessState.ExitCode()
		if code == generatorFault && strings.Contains(out, "the generator was the bottleneck") {
			code = inconclusive // a busy machine, and the command says so
		}
		if code != inconclusive || !strings.Contains(out, "interrupted") || after > 0 && !strings.Contains(out, " stopped;") {
			t.Errorf("exit code %d:\n%s%s", p.ProcessState.ExitCode(), out, p.errs.String())
		}
		whole := new(loadtest.Report)
		data, err := os.ReadFile(name("r.json"))
		if err == nil {
			err = json.Unmarshal(data, whole)
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name("r.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := loadtest.Summarise(f)
		_ = f.Close() // it was only read
		if err != nil || results.Sent != whole.Sent || !cmp.Equal(results.Classes, whole.Classes) || !whole.Interrupted {
			t.Errorf("%v: the file has %d results, the report %d", err, results.Sent, whole.Sent)
		}
		page, err := os.ReadFile(name("r.html"))
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(page)), "</html>") {
			t.Errorf("the page is cut off: %v", err)
		}
	}
}

// TestWorkersOfTheCommand runs two workers and a coordinator, each a process of
// its own.
func TestWorkersOfTheCommand(t *testing.T) {
	env := []string{tokenVar + "=a token for these tests"}
	url, stop, err := startModel(modeltest.DefaultModel)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var urls, files []string
	var workers []*process
	for i := range 2 {
		file := filepath.Join(t.TempDir(), "worker.jsonl")
		w := start(t, env, "serve-worker", "-listen", "127.0.0.1:0", "-results", file)
		select {
		case line := <-w.first:
			urls, files, workers = append(urls, line[strings.Index(line, "http"):]), append(files, file), append(workers, w)
		case <-time.After(time.Minute):
			t.Fatalf("worker %d does not begin: %s", i, w.errs.String())
		}
	}
	report := filepath.Join(t.TempDir(), "r.json")
	c := start(t, env, "attack", "-url", url, "-workers", strings.Join(urls, ","), "-duration", "1s", "-rate", "50", "-arrivals", "constant", "-output", "3", "-json", report)
	_ = c.Wait() // the exit code is checked
	out := c.out.String()
	if !strings.Contains(out, "Requests  50 sent") || !strings.Contains(out, "share 2 of 2") || strings.Contains(out, "MISSING") {
		t.Errorf("exit code %d:\n%s%s", c.ProcessState.ExitCode(), out, c.errs.String())
	}
	for _, w := range workers {
		if err := w.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(); err != nil {
			t.Errorf("%v: %s", err, w.errs.String())
		}
	}
	if code, again, errs := command(t, append([]string{"report"}, files...)...); code != 0 && code != generatorFault || !strings.Contains(again, "50 sent") {
		t.Errorf("the workers' own results: %d\n%s%s", code, again, errs)
	}
}

// TestKeysComeFromTheEnvironment looks at what a server gets, and at what is
// written.
func TestKeysComeFromTheEnvironment(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		http.Error(w, "no such key: "+r.Header.Get("X-Key")+" "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	}))
	defer server.Close()
	results := filepath.Join(t.TempDir(), "r.jsonl")
	var o, e bytes.Buffer
	env := map[string]string{"OPENAI_API_KEY": "sk-0123456789", "TENANT": "tenant-0123456789"}
	run(t.Context(), console{out: &o, err: &e, getenv: func(name string) string { return env[name] }},
		[]string{"attack", "-url", server.URL, "-header", "X-Key: ${TENANT}", "-duration", "200ms", "-rate", "10", "-in-flight", "1", "-arrivals", "constant", "-results", results})
	file, err := os.ReadFile(results)
	if err != nil || got.Get("X-Key") != "tenant-0123456789" || got.Get("Authorization") != "Bearer sk-0123456789" {
		t.Errorf("%v, header %v", err, got)
	}
	if all := o.String() + e.String() + string(file); strings.Contains(all, "0123456789") || !strings.Contains(all, "[secret]") {
		t.Errorf("a key is written:\n%s", all)
	}
}

// TestServerMetrics shows what a server reports about itself.
func TestServerMetrics(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "vllm:num_requests_running 3\n")
	}))
	defer server.Close()
	code, out, errs := command(t, "attack", "-duration", "500ms", "-output", "4", "-server-metrics", "vllm="+server.URL, "-hourly-price", "8")
	if code != 0 && code != inconclusive || !strings.Contains(out, "running 3") || !strings.Contains(out, "for a million good tokens") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	for _, args := range [][]string{
		{"-server-metrics", server.URL}, {"-server-metrics", "ollama=" + server.URL}, {"-server-metrics", "vllm=host:8000"}, {"-hourly-price", "8"}, {"-server-metrics", "vllm=" + server.URL, "-hourly-price", "-1"},
	} {
		if code, _, errs := command(t, append([]string{"attack", "-duration", "500ms"}, args...)...); code != 2 || errs == "" {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}
