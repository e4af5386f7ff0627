// Package promtest starts a real Prometheus for tests.
package promtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Start starts a Prometheus that scrapes target, the URL of a server, each second and
// evaluates the rules of the given files as often. It returns the URL of Prometheus, which
// may not listen yet, and stops it when the test ends. Without the program it skips the
// test.
func Start(t testing.TB, target string, rules ...string) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus in the path; on Debian: apt-get install prometheus")
	}
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files:\n")
	for _, file := range rules {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "- '%s'\n", file)
	}
	fmt.Fprintf(&config, "scrape_configs:\n- {job_name: gateway, static_configs: [{targets: ['%s']}]}\n", strings.TrimPrefix(target, "http://"))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // with the signal
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return "http://" + address
}
