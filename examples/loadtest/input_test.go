package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest"
)

// resultsFile writes a file of n good results and returns its name and its content.
func resultsFile(t *testing.T, name string, n int) (path, content string) {
	t.Helper()
	var b bytes.Buffer
	w, err := loadtest.NewWriter(&b, loadtest.JSONLines, "test", "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		due := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * time.Second)
		w.Write(loadtest.Result{Seq: uint64(i), Prompt: -1, Due: due, Sent: due, Class: analysis.OK, Status: 200, Latency: time.Millisecond})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b.String()
}

// piped runs a command with a standard input.
func piped(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), console{in: strings.NewReader(stdin), piped: true, out: &o, err: &e, getenv: func(string) string { return "" }}, args)
	return code, o.String(), e.String()
}

func TestReportReadsPipes(t *testing.T) {
	file, content := resultsFile(t, "r.jsonl", 30)
	saved := filepath.Join(t.TempDir(), "r.json")
	code, want, errs := command(t, "report", "-json", saved, file)
	if code != 0 || !strings.Contains(want, "30 sent") {
		t.Fatalf("%d\n%s%s", code, want, errs)
	}
	indented, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	for name, stdin := range map[string]string{
		"results": content, "without the last newline": strings.TrimSuffix(content, "\n"), "a report": string(indented), "with CRLF": strings.ReplaceAll(content, "\n", "\r\n"),
	} {
		for _, args := range [][]string{{"report"}, {"report", "-"}} {
			if code, out, errs := piped(t, stdin, args...); code != 0 || !strings.Contains(out, "30 sent") {
				t.Errorf("%s, %q: %d\n%s%s", name, args, code, out, errs)
			}
		}
	}
	if code, out, errs := piped(t, strings.TrimSuffix(content, "\n"), "report", "-", file); code != 0 || !strings.Contains(out, "60 sent") {
		t.Errorf("a pipe and a file: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := piped(t, string(indented), "report", "-", saved); code != 0 || !strings.Contains(out, "60 sent") {
		t.Errorf("two reports: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := piped(t, content, "compare", file, "-"); code == wrongUse || !strings.HasPrefix(out, "Verdict") {
		t.Errorf("compare with a pipe: %d\n%s%s", code, out, errs)
	}
}

func TestBadInput(t *testing.T) {
	file, content := resultsFile(t, "good.jsonl", 3)
	saved := filepath.Join(t.TempDir(), "r.json")
	if code, _, errs := command(t, "report", "-json", saved, file); code != 0 {
		t.Fatal(errs)
	}
	broken := filepath.Join(t.TempDir(), "broken.jsonl")
	if err := os.WriteFile(broken, []byte(strings.Replace(content, `"seq":1`, `"seq":-1`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var zip, rows bytes.Buffer
	z := gzip.NewWriter(&zip)
	w, err := loadtest.NewWriter(&rows, loadtest.CSV, "test", "http://127.0.0.1")
	if err == nil {
		w.Write(loadtest.Result{Sent: time.Unix(1_700_000_000, 0), Status: 200})
		_, err = z.Write([]byte(content))
	}
	if err := errors.Join(err, z.Close(), w.Flush()); err != nil {
		t.Fatal(err)
	}
	zipped, table := textFile(t, "r.jsonl.gz", zip.String()), textFile(t, "r.csv", rows.String())
	alias := filepath.Join(t.TempDir(), "alias.jsonl")
	if err := os.Symlink(file, alias); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, want string
	}{
		{"report " + file + " " + broken, broken + ": loadtest: results: line 2: json"},
		{"report " + broken + " " + file, broken + ": loadtest: results: line 2: json"},
		{"report -type vegeta " + file + " " + broken, broken + ": loadtest: results: line 2: json"},
		{"report " + file + " " + saved, "want files of one kind"},
		{"report " + saved + " " + file, "want files of one kind"},
		{"report " + file + " " + file, "are one file"}, {"report " + file + " " + alias, "are one file"}, {"report " + saved + " " + saved, "are one file"}, {"report - -", "are one file"},
		{"report " + zipped, zipped + ": is gzip, want JSON lines: zcat " + zipped + " | loadtest report"}, {"compare " + file + " " + zipped, zipped + ": is gzip"},
		{"report " + table, table + ": is CSV, want results in JSON lines"}, {"report " + file + " " + table, table + ": is CSV"},
		{"report " + file + " -type vegeta", "-type comes after a file, want flags before files"}, {"compare " + file + " " + broken + " -html x", "-html comes after a file"}, {"report " + file + " /none", "/none: no such"},
		{"report -slo ttft=1s " + saved, saved + " is a report, which cannot be judged by another -slo"},
		{"report -type vegeta " + saved, "want results in JSON lines"},
		{"compare " + file + " " + saved, "want results in JSON lines"},
		{"report -threshold speed<=1 " + file, "Threshold.Metric is speed, want one of error rate, "},
		{"compare - -", "want a file for one of them"},
		{"compare " + file + " " + broken, broken + ": loadtest: results: line 2"}, {"compare " + broken + " " + file, broken + ": loadtest: results: line 2"},
		{"compare -slo ttft=1s -threshold latency<=1s " + file + " " + broken, "-slo, -threshold cannot be used"}, {"compare -abort -url http://a -candidate http://b", "-abort cannot be used"},
		{"compare -rate 5 -url http://a " + file + " " + broken, "-rate, -url cannot be used with files"}, {"compare -candidate http://b " + file + " " + broken, "-candidate cannot be used with files"},
	} {
		code, out, errs := command(t, strings.Fields(test.args)...)
		if code != wrongUse || !strings.Contains(errs, test.want) || out != "" && !strings.Contains(test.args, broken) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", test.args, code, wrongUse, test.want, out, errs)
		}
	}
	if code, _, errs := piped(t, `{"generator":`, "report"); code != wrongUse || !strings.Contains(errs, "-: unexpected EOF") {
		t.Errorf("half a report: %d, %s", code, errs)
	}
	one, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{string(one), "x"} {
		if code, out, errs := piped(t, string(one)+more, "report"); code != wrongUse || out != "" || !strings.Contains(errs, "-: more text after the report") {
			t.Errorf("a report and more: %d\n%s%s", code, out, errs)
		}
	}
	if code, _, errs := command(t, "report"); code != wrongUse || !strings.Contains(errs, "no files") {
		t.Errorf("no files: %d, %s", code, errs)
	}
	in := &input{names: []string{stdin}, stdin: brokenReader{}}
	if err := in.open(); !errors.Is(err, errBroken) {
		t.Errorf("a broken pipe: %v", err)
	}
}

// TestOldFilesAreKept does not empty a file of results before all else is known to work.
func TestOldFilesAreKept(t *testing.T) {
	keep, content := resultsFile(t, "keep.jsonl", 3)
	used, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	prompts := textFile(t, "p.jsonl", `{"prompt":"one"}`)
	for _, test := range []struct{ args, want string }{
		{"attack -results " + keep + " -format xml", "-format is \"xml\", want jsonl or csv"},
		{"attack -results " + keep + " -metrics " + used.Addr().String(), "-metrics: "},
		{"attack -results " + keep + " -html " + keep, "-results and -html are both"},
		{"attack -json x/../new -hdr new", "-json and -hdr are both"},
		{"attack -format xml", "-format has no effect without -results"},
		{"attack -prompts " + prompts + " -results " + prompts, "is a file that is read"},
		{"search -prompts " + prompts + " -html " + prompts, "is a file that is read"},
		{"compare -url http://127.0.0.1:1 -candidate http://127.0.0.1:1 -prompts " + prompts + " -html " + prompts, "is a file that is read"},
		{"attack -cacert " + keep + " -json " + keep + " -url https://127.0.0.1:1", "is a file that is read"},
		{"report -json " + keep + " " + keep, "is a file that is read"},
		{"serve-worker -format csv", "-format has no effect without -results"},
		{"serve-worker -join https://127.0.0.1:1 -format xml -results " + keep, "-format is \"xml\""},
	} {
		if code, out, errs := command(t, strings.Fields(test.args)...); code != wrongUse || !strings.Contains(errs, test.want) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s%s", test.args, code, wrongUse, test.want, out, errs)
		}
	}
	for name, want := range map[string]string{keep: content, prompts: `{"prompt":"one"}`} {
		if now, err := os.ReadFile(name); err != nil || string(now) != want {
			t.Errorf("%v: %s has %d bytes, had %d", err, name, len(now), len(want))
		}
	}
}

// TestNoSuccess has the exit code of runs without any good answer.
func TestNoSuccess(t *testing.T) {
	results := filepath.Join(t.TempDir(), "failed.jsonl")
	if code, out, errs := command(t, "attack", "-url", "http://127.0.0.1:1", "-n", "5", "-rate", "100", "-results", results); code != inconclusive && code != generatorFault {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	for _, args := range []string{
		"report " + results, "report -as vegeta " + results, "report -type vegeta " + results, "report -type hist[1s] " + results, "report " + textFile(t, "empty.jsonl", ""),
		"report -as vegeta " + textFile(t, "empty.jsonl", ""), "sweep -url http://127.0.0.1:1 -from 20 -to 60 -steps 3 -duration 100ms",
	} {
		code, out, errs := command(t, strings.Fields(args)...)
		if code == generatorFault && strings.Contains(out+errs, "generator was the bottleneck") {
			continue // a busy machine, and the command says so
		}
		if code != inconclusive {
			t.Errorf("%s: exit code %d, want %d\n%s%s", args, code, inconclusive, out, errs)
		}
	}
}

// TestCutFileIsNotConclusive reports on a file that ends within a line, whose other
// requests keep the threshold.
func TestCutFileIsNotConclusive(t *testing.T) {
	_, content := resultsFile(t, "r.jsonl", 100)
	cut := textFile(t, "cut.jsonl", content[:len(content)-40])
	page, saved := filepath.Join(t.TempDir(), "r.html"), filepath.Join(t.TempDir(), "r.json")
	code, out, errs := command(t, "report", "-threshold", "error rate <= 10%", "-html", page, "-json", saved, cut)
	want := cut + ": loadtest: results: line 100: "
	if first, _, _ := strings.Cut(out, "\n"); code != wrongUse || !strings.HasPrefix(first, "Verdict   not conclusive: the results are incomplete: "+want) || !strings.Contains(out, "99 sent") || !strings.Contains(errs, want) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	for _, file := range []string{page, saved} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "not conclusive: the results are incomplete: "+want) {
			t.Errorf("%v: %s has another verdict", err, file)
		}
	}
	if code, out, errs = command(t, "report", saved); code != inconclusive || !strings.Contains(out, want) {
		t.Errorf("the report read again: %d\n%s%s", code, out, errs)
	}
}

var errBroken = errors.New("broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }
