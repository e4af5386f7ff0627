package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hold is how long the streams of TestTermination last after the signal.
var hold = flag.Duration("hold", 0, "let the streams of TestTermination go on for this long after SIGTERM, such as 30s")

// program builds the gateway once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "gateway")
	out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if name, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// process is a gateway in a process of its own.
type process struct {
	running
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	log bytes.Buffer
}

// command returns a gateway that is about to start.
func command(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience+*hold)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GATEWAY_ADDR=127.0.0.1:0", "GATEWAY_ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// launch starts a process and waits until it listens.
func launch(t *testing.T, env map[string]string) *process {
	t.Helper()
	p := &process{cmd: command(t, env), done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens := make(chan struct{})
	go func() {
		defer close(p.done)
		for sc := bufio.NewScanner(stderr); sc.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.log, sc.Text())
			p.mu.Unlock()
			if _, addrs, ok := strings.Cut(sc.Text(), `msg="gateway listens" callers=`); ok {
				callers, admin, _ := strings.Cut(addrs, " admin=")
				p.base, p.admin = "http://"+callers, "http://"+admin
				close(listens)
			}
		}
		_ = p.cmd.Wait() // the state says how it ended
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	select {
	case <-listens:
	case <-p.done:
		t.Fatalf("the gateway ended: %s", p.text())
	}
	p.running = p.started(t)
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ended waits until the process has ended, and checks its code and its last line.
func (p *process) ended(t *testing.T, code int, line string) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("the process goes on: %s", p.text())
	}
	lines := strings.Split(strings.TrimSpace(p.text()), "\n")
	if got := p.cmd.ProcessState.ExitCode(); got != code || !strings.Contains(lines[len(lines)-1], line) {
		t.Errorf("exit code %d, want %d and a line with %q at the end:\n%s", got, code, line, p.text())
	}
}

// held is a model whose streams go on until they are released.
type held struct {
	*httptest.Server
	begun   atomic.Int64
	release chan struct{}
}

