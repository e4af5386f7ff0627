package release

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// TestRun is the output of one run of tests.
type TestRun struct {
	// Output is what go test -json has printed, or a report in JUnit's XML. It is closed after
	// it was read.
	Output io.ReadCloser
	// Commit is the commit that was tested, in at least 7 hexadecimal digits. A run that does
	// not say it is of no commit.
	Commit string
}

// TestsOptions configures [Tests].
type TestsOptions struct {
	// Open returns the newest run. It is required.
	Open func(ctx context.Context) (TestRun, error) `json:"-"`
	// Commit is the commit that must have been tested, in at least 7 hexadecimal digits.
	// Default: the commit of the running program. AnyCommit accepts every commit, for tests that
	// recur.
	Commit    string
	AnyCommit bool
	// MaxAge is the largest age of the results, from the last time in them. Default 0: any.
	// Results without a time are Unknown if it is set.
	MaxAge time.Duration
	// MaxSkips is the largest number of tests that may be skipped. Default 0; negative: any.
	MaxSkips int
	// MinPassed is the least number of tests that have passed. Default 1.
	MinPassed int
}

// TestFile returns a function for [TestsOptions.Open] that opens a file of one commit.
func TestFile(path, commit string) func(context.Context) (TestRun, error) {
	return func(context.Context) (TestRun, error) {
		f, err := os.Open(path)
		if err != nil {
			return TestRun{}, err
		}
		return TestRun{Output: f, Commit: commit}, nil
	}
}

// Tests returns a check that tests have passed: of the commit that is deployed, none failed,
// few skipped. A test is one without subtests. Output of go test -json (cmd/test2json) and
// JUnit's XML are distinguished by their first character.
//
// Fail means that a test or a package has failed, does not build, or has ended without a
// result, as after a panic; that too many were skipped; that none has passed. Unknown means
// that the results are cut, empty, of another commit, too old, in the future, or that a
// package or a suite is in them twice. Evidence: passed, failed, skipped, commit, time.
func Tests(o TestsOptions) checks.Check {
	bad := &invalid{options: "TestsOptions"}
	if o.Open == nil {
		bad.add("Open", nil, "a function that opens the results")
	}
	bad.age("MaxAge", o.MaxAge)
	if o.MinPassed == 0 {
		o.MinPassed = 1
	}
	if o.MinPassed < 0 {
		bad.add("MinPassed", o.MinPassed, "a positive number, or 0 for 1")
	}
	if o.AnyCommit && o.Commit != "" {
		bad.add("Commit", o.Commit, "no commit, since AnyCommit is set")
	}
	if o.Commit == "" && !o.AnyCommit {
		o.Commit = builtFrom()
	}
	if !o.AnyCommit && !isCommit(o.Commit) {
		bad.add("Commit", o.Commit, "at least 7 hexadecimal digits; this program does not know its own")
	}
	return probing.New("tests", 0, o, bad.err(), func(ctx context.Context) checks.Result {
		run, err := o.Open(ctx)
		if err != nil {
			return unread(ctx, "test results", err)
		}
		if run.Output == nil {
			return unknown("the test results are missing")
		}
		defer closing(ctx, run.Output)()
		t, err := readTests(limited(ctx, run.Output))
		if err != nil {
			return unread(ctx, "test results", err)
		}
		return o.judge(t, run.Commit)
	})
}

// builtFrom returns the commit of the running program, or "".
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return setting(info, "vcs.revision")
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// isCommit reports whether s may be a commit, cut or whole.
func isCommit(s string) bool {
	return len(s) >= 7 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// sameCommit reports whether two commits are one, of which either may be cut.
func sameCommit(a, b string) bool {
	return isCommit(a) && isCommit(b) && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// tally is what results of tests say.
type tally struct {
	passed, skipped int
	failed          []string // names
	at              time.Time
}

// readTests reads results in either format.
func readTests(r io.Reader) (tally, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		c, err := b.ReadByte()
		if errors.Is(err, io.EOF) {
			return tally{}, errors.New("empty")
		}
		if err != nil {
			return tally{}, err
		}
		if strings.ContainsRune(" \t\r\n\ufeff\xef\xbb\xbf", rune(c)) || c == 0xef || c == 0xbb || c == 0xbf {
			continue
		}
		if err := b.UnreadByte(); err != nil {
			return tally{}, err
		}
		if c == '<' {
			return readJUnit(b)
		}
		return readGoTest(b)
	}
}

// judge compares results with what is required.
func (o *TestsOptions) judge(t tally, commit string) checks.Result {
	r := checks.Result{Evidence: map[string]string{"passed": strconv.Itoa(t.passed), "failed": strconv.Itoa(len(t.failed)), "skipped": strconv.Itoa(t.skipped)}}
	if isCommit(commit) {
		r.Evidence["commit"] = commit
	}
	if !t.at.IsZero() {
		r.Evidence["time"] = t.at.UTC().Format(time.RFC3339)
	}
	age := time.Since(t.at)
	text := fmt.Sprintf("%d passed, %d skipped, %d failed", t.passed, t.skipped, len(t.failed))
	with := func(other checks.Result) checks.Result { other.Evidence = r.Evidence; return other }
	switch {
	case len(t.failed) > 0:
		slices.Sort(t.failed)
		head := text
		if t.passed == 0 {
			head = "0 tests ran to a good end, " + text
		}
		return with(fail("%s: %s", head, some(t.failed)))
	case !o.AnyCommit && !sameCommit(commit, o.Commit):
		return with(unknown("the results are of commit %s, not %.12s", cmp.Or(fmt.Sprintf("%.12s", commit), "nothing"), o.Commit))
	case t.at.IsZero() && o.MaxAge > 0:
		return with(unknown("%s; the results have no time", text))
	case age < -clockSkew:
		return with(unknown("%s; the results are %v in the future", text, (-age).Round(time.Second)))
	case o.MaxAge > 0 && age > o.MaxAge:
		return with(unknown("%s; the results are %v old, want at most %v", text, age.Round(time.Second), o.MaxAge))
	case t.passed == 0:
		return with(fail("0 tests ran, %d were skipped", t.skipped))
	case t.passed < o.MinPassed:
		return with(fail("%s; want at least %d passed", text, o.MinPassed))
	case o.MaxSkips >= 0 && t.skipped > o.MaxSkips:
		return with(fail("%s; want at most %d skipped", text, o.MaxSkips))
	}
	r.Status, r.Summary = checks.Pass, text
	if isCommit(commit) {
		r.Summary += fmt.Sprintf(" at commit %.7s", commit)
	}
	return r
}

// some lists at most three names.
func some(names []string) string {
	more := ""
	if len(names) > 3 {
		more = fmt.Sprintf(" and %d more", len(names)-3)
		names = names[:3]
	}
	return strings.Join(names, ", ") + more
}
