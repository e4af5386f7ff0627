package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/versioning/changelog"
)

func TestChangelog(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	call := func(args ...string) (string, string, error) {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), append([]string{"-repo", dir}, args...), &stdout, &stderr)
		return stdout.String(), stderr.String(), err
	}
	git("init", "-q")
	if out, _, err := call(); err != nil || out != "No commits.\n" {
		t.Errorf("%q, %v", out, err)
	}
	git("commit", "-q", "--allow-empty", "-m", "feat: first")
	git("tag", "v1.0.0")
	if out, _, err := call(); err != nil || !strings.HasPrefix(out, "## v1.0.0 - ") {
		t.Errorf("%q, %v", out, err)
	}
	git("commit", "-q", "--allow-empty", "-m", "feat(api): second")
	git("commit", "-q", "--allow-empty", "-m", "wip")
	out, left, err := call()
	if err != nil || !strings.HasPrefix(out, "Next version: 1.1.0\nReason: ") || !strings.HasSuffix(out, "\n\n### Added\n\n- **api**: second\n") {
		t.Errorf("%q, %v", out, err)
	}
	if !strings.Contains(left, " wip: ") {
		t.Errorf("left out: %q", left)
	}
	if out, _, err := call("-from", "v1.0.0"); err != nil || !strings.HasPrefix(out, "Next version: 1.1.0\n") {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := call("-check"); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Errorf("before writing: %v", err)
	}
	for _, flag := range []string{"-write", "-check", "-write"} {
		if out, _, err := call(flag); err != nil {
			t.Errorf("%s: %q, %v", flag, out, err)
		}
	}
	git("commit", "-q", "--allow-empty", "-m", "fix: third")
	if _, _, err := call("-check"); err == nil {
		t.Error("not stale after another commit")
	}
	if _, _, err := call("-write"); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil || strings.Count(string(text), "- ") < 3 || !strings.Contains(string(text), "### Fixed\n\n- third <!-- ") {
		t.Errorf("%s, %v", text, err)
	}
	if out, _, err := call("-all"); err != nil || !strings.HasPrefix(out, "# Changelog\n") {
		t.Errorf("%q, %v", out, err)
	}
	for _, args := range [][]string{{"surplus"}, {"-to", "nowhere"}, {"-unknown"}} {
		if _, _, err := call(args...); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

// TestRelease makes a candidate and its release, and prints or runs the git commands.
func TestRelease(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	for _, name := range []string{"GIT_AUTHOR", "GIT_COMMITTER"} {
		t.Setenv(name+"_NAME", "A")
		t.Setenv(name+"_EMAIL", "a@example.com")
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	call := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), append(args, "-repo", dir), &stdout, &stderr); err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, &stdout, &stderr)
		}
		return stdout.String()
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "feat: first")
	git("tag", "v1.0.0")
	git("commit", "-q", "--allow-empty", "-m", "feat: second (#2)")
	out := call("release", "-pre", "rc", "-base", "https://example.com/o/n", "-tag")
	if !strings.Contains(out, "1.1.0-rc.1 is released") || !strings.HasSuffix(out, "git push --atomic origin HEAD v1.1.0-rc.1\n") {
		t.Error(out)
	}
	if got := git("tag", "--points-at", "HEAD"); got != "v1.1.0-rc.1\n" {
		t.Error(got)
	}
	// The notes of the release after the candidate are complete, with the candidate's
	// commit alone in the history.
	out = call("release")
	if !strings.Contains(out, "1.1.0 is released: ") || !strings.Contains(out, "git add CHANGELOG.md\ngit commit -m 'chore(release): v1.1.0'\ngit tag -a v1.1.0 -m v1.1.0\ngit push ") {
		t.Error(out)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if section := string(text[bytes.Index(text, []byte("[1.1.0]")):]); !strings.Contains(section[:strings.Index(section, "rc.1")], "- second ([#2](https://example.com/o/n/pull/2))") {
		t.Errorf("%s", text)
	}
	// Between the cut and the tag nothing is to be drafted.
	git("add", "-A")
	git("commit", "-q", "-m", "chore(release): 1.1.0")
	if out := call("-check"); !strings.Contains(out, "up to date") {
		t.Error(out)
	}
	git("tag", "v1.1.0")
	var none bytes.Buffer
	if err := run(t.Context(), []string{"release", "-repo", dir}, &none, &none); err == nil || !strings.Contains(err.Error(), "nothing to release after 1.1.0") {
		t.Error(err)
	}
	// A hand-written changelog is adopted, and a commit that edits it is not drafted.
	file := filepath.Join(dir, "CHANGELOG.md")
	if err := os.WriteFile(file, []byte("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- In my own words.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "feat: third")
	call("-adopt")
	git("commit", "-q", "-am", "feat: fourth, in the file too")
	if out := call("-check"); !strings.Contains(out, "up to date") {
		t.Error(out)
	}
	if out := call(); !strings.HasSuffix(out, "### Added\n\n- In my own words.\n") {
		t.Error(out)
	}
	git("commit", "-q", "--allow-empty", "-m", "feat: fifth")
	if err := run(t.Context(), []string{"-check", "-repo", dir}, &none, &none); err == nil {
		t.Error("a commit without an entry is not noticed")
	}
}

func TestWithoutConventionalCommits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q"}, {"commit", "-q", "--allow-empty", "-m", "Start"}, {"tag", "v1.0.0"}, {"commit", "-q", "--allow-empty", "-m", "Make it faster"}} {
		cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-repo", dir}, &stdout, &stderr); err != nil || !strings.HasPrefix(stdout.String(), "Next version: 1.0.1\n") || !strings.Contains(stdout.String(), "### Changed\n\n- Make it faster\n") || !strings.Contains(stderr.String(), "none of the commits") {
		t.Errorf("%v\n%s%s", err, &stdout, &stderr)
	}
}