func newHeld(t *testing.T) *held {
	h := &held{release: make(chan struct{})}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		chunk := func(delta, finish string) {
			fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n", delta, finish)
			_ = http.NewResponseController(w).Flush()
		}
		chunk(`{"role":"assistant","content":"Light"}`, "null")
		h.begun.Add(1)
		select {
		case <-h.release:
			chunk("{}", `"stop"`)
			fmt.Fprint(w, "data: [DONE]\n\n")
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(h.Server.Close)
	return h
}

// streams begins n streams and returns what waits for the last event of each.
func (h *held) streams(t *testing.T, base string, n int) (wait func() map[string]int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	t.Cleanup(client.CloseIdleConnections)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ends := map[string]int{}
	room := make(chan struct{}, 64) // for connections at a time
	for range n {
		wg.Go(func() {
			room <- struct{}{}
			resp, err := client.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"tinylm","stream":true,"messages":[{"role":"user","content":"What is light?"}]}`))
			<-room
			last := ""
			if err == nil {
				defer resp.Body.Close()
				sc := bufio.NewScanner(resp.Body)
				for sc.Scan() {
					if sc.Text() != "" {
						last = sc.Text()
					}
				}
				err = sc.Err()
			}
			if err != nil {
				last = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			ends[last]++
		})
	}
	until(t, "all streams have begun", func() bool { return h.begun.Load() == int64(n) })
	return func() map[string]int { wg.Wait(); return ends }
}

// refused waits until nothing listens at an address any more.
func refused(t *testing.T, base string) {
	t.Helper()
	until(t, "no connection is accepted", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// TestTermination: at SIGTERM 1,000 streams go on to their end, all are counted, none is
// cut, and the process ends with success after the last one. Meanwhile it is alive and not
// ready, and takes no connection.
func TestTermination(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	h := newHeld(t)
	p := launch(t, map[string]string{"STABLE_URL": h.URL, "DRAIN": "5m"})
	wait := h.streams(t, p.base, n)
	p.signal(t, syscall.SIGTERM)
	until(t, "not ready", func() bool { return status(t, p.admin+"/readyz") == http.StatusServiceUnavailable })
	refused(t, p.base)
	if code := status(t, p.admin+"/livez"); code != http.StatusOK {
		t.Errorf("while it drains it is not alive: %d", code)
	}
	if page := get(t, p.admin+"/metrics"); !strings.Contains(page, fmt.Sprintf(`serin_traffic_in_flight{serin_arm="1.4.0"} %d`, n)) {
		t.Errorf("not all %d streams are under way:\n%s", n, page)
	}
	time.Sleep(*hold)
	close(h.release)
	if ends := wait(); ends["data: [DONE]"] != n {
		t.Errorf("the streams end with %v", ends)
	}
	p.ended(t, 0, fmt.Sprintf(`msg="gateway ends" requests=%d cut=0`, n))
}

// get returns the body of a GET.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestTerminationTooLong: streams that take longer than DRAIN end with an error event, and
// count as cut.
func TestTerminationTooLong(t *testing.T) {
	const n = 100
	h := newHeld(t)
	p := launch(t, map[string]string{"STABLE_URL": h.URL, "DRAIN": "100ms"})
	wait := h.streams(t, p.base, n)
	p.signal(t, syscall.SIGTERM)
	total := 0
	for end, times := range wait() {
		total += times
		if !strings.HasPrefix(end, `data: {"error":{`) {
			t.Errorf("%d streams end with %q", times, end)
		}
	}
	if total != n {
		t.Errorf("%d streams ended", total)
	}
	p.ended(t, 0, fmt.Sprintf(`msg="gateway ends" requests=%d cut=%d`, n, n))
}

// TestNotice: after SIGTERM the gateway is not ready, and serves new connections for as
// long as DRAIN_DELAY. A second signal ends it, whatever is under way.
func TestNotice(t *testing.T) {
	h := newHeld(t)
	p := launch(t, map[string]string{"STABLE_URL": h.URL, "DRAIN_DELAY": "1h"})
	wait := h.streams(t, p.base, 1)
	p.signal(t, syscall.SIGTERM)
	until(t, "not ready", func() bool { return status(t, p.base+"/readyz") == http.StatusServiceUnavailable })
	for path, want := range map[string]int{"/livez": http.StatusOK, "/startupz": http.StatusOK, "/v1/models": http.StatusOK} {
		if code := status(t, p.base+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	p.signal(t, syscall.SIGTERM)
	p.ended(t, -1, "")
	if s, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v", s)
	}
	if ends := wait(); ends["data: [DONE]"] > 0 {
		t.Errorf("the stream ended with %v", ends)
	}
}

// TestReload: at SIGHUP keys are read again; a file with a mistake leaves those before in
// force.
func TestReload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{}")
	p := launch(t, map[string]string{"GATEWAY_KEYS": name})
	reads := 0
	for _, tt := range []struct {
		write func()
		want  int
	}{{func() {}, 401}, {func() { keys(t, name) }, 200}, {func() { write(`{"a": {"team": "x"}}`) }, 200}, {func() { write("{}") }, 401}} {
		tt.write()
		p.signal(t, syscall.SIGHUP)
		reads++
		until(t, "the keys were read", func() bool { return strings.Count(p.text(), "read again") == reads })
		if code, _ := call(t, "GET", p.base+"/v1/models", "a"); code != tt.want {
			t.Errorf("after %d signals: %d, want %d\n%s", reads, code, tt.want, p.text())
		}
	}
	p.signal(t, syscall.SIGTERM)
	p.ended(t, 0, "gateway ends")
}

// TestBadInput: a gateway that cannot start says what is wrong, and one that is only
// checked prints what its settings mean.
func TestBadInput(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) // after the parallel tests
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := file("good.json", "{\n\t\"STABLE_KEY\": \"${VENDOR_KEY}\",\n\t\"DRAIN\": \"1m\"\n}")
	for name, tt := range map[string]struct {
		env  map[string]string
		args []string
		code int
		want []string
	}{
		"unknown member":  {nil, []string{"-config", file("unknown.json", "{\n\t\"DRAIN\": \"1m\",\n\t\"DRIAN\": \"1m\"\n}")}, 1, []string{"unknown.json:3", "DRIAN"}},
		"no variable":     {nil, []string{"-config", good}, 1, []string{"good.json:2", "VENDOR_KEY"}},
		"not JSON":        {nil, []string{"-config", file("broken.json", "{\n\"DRAIN\" 1\n}")}, 1, []string{"broken.json:2"}},
		"no file":         {nil, []string{"-config", filepath.Join(dir, "none.json")}, 1, []string{"none.json"}},
		"no keys file":    {map[string]string{"GATEWAY_KEYS": filepath.Join(dir, "keys.json")}, nil, 1, []string{"keys.json", "no such file"}},
		"keys":            {map[string]string{"GATEWAY_KEYS": file("wrong.json", `{"secret": {"team": "x"}}`)}, nil, 1, []string{"wrong.json", "SHA-256"}},
		"prices":          {map[string]string{"GATEWAY_PRICES": file("prices.json", `{"m": {"inptu": 1}}`)}, nil, 1, []string{"prices.json", "inptu"}},
		"duration":        {map[string]string{"DRAIN": "ten"}, nil, 1, []string{"Drain", "ten"}},
		"URL":             {map[string]string{"CANDIDATE_URL": "localhost:1"}, nil, 1, []string{"1.5.0", "localhost:1"}},
		"versions":        {map[string]string{"CANDIDATE_VERSION": "1.4.0"}, nil, 1, []string{"Plan"}},
		"port in use":     {map[string]string{"GATEWAY_ADDR": taken.Addr().String()}, nil, 1, []string{taken.Addr().String(), "in use"}},
		"private port":    {map[string]string{"GATEWAY_ADMIN_ADDR": taken.Addr().String()}, nil, 1, []string{taken.Addr().String(), "in use"}},
		"check":           {map[string]string{"VENDOR_KEY": "s3cret"}, []string{"-config", good, "-check"}, 0, []string{"Drain:1m0s", "StableKey:***", "CandidateKey: ", "70"}},
		"check of a file": {nil, []string{"-config", good, "-check"}, 1, []string{"VENDOR_KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, tt.env, tt.args...)
			out, _ := cmd.CombinedOutput() // its end is in its state
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(string(out), "s3cret") {
				t.Errorf("a secret is printed:\n%s", out)
			}
		})
	}
}
