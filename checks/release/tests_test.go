package release_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/release"
)

const commit = "4be1c02d5f1e0a7b8c9d0e1f2a3b4c5d6e7f8091"

// run returns a run of tests of one commit.
func run(output string) func(context.Context) (release.TestRun, error) {
	return func(context.Context) (release.TestRun, error) {
		return release.TestRun{Output: io.NopCloser(strings.NewReader(output)), Commit: commit}, nil
	}
}

// check runs a check, and compares its status and a part of its summary.
func check(t *testing.T, name string, c checks.Check, want checks.Status, part string) checks.Result {
	t.Helper()
	r := c.Check(t.Context())
	if r.Status != want || !strings.Contains(r.Summary, part) {
		t.Errorf("%s: %v, %s (%v), want %v with %q", name, r.Status, r.Summary, r.Err, want, part)
	}
	return r
}

// TestGoTest runs the real go test on packages that pass, fail, panic, do not build, and so on.
func TestGoTest(t *testing.T) {
	files := map[string]string{
		"go.mod":            "module example.com/m\n\ngo 1.26\n",
		"good/good_test.go": "package good\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"one\", func(*testing.T) {}); t.Run(\"two\", func(*testing.T) {}) }\nfunc TestB(t *testing.T) {}\n",
		"skip/skip_test.go": "package skip\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Skip() }\n",
		"fail/fail_test.go": "package fail\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"one\", func(t *testing.T) { t.Error() }) }\nfunc TestB(t *testing.T) {}\n",
		"gone/gone_test.go": "package gone\nimport (\"testing\"; \"time\")\nfunc TestA(t *testing.T) { go panic(\"x\"); time.Sleep(time.Hour) }\n",
		"exit/exit_test.go": "package exit\nimport (\"testing\"; \"os\")\nfunc TestA(t *testing.T) { os.Exit(0) }\n",
		"main/main_test.go": "package main\nimport (\"testing\"; \"os\")\nfunc TestMain(m *testing.M) { os.Exit(1) }\n",
		"bad/bad_test.go":   "package bad\nimport \"testing\"\nfunc TestA(t *testing.T) { undefined() }\n",
		"none/none.go":      "package none\n",
	}
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	results := func(packages ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json", "-count=1"}, packages...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local")
		out, _ := cmd.Output() // it fails where tests fail
		if len(out) == 0 {
			t.Fatal("go test has printed nothing")
		}
		return string(out)
	}
	for _, tt := range []struct {
		name     string
		packages []string
		want     checks.Status
		part     string
	}{
		{"passes", []string{"./good", "./none"}, checks.Pass, "3 passed, 0 skipped, 0 failed at commit 4be1c02"},
		{"all skipped", []string{"./skip"}, checks.Fail, "0 tests ran, 1 were skipped"},
		{"one is skipped", []string{"./good", "./skip"}, checks.Fail, "want at most 0 skipped"},
		{"a subtest fails", []string{"./good", "./fail"}, checks.Fail, "1 failed: example.com/m/fail.TestA/one"},
		{"panics in a goroutine", []string{"./gone"}, checks.Fail, "0 tests ran"},
		{"exits with 0", []string{"./exit"}, checks.Fail, "0 tests ran"},
		{"exits before the tests", []string{"./main"}, checks.Fail, "0 tests ran"},
		{"does not build", []string{"./bad"}, checks.Fail, "0 tests ran"},
		{"does not build, beside one that passes", []string{"./bad", "./good"}, checks.Fail, "example.com/m/bad (does not build)"},
		{"has no tests", []string{"./none"}, checks.Fail, "0 tests ran"},
		{"is not there", []string{"./nowhere"}, checks.Fail, "nowhere"},
	} {
		out := results(tt.packages...)
		r := check(t, tt.name, release.Tests(release.TestsOptions{Open: run(out), Commit: commit, MaxAge: time.Hour}), tt.want, tt.part)
		if r.Evidence["commit"] != commit {
			t.Errorf("%s: evidence %v", tt.name, r.Evidence)
		}
	}
	whole := results("./good")
	for i := range whole {
		if r := release.Tests(release.TestsOptions{Open: run(whole[:i]), Commit: commit}).Check(t.Context()); r.Status.Opens() && strings.TrimSpace(whole[i:]) != "" {
			t.Fatalf("results that are cut at byte %d of %d: %v, %s", i, len(whole), r.Status, r.Summary)
		}
	}
	check(t, "doubled", release.Tests(release.TestsOptions{Open: run(whole + whole), Commit: commit}), checks.Unknown, "is there twice")
	check(t, "run twice", release.Tests(release.TestsOptions{Open: run(results("-count=2", "./good")), Commit: commit}), checks.Pass, "3 passed")
}

