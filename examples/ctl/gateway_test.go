package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/rollout/console/client"
)

// build builds a program of the examples.
func build(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", name, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

var listens = regexp.MustCompile(`msg="gateway listens".* admin=(\S+)`)

// gateway starts the gateway in a process of its own, and returns the address of its console.
func gateway(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), build(t, "../gateway"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GATEWAY_ADDR=127.0.0.1:0", "GATEWAY_ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s", "GATEWAY_TOKEN=secret")
	r, w := io.Pipe()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = w.Close()
	})
	log := bufio.NewScanner(r)
	for log.Scan() {
		if found := listens.FindStringSubmatch(log.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return "http://" + strings.TrimPrefix(found[1], "http://") + "/serin"
		}
	}
	t.Fatal("the gateway does not listen")
	return ""
}

// TestGateway: C37, the command starts and aborts a rollout of the gateway, as processes, and
// verifies an export of its audit trail.
func TestGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	t.Parallel()
	server, ctl := gateway(t), build(t, ".")
	dir := t.TempDir()
	call := func(args ...string) (code int, out string, errs string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), ctl, args...)
		cmd.Dir = dir
		cmd.Env = []string{"SERIN_SERVER=" + server, "SERIN_TOKEN=secret", "XDG_CONFIG_HOME=" + dir}
		var o, e bytes.Buffer
		cmd.Stdout, cmd.Stderr = &o, &e
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode(), o.String(), e.String()
	}
	want := func(code int, args ...string) string {
		t.Helper()
		got, out, errs := call(args...)
		if got != code {
			t.Fatalf("ctl %q: exit code %d, want %d\n%s%s", args, got, code, out, errs)
		}
		return out
	}
	for { // until the gateway has opened its store
		code, _, errs := call("list")
		if code == 0 {
			break
		}
		if err := pause(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(errs)
		}
	}
	plan, err := os.ReadFile("gateway.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "gateway.yaml"), plan, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range gatewayCommands(t) { // as the README has them
		want(0, strings.Fields(strings.ReplaceAll(line, "'", ""))...)
	}
	want(0, "start", "-f", "gateway.yaml", "-set", "strategy.canary.bake=2h")
	if s := decode[client.State](t, want(0, "status", "-o", "json")); s.Candidate != "1.5.0" || s.Outcome != "" || time.Duration(s.Bake) > 2*time.Hour {
		t.Errorf("%+v", s)
	}
	want(0, "abort", "-m", "enough")
	want(aborted, "status", "-watch")
	if err := os.WriteFile(filepath.Join(dir, "audit.jsonl"), []byte(want(0, "audit", "export")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := want(0, "audit", "verify", "audit.jsonl"); !strings.Contains(out, "sound") {
		t.Error(out)
	}
}
