package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/modeltest"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/strategies"
)

var update = flag.Bool("update", false, "write the golden files anew")

var binary struct {
	sync.Once
	path string
	err  error
}

// program prepares the program, as a process of its own with its files in dir.
// It is built without the race detector even when the test has it: its load is
// open-loop, and a machine that is ten times slower could not carry it.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("runs for half a minute")
	}
	binary.Do(func() {
		binary.path = filepath.Join(os.TempDir(), fmt.Sprintf("serin-quickstart-test-%d", os.Getpid()))
		var out []byte
		if out, binary.err = exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput(); binary.err != nil {
			binary.err = fmt.Errorf("%w\n%s", binary.err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	cmd := exec.Command(binary.path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CI=1")
	return cmd
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.path != "" {
		os.Remove(binary.path)
	}
	os.Exit(code)
}

// skipOverload skips a test in which a rollout ended because both models slowed down, or the
// good one did when it had all traffic, on a machine on which one answer in a hundred took
// seconds: the rollout was right.
func skipOverload(t *testing.T, out []byte, err error) {
	t.Helper()
	slow := regexp.MustCompile(`(?m)^load .*TTFT .*p99 (\S+),`).FindSubmatch(out)
	ended := bytes.Contains(out, []byte("without an end of the incident")) || bytes.Contains(out, []byte("1.5.0 has become worse"))
	if err == nil || slow == nil || !ended {
		return
	}
	if p99, err := time.ParseDuration(string(slow[1])); err == nil && p99 > time.Second {
		t.Skipf("the machine is too busy to carry the load:\n%s", out)
	}
}

// TestAllThree runs the whole demonstration, faster than by default.
func TestAllThree(t *testing.T) {
	dir := t.TempDir()
	out, err := program(t, dir, "-speed", "2", "-rate", "300").CombinedOutput()
	skipOverload(t, out, err)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)^1\.4\.0 -> 1\.5\.0 +promoted +\d+ +- .* 0$`,
		`(?m)^1\.5\.0 -> 1\.6\.0 +rolled back +\d+ .* 0$`,
		`(?m)^1\.5\.0 -> 1\.6\.1 +rolled back +\d+ .* 0$`,
		`(?m)^✓ 1\.5\.0 -> 1\.6\.0  rolled back after .*: (ttft|latency) is worse`,
		`(?m)^✓ 1\.5\.0 -> 1\.6\.1  rolled back after .*: error rate is worse`,
		`chain verified`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the output does not match %s", want)
		}
	}
	if bytes.Contains(out, []byte("\x1b")) {
		t.Error("escapes in the output, though it is no terminal")
	}
	checkReport(t, filepath.Join(dir, "serin-report.html"))
	checkAudit(t, filepath.Join(dir, "serin-audit.jsonl"), 3)
	if t.Failed() {
		t.Logf("output:\n%s", out)
	}
}

func checkReport(t *testing.T, path string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page); n == 0 || n > 150<<10 {
		t.Errorf("the report has %d bytes, want at most 150 KiB", n)
	}
	if m := regexp.MustCompile(`(?i)<script|<link|<img|\bsrc=|url\(|https?://|ZgotmplZ|\bNaN\b`).Find(page); m != nil {
		t.Errorf("the report contains %q; it must need nothing else", m)
	}
	if n := strings.Count(string(page), "<svg"); n < 2 {
		t.Errorf("the report has %d plots", n)
	}
}

func checkAudit(t *testing.T, path string, rollouts int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var prev rollout.Event
	dec := json.NewDecoder(f)
	for {
		var ev rollout.Event
		if err := dec.Decode(&ev); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if err := ev.Verify(prev); err != nil {
			t.Fatal(err)
		}
		if prev = ev; ev.Kind == rollout.Ended {
			rollouts--
			prev = rollout.Event{}
		}
	}
	if rollouts != 0 {
		t.Errorf("%d rollouts are missing in the trail", rollouts)
	}
}

// TestKilled kills the program with SIGKILL in the second stage. Started again
// with the same store it goes on there, and comes to the same end.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-only", "1", "-speed", "2", "-rate", "300"}
	first := program(t, dir, args...)
	pipe, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	var before []string
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		before = append(before, lines.Text())
		if strings.Contains(lines.Text(), "stage canary 25%") {
			break
		}
	}
	time.Sleep(500 * time.Millisecond) // somewhere within the stage
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Fatalf("the program ended by itself:\n%s", strings.Join(before, "\n"))
	}

	// What the store says at this moment.
	if stage, phase := stored(t, filepath.Join(dir, "serin.db")); stage != 1 || phase != strategies.Baking {
		t.Fatalf("killed in stage %d, %v; want 1, baking", stage, phase)
	}
	out, err := program(t, dir, args...).CombinedOutput()
	skipOverload(t, out, err)
	if err != nil {
		t.Fatalf("after the restart: %v\n%s", err, out)
	}
	var stages []string
	for _, m := range regexp.MustCompile(`#\d+ +(stage canary \S+|continued in stage canary \S+|promoted):`).FindAllSubmatch(out, -1) {
		stages = append(stages, string(m[1]))
	}
	want := []string{"stage canary 5%", "stage canary 25%", "continued in stage canary 25%", "stage canary 50%", "stage canary 100%", "promoted"}
	if diff := cmp.Diff(want, stages); diff != "" {
		t.Errorf("the story after the restart (-want +got):\n%s\n%s", diff, out)
	}
	checkAudit(t, filepath.Join(dir, "serin-audit.jsonl"), 1)
}