const event = `{"Time":"2026-11-28T10:00:00Z","Action":"start","Package":"m"}
{"Time":"2026-11-28T10:00:00Z","Action":"run","Package":"m","Test":"TestA"}
{"Time":"2026-11-28T10:00:01Z","Action":"pass","Package":"m","Test":"TestA"}
{"Time":"2026-11-28T10:00:01Z","Action":"pass","Package":"m"}
`

const junit = `<?xml version="1.0"?><testsuites tests="3"><testsuite name="m" tests="3" failures="0" errors="0" timestamp="2026-11-28T10:00:01">
<testcase classname="m" name="TestA"/><testcase classname="m" name="TestB"/><testcase classname="m" name="TestC"><skipped/></testcase></testsuite></testsuites>`

// TestResultsThatAreUnclear: what cannot be read, or is about something else, opens nothing.
func TestResultsThatAreUnclear(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "blanks": " \n\t", "no results": "hello", "HTML": "<html><body>Sign in</body></html>", "JSON of something else": `{"ok":true}`,
		"an action that is not known": `{"Action":"won","Package":"m"}`, "no package": `{"Action":"pass","Test":"TestA"}`,
		"a line of a program in between":    strings.Replace(event, "\n", "\nhello\n", 1),
		"XML that is cut":                   junit[:len(junit)-20],
		"a number of tests that is too low": strings.Replace(junit, `name="m" tests="3"`, `name="m" tests="4"`, 1),
		"failures that are not there":       strings.Replace(junit, `failures="0"`, `failures="1"`, 1),
		"a number that is a word":           strings.Replace(junit, `failures="0"`, `failures="none"`, 1),
		"a suite twice":                     strings.Replace(strings.Replace(junit, `<testsuites tests="3">`, `<testsuites>`, 1), "</testsuites>", junit[strings.Index(junit, `<testsuite name`):], 1),
		"a time that is a word":             strings.Replace(junit, "2026-11-28T10:00:01", "yesterday", 1),
		"two reports":                       junit + junit[21:],
		"an entity":                         `<!DOCTYPE x [<!ENTITY a "b">]><testsuite name="&a;"/>`,
		"suites in suites":                  "<testsuites>" + strings.Repeat("<testsuite>", 200) + strings.Repeat("</testsuite>", 200) + "</testsuites>",
	} {
		check(t, name, release.Tests(release.TestsOptions{Open: run(text), Commit: commit}), checks.Unknown, "test results: ")
	}
	broken := errors.New("disk on fire")
	check(t, "no file", release.Tests(release.TestsOptions{Open: func(context.Context) (release.TestRun, error) { return release.TestRun{}, broken }, Commit: commit}), checks.Unknown, "disk on fire")
	check(t, "no output", release.Tests(release.TestsOptions{Open: func(context.Context) (release.TestRun, error) { return release.TestRun{}, nil }, Commit: commit}), checks.Unknown, "are missing")
	check(t, "no such file", release.Tests(release.TestsOptions{Open: release.TestFile(filepath.Join(t.TempDir(), "x"), commit), Commit: commit}), checks.Unknown, "no such file")
}

// TestFailuresInOddPlaces: what has failed is found wherever a report says it.
func TestFailuresInOddPlaces(t *testing.T) {
	good := `<testcase name="a"/>`
	for name, tt := range map[string]struct {
		text string
		want checks.Status
	}{
		"a status in capitals":          {`<testsuite name="s"><testcase name="a" status="FAILED"/></testsuite>`, checks.Fail},
		"an error of the suite":         {`<testsuite name="s"><error message="setup"/>` + good + `</testsuite>`, checks.Fail},
		"a case in a case":              {`<testsuite><testcase name="a"><testcase name="b"><failure/></testcase></testcase></testsuite>`, checks.Unknown},
		"a status that is not known":    {`<testsuite><testcase name="a" status="perhaps"/></testsuite>`, checks.Unknown},
		"a disabled case alone":         {`<testsuite><testcase name="a" status="disabled"/></testsuite>`, checks.Fail},
		"a suite without a name twice":  {`<testsuites><testsuite>` + good + `</testsuite><testsuite>` + good + `</testsuite></testsuites>`, checks.Unknown},
		"a suite at two times":          {`<testsuites><testsuite name="s" timestamp="2026-11-28T10:00:01">` + good + `</testsuite><testsuite name="s" timestamp="2026-11-28T11:00:01">` + good + `</testsuite></testsuites>`, checks.Unknown},
		"one name below two others":     {`<testsuites><testsuite name="a"><testsuite name="s">` + good + `</testsuite></testsuite><testsuite name="b"><testsuite name="s">` + good + `</testsuite></testsuite></testsuites>`, checks.Pass},
		"a case without a suite":        {`<testsuites><properties/></testsuites>`, checks.Fail},
		"a build that fails at the end": {event + `{"ImportPath":"b","Action":"build-fail"}`, checks.Fail},
		"a build that fails alone":      {`{"ImportPath":"b","Action":"build-fail"}`, checks.Fail},
		"benchmarks": {strings.Replace(event, `{"Time":"2026-11-28T10:00:01Z","Action":"pass","Package":"m"}`,
			`{"Action":"run","Package":"m","Test":"BenchmarkX"}`+"\n"+`{"Action":"run","Package":"m","Test":"BenchmarkX/a"}`+"\n"+`{"Time":"2026-11-28T10:00:01Z","Action":"pass","Package":"m"}`, 1), checks.Pass},
	} {
		r := release.Tests(release.TestsOptions{Open: run(tt.text), Commit: commit, MaxSkips: -1}).Check(t.Context())
		if r.Status != tt.want {
			t.Errorf("%s: %v: %s", name, r.Status, r.Summary)
		}
	}
	many := "<testsuites>" + strings.Repeat("<testsuite/>", 1_000_000) + "</testsuites>"
	check(t, "a million suites", release.Tests(release.TestsOptions{Open: run(many), Commit: commit}), checks.Fail, "0 tests ran")
}

