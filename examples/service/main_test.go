package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/loadtest/modeltest"
)

// run starts the service, and ends it with the test or when stop is called.
func run(t *testing.T, env map[string]string) (users, admin string, stop func()) {
	t.Helper()
	env["ADDR"], env["ADMIN_ADDR"], env["DRAIN_NOTICE"] = "127.0.0.1:0", "127.0.0.1:0", "-1ns"
	if env["STATE_DIR"] == "" {
		env["STATE_DIR"] = t.TempDir()
	}
	var c config
	if err := envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &c, Lookuper: envconfig.MapLookuper(env)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan [2]string, 1), make(chan error, 1)
	go func() {
		done <- serve(ctx, c, slog.New(slog.DiscardHandler), func(users, admin string) { ready <- [2]string{users, admin} })
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case at := <-ready:
		return "http://" + at[0], "http://" + at[1], stop
	case err := <-done:
		done <- nil
		t.Fatal(err)
		return "", "", nil
	}
}

// model serves a healthy model.
func model(t *testing.T) string {
	t.Helper()
	lm, err := modeltest.New(modeltest.Config{Seed: 1, Length: 8})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(lm)
	t.Cleanup(s.Close)
	return s.URL
}

func request(t *testing.T, method, url, user string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// phase returns the phase of the newest rollout.
func phase(t *testing.T, admin string) string {
	t.Helper()
	code, body := request(t, http.MethodGet, admin+"/rollout", "ana")
	var st struct{ Phase string }
	if err := json.Unmarshal([]byte(body), &st); code != http.StatusOK || err != nil {
		t.Fatalf("status %d, %v: %s", code, err, body)
	}
	return st.Phase
}

// fails rolls out a candidate that fails every request. Users see no error, it is
// rolled back, and the service remembers that when it is started again.
func fails(t *testing.T, env map[string]string) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of memory", http.StatusInternalServerError)
	}))
	t.Cleanup(broken.Close)
	env["STABLE_URL"], env["CANDIDATE_URL"] = model(t), broken.URL
	env["ROLLOUT_TICK"] = "10ms"
	users, admin, stop := run(t, env)
	if code, body := request(t, http.MethodPost, admin+"/rollout/start", "ana"); code != http.StatusOK {
		t.Fatalf("start: status %d: %s", code, body)
	}
	n := 0
	for ; phase(t, admin) != "rolled back"; n++ {
		if n == 20_000 {
			t.Fatalf("after %d requests the candidate is %s", n, phase(t, admin))
		}
		code, answer := request(t, http.MethodGet, users+"/ask?q=What+is+light", "user "+strconv.Itoa(n))
		if code != http.StatusOK || strings.TrimSpace(answer) == "" {
			t.Fatalf("request %d: status %d: %q", n, code, answer)
		}
	}
	t.Logf("rolled back after %d requests", n)
	stop()
	_, admin, _ = run(t, env)
	if got := phase(t, admin); got != "rolled back" {
		t.Errorf("after a restart the rollout is %s", got)
	}
}

func TestCandidateFailsWithFile(t *testing.T) {
	fails(t, map[string]string{"STATE_DIR": t.TempDir()})
}

func TestCandidateFailsWithPostgreSQL(t *testing.T) {
	dir := t.TempDir()
	fails(t, map[string]string{"STATE_DIR": dir, "DATABASE_URL": postgres(t)})
	if _, err := os.Stat(filepath.Join(dir, "service.db")); err == nil {
		t.Error("the rollout was stored in a file")
	}
}

// TestCommands gives commands to a rollout of the models in this process.
func TestCommands(t *testing.T) {
	users, admin, _ := run(t, map[string]string{})
	if code, answer := request(t, http.MethodGet, users+"/ask", "ana"); code != http.StatusOK || answer == "" {
		t.Errorf("status %d: %q", code, answer)
	}
	for _, command := range []string{"start", "pause", "resume", "abort"} {
		if code, body := request(t, http.MethodPost, admin+"/rollout/"+command, "ana"); code != http.StatusOK {
			t.Errorf("%s: status %d: %s", command, code, body)
		}
	}
	for _, command := range []string{"abort", "nonsense"} {
		if code, _ := request(t, http.MethodPost, admin+"/rollout/"+command, "ana"); code != http.StatusConflict {
			t.Errorf("%s after the end: status %d", command, code)
		}
	}
}

// TestModelDown stops the only model that has traffic.
func TestModelDown(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	users, _, _ := run(t, map[string]string{"STABLE_URL": down.URL})
	if code, _ := request(t, http.MethodGet, users+"/ask", "ana"); code != http.StatusBadGateway {
		t.Errorf("status %d", code)
	}
}

// postgres starts a PostgreSQL server and returns its URL, or skips the test.
func postgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		t.Skip("needs PostgreSQL: apt-get install postgresql")
	}
	bin := found[len(found)-1]
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var as *syscall.SysProcAttr
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("needs a user postgres, since this is root: apt-get install postgresql")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	data := filepath.Join(dir, "data")
	program := func(name string, args ...string) error {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, as
		return cmd.Run() // output would keep pg_ctl waiting for its server
	}
	if err := program("initdb", "-D", data, "-A", "trust", "-U", "serin", "--no-sync"); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("-p %d -k %s -c listen_addresses=127.0.0.1", port, dir)
	if err := program("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", options, "start"); err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Fatalf("%v\n%s", err, text)
	}
	t.Cleanup(func() { _ = program("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop") })
	return fmt.Sprintf("postgres://serin@127.0.0.1:%d/postgres?sslmode=disable", port)
}

// TestProbesAndMetrics asks what Kubernetes and Prometheus ask. The metrics have the names
// of the golden file that both exporters of the router are held to.
func TestProbesAndMetrics(t *testing.T) {
	users, admin, _ := run(t, map[string]string{"STABLE_URL": model(t), "CANDIDATE_URL": model(t)})
	for _, path := range []string{"/livez", "/startupz", "/readyz"} {
		code := 0
		for range 10_000 { // until the first results are there
			if code, _ = request(t, http.MethodGet, admin+path, ""); code == http.StatusOK {
				break
			}
		}
		if code != http.StatusOK {
			t.Errorf("%s: status %d", path, code)
		}
	}
	for range 20 {
		if code, _ := request(t, http.MethodGet, users+"/ask?q=What+is+light", "ana"); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
	}
	code, body := request(t, http.MethodGet, admin+"/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("metrics: status %d: %s", code, body)
	}
	for _, want := range []string{
		`gen_ai_client_inference_duration_seconds_count{`, `gen_ai_client_inference_time_to_first_chunk_seconds_bucket{`,
		`gen_ai_client_inference_usage_output_tokens_total{`, `serin_traffic_time_per_output_token_seconds_sum{`,
		`serin_traffic_requests_total{`, `serin_traffic_weight{`, `serin_arm="1.4.0"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics do not contain %s", want)
		}
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("needs promtool: apt-get install prometheus")
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