// TestLintAndCut checks and releases a changelog that people wrote.
func TestLintAndCut(t *testing.T) {
	for name, test := range map[string]struct {
		text      string
		lint, cut bool // whether they succeed
	}{
		"good":           {"# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a gateway\n", true, true},
		"released twice": {"# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a gateway\n\n## [1.3.0] - 2026-01-02\n\n- a router\n", false, false},
		"empty section":  {"# Changelog\n\n## [Unreleased]\n\n### Added\n\n### Gadgets\n\n- a gateway\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "CHANGELOG.md")
			if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := run(t.Context(), []string{"-repo", dir, "-lint"}, &out, &out); (err == nil) != test.lint {
				t.Errorf("lint: %v\n%s", err, &out)
			}
			err := run(t.Context(), []string{"-repo", dir, "-cut", "1.3.0", "-base", "https://example.com/m"}, &out, &out)
			text, _ := os.ReadFile(file)
			if (err == nil) != test.cut || test.cut != strings.Contains(string(text), "\n## [Unreleased]\n\n## [1.3.0] - ") || !test.cut && string(text) != test.text {
				t.Errorf("cut: %v\n%s", err, text)
			}
			if err := run(t.Context(), []string{"-repo", dir, "-lint"}, &out, &out); test.lint && err != nil {
				t.Errorf("lint after the release: %v\n%s", err, &out)
			}
		})
	}
}

func TestErrorsHaveOnePrefix(t *testing.T) {
	_, err := changelog.ReadHistory(t.Context(), nil, changelog.HistoryOptions{})
	for text, err := range map[string]error{
		"changelog: source: missing (have nil, want a Source)\n": err,
		"changelog: file does not exist\n":                       os.ErrNotExist,
	} {
		var b strings.Builder
		if complain(&b, err); b.String() != text {
			t.Errorf("got %q, want %q", b.String(), text)
		}
	}
}