// TestReaderThatBlocks: a check ends with its context.
func TestReaderThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func(context.Context) (release.TestRun, error) {
			r, _ := io.Pipe()
			return release.TestRun{Output: r, Commit: commit}, nil
		}
		check(t, "blocks", release.Tests(release.TestsOptions{Open: open, Commit: commit}), checks.Unknown, "not read in time")
		waits := func(ctx context.Context) (release.TestRun, error) {
			<-ctx.Done()
			return release.TestRun{}, ctx.Err()
		}
		check(t, "waits", release.Tests(release.TestsOptions{Open: waits, Commit: commit}), checks.Unknown, "not read in time")
	})
}

func TestJUnit(t *testing.T) {
	any := func(text string) checks.Check {
		return release.Tests(release.TestsOptions{Open: run(text), Commit: commit, MaxSkips: -1})
	}
	check(t, "passes", any(junit), checks.Pass, "2 passed, 1 skipped, 0 failed")
	check(t, "with a byte order mark", any("\ufeff"+junit), checks.Pass, "2 passed")
	check(t, "one suite", any(`<testsuite name="m"><testcase name="a"/></testsuite>`), checks.Pass, "1 passed")
	check(t, "nothing in it", any(`<testsuites/>`), checks.Fail, "0 tests ran")
	for name, part := range map[string]string{
		"failure": `<testcase classname="m" name="TestA"><failure>no</failure></testcase>`, "error": `<testcase classname="m" name="TestA"><error/></testcase>`,
		"status": `<testcase classname="m" name="TestA" status="failed"/>`,
	} {
		check(t, name, any(strings.Replace(junit, `<testcase classname="m" name="TestA"/>`, part, 1)), checks.Fail, "m.TestA")
	}
}

// TestCommitAndAge: results of another commit, of another time, of a time in the future.
func TestCommitAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 11, 28, 10, 0, 1, 0, time.UTC)
		time.Sleep(time.Until(at.Add(time.Hour)))
		for _, tt := range []struct {
			name string
			o    release.TestsOptions
			want checks.Status
			part string
		}{
			{"as long as they may be", release.TestsOptions{MaxAge: time.Hour}, checks.Pass, "1 passed"},
			{"too old", release.TestsOptions{MaxAge: time.Hour - 1}, checks.Unknown, "1h0m0s old"},
			{"a cut commit", release.TestsOptions{Commit: commit[:7]}, checks.Pass, "4be1c02"},
			{"another commit", release.TestsOptions{Commit: "1111111"}, checks.Unknown, "of commit 4be1c02d5f1e, not 1111111"},
			{"any commit", release.TestsOptions{Commit: "", AnyCommit: true}, checks.Pass, "1 passed"},
			{"too few", release.TestsOptions{MinPassed: 2}, checks.Fail, "want at least 2 passed"},
		} {
			if tt.o.Commit == "" && !tt.o.AnyCommit {
				tt.o.Commit = commit
			}
			tt.o.Open = run(event)
			check(t, tt.name, release.Tests(tt.o), tt.want, tt.part)
		}
		future := strings.ReplaceAll(event, "T10:00:01", "T14:00:01")
		check(t, "in the future", release.Tests(release.TestsOptions{Open: run(future), Commit: commit}), checks.Unknown, "in the future")
		none := strings.ReplaceAll(strings.ReplaceAll(event, `"Time":"2026-11-28T10:00:00Z",`, ""), `"Time":"2026-11-28T10:00:01Z",`, "")
		check(t, "no time", release.Tests(release.TestsOptions{Open: run(none), Commit: commit, MaxAge: time.Hour}), checks.Unknown, "have no time")
		unsaid := func(context.Context) (release.TestRun, error) {
			return release.TestRun{Output: io.NopCloser(strings.NewReader(event))}, nil
		}
		check(t, "no commit", release.Tests(release.TestsOptions{Open: unsaid, Commit: commit}), checks.Unknown, "of commit nothing")
	})
}