// stored tells where the rollout of a store's only target stands.
func stored(t *testing.T, path string) (stage int, phase strategies.Phase) {
	t.Helper()
	store, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	entry, err := store.Get(t.Context(), "rollout/chat")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Doc struct {
			Stage int
			Phase strategies.Phase
		}
	}
	if err := json.Unmarshal(entry.Value, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Doc.Stage, doc.Doc.Phase
}

// TestYourServers runs the canary against servers that it did not start. By design
// up to one in twenty candidates that are equal is rolled back, and more are on a
// machine that is busy with one of the servers; three in a row are not. Where requests
// take fifty times as long as the models do, equal candidates cannot be compared, and
// the test only demands an outcome without errors for users.
func TestYourServers(t *testing.T) {
	args := []string{"-speed", "10", "-rate", "200", "-model", "my-model"}
	for _, name := range []string{"-baseline", "-candidate"} {
		lm, err := modeltest.New(modeltest.Config{
			Models: []string{"my-model"}, Length: 12, TTFT: 10 * time.Millisecond, TimePerToken: time.Millisecond, Jitter: 0.2,
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(lm)
		defer server.Close()
		args = append(args, name, server.URL)
	}
	promoted := regexp.MustCompile(`(?m)^1\.0\.0 -> 1\.1\.0 +promoted`)
	outcome := regexp.MustCompile(`(?m)^1\.0\.0 -> 1\.1\.0 +(?:promoted|rolled back) .* 0 of \d+, 0 by`)
	slow := regexp.MustCompile(`TTFT p50 \S+, p99 (\S+),`)
	busy := false
	var out []byte
	for range 3 {
		var err error
		if out, err = program(t, t.TempDir(), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if promoted.Match(out) {
			return
		}
		t.Logf("an equal candidate was not promoted:\n%s", out)
		if m := slow.FindSubmatch(out); m != nil && outcome.Match(out) {
			p99, err := time.ParseDuration(string(m[1]))
			busy = busy || err == nil && p99 > 500*time.Millisecond
		}
	}
	if busy {
		t.Skip("the machine was too busy to compare two models that answer within 10 ms")
	}
	t.Error("an equal candidate was not promoted three times")
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		want string // in the error; "" means none
	}{
		{nil, nil, ""},
		{[]string{"-speed", "0"}, nil, "-speed is 0"},
		{[]string{"-only", "4", "-speed", "99"}, nil, "-speed is 99, want 0.1 to 10\n-only is 4, want 0 to 3"},
		{[]string{"-baseline", "http://127.0.0.1:1"}, nil, "want both or neither"},
		{nil, map[string]string{"SERIN_BASELINE": "http://a", "SERIN_CANDIDATE": "http://b"}, ""},
		{nil, map[string]string{"SERIN_SPEED": "fast"}, "Speed"},
		{[]string{"-rate", "-1"}, nil, "-rate is -1"},
		{[]string{"now"}, nil, `"now"`},
		{[]string{"-sped", "1"}, nil, "-sped"},
	} {
		_, err := parse(context.Background(), c.args, envconfig.MapLookuper(c.env), io.Discard)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%v, %v: %v", c.args, c.env, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v, %v: error %v does not say %q", c.args, c.env, err, c.want)
		}
	}
}

// TestBadStore: a file that is no store is named, and left as it is.
func TestBadStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serin.db")
	if err := os.WriteFile(path, []byte("This is not a store.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(t.Context(), []string{"-store", path}, envconfig.MapLookuper(nil), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), c, io.Discard); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("run over a text file = %v, want an error with its path", err)
	}
}

// TestFrame compares the live frame with its golden file, and looks at widths.
func TestFrame(t *testing.T) {
	f := frame{
		elapsed: 28 * time.Second, act: acts[1], nth: 2, of: 3, phase: "baking",
		stages: []string{"canary 5%", "canary 25%", "canary 50%", "canary 100%"}, stage: 1, baked: 3 * time.Second,
		split:  strategies.Split{Arms: []strategies.Arm{{Name: "1.5.0", Weight: 7500}, {Name: "1.6.0", Weight: 2500}}},
		served: map[string]int{"1.5.0": 1204, "1.6.0": 398},
		rows: []row{
			{"error rate", "0.54 %", "0.5 %", []float64{0, 1, 0, 0, 2}, analysis.Proof{E: 1, Limit: 100}, "safe"},
			{"ttft", "25 ms", "38.3 ms", []float64{20, 21, 30, 38, 40}, analysis.Proof{E: 213, Limit: 100}, "harmed"},
		},
		harm: analysis.Proof{E: 42.6, Limit: 20}, verdict: "harmed",
		waiting: "ttft is worse: " + strings.Repeat("candidate 38.3 ms against 25 ms ", 5),
		load:    "400 requests/s, 1602 sent, 9 errors seen by users, 0 dropped",
		past:    []string{"✓ 1.4.0 -> 1.5.0  promoted after 27.3s"},
	}
	lines := f.paint(100, false)
	for _, l := range lines {
		if n := len([]rune(l)); n > 100 {
			t.Errorf("%d columns, want at most 100: %s", n, l)
		}
	}
	if n := len(f.paint(100, true)); n != len(lines) {
		t.Errorf("%d lines in colour, %d without", n, len(lines))
	}
	golden := filepath.Join("testdata", "frame.txt")
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("frame (-want +got), run with -update if it is meant:\n%s", diff)
	}
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{nil, "    "},
		{[]float64{0, 0}, "  ▁▁"},
		{[]float64{1, 2, 4, 8}, "▂▃▅█"},
		{[]float64{9, 9, 1, 2, 4, 8}, "▂▃▅█"},
	} {
		if got := spark(c.values, 4); got != c.want {
			t.Errorf("spark(%v) = %q, want %q", c.values, got, c.want)
		}
	}
}