func TestOptionsThatAreRefused(t *testing.T) {
	var invalid *checks.InvalidError
	for field, c := range map[string]checks.Check{
		"TestsOptions.Open":           release.Tests(release.TestsOptions{Commit: commit}),
		"TestsOptions.Commit":         release.Tests(release.TestsOptions{Open: run(event), Commit: "main"}),
		"TestsOptions.MaxAge":         release.Tests(release.TestsOptions{Open: run(event), Commit: commit, MaxAge: -1}),
		"TestsOptions.MinPassed":      release.Tests(release.TestsOptions{Open: run(event), Commit: commit, MinPassed: -1}),
		"EvalsOptions.Threshold":      release.Evals(release.EvalsOptions{Candidate: cases(nil), Threshold: 85}),
		"EvalsOptions.Margin":         release.Evals(release.EvalsOptions{Candidate: cases(nil), Threshold: 0.85, Margin: -1}),
		"EvalsOptions.MinCases":       release.Evals(release.EvalsOptions{Candidate: cases(nil), Threshold: 0.85, MinCases: -1}),
		"EvalsOptions.Candidate":      release.Evals(release.EvalsOptions{Threshold: 0.85}),
		"DocsOptions.Rules":           release.Docs(release.DocsOptions{FS: os.DirFS(".")}),
		"DocsOptions.FS":              release.Docs(release.DocsOptions{Rules: []release.DocRule{{Path: "a.md"}}}),
		"DocsOptions.Rules[0].Path":   release.Docs(release.DocsOptions{FS: os.DirFS("."), Rules: []release.DocRule{{Path: "../a.md"}}}),
		"Bump.manifests":              release.Bump(nil),
		"Changelog.Source":            release.Changelog(nil, version("1.5.0")),
		"Notes.Source":                release.Notes(nil, version("1.5.0")),
		"BuildOptions.Revision":       release.CleanBuild(release.BuildOptions{Revision: "main"}),
		"FilesOptions.FS":             release.Files(release.FilesOptions{Manifest: manifest("1.5.0")}),
		"FilesOptions.Manifest.Files": release.Files(release.FilesOptions{FS: os.DirFS(".")}),
	} {
		if r := c.Check(t.Context()); r.Status != checks.Unknown || !errors.As(r.Err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v, %v", field, r.Status, r.Err)
		}
	}
}

// TestDigests: each requirement changes the digest of a check.
func TestDigests(t *testing.T) {
	seen := make(map[string]string)
	for name, c := range map[string]checks.Check{
		"tests": release.Tests(release.TestsOptions{Open: run(event), Commit: commit}),
		"skips": release.Tests(release.TestsOptions{Open: run(event), Commit: commit, MaxSkips: 1}),
		"evals": release.Evals(release.EvalsOptions{Candidate: cases(nil), Threshold: 0.85}),
		"more":  release.Evals(release.EvalsOptions{Candidate: cases(nil), Threshold: 0.86}),
		"notes": release.Notes(text(""), version("1.5.0")), "log": release.Changelog(text(""), version("1.5.0")), "next": release.Changelog(text(""), version("1.6.0")),
	} {
		digest := c.(checks.Digester).Digest()
		if other, twice := seen[digest]; twice {
			t.Errorf("%s and %s have the digest %s", name, other, digest)
		}
		seen[digest] = name
	}
}

// FuzzTests: results of any form panic nowhere, and open only if a test has passed.
func FuzzTests(f *testing.F) {
	for _, seed := range []string{event, junit, "", "<", "{", `{"Action":"run","Package":"m","Test":"a/b/c"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := release.Tests(release.TestsOptions{Open: run(text), Commit: commit}).Check(t.Context())
		if r.Status.Opens() && !strings.Contains(text, "pass") && !strings.Contains(text, "testcase") {
			t.Errorf("%v: %s", r.Status, r.Summary)
		}
	})
}

func Example() {
	open := func(context.Context) (release.TestRun, error) {
		// Usually release.TestFile("test.json", commit).
		return release.TestRun{Output: io.NopCloser(strings.NewReader(event)), Commit: "4be1c02d5f1e"}, nil
	}
	r := release.Tests(release.TestsOptions{Open: open, Commit: "4be1c02"}).Check(context.Background())
	fmt.Println(r.Status, r.Summary)
	// Output:
	// pass 1 passed, 0 skipped, 0 failed at commit 4be1c02
}
