package gitlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
	"github.com/serin-go/serin/versioning/gitlog"
)

func git(tb testing.TB, dir string, stdin []byte, args ...string) string {
	tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// script writes what git fast-import reads.
type script struct {
	bytes.Buffer
	mark int
}

// commit adds one that changes a file of the given name, and returns its mark.
func (s *script) commit(ref, file, message string, parents ...int) int {
	s.mark++
	fmt.Fprintf(s, "commit refs/heads/%s\nmark :%d\ncommitter A <a@example.com> %d +0000\ndata %d\n%s\n", ref, s.mark, 1700000000+s.mark, len(message), message)
	for i, p := range parents {
		fmt.Fprintf(s, "%s :%d\n", []string{"from", "merge"}[min(i, 1)], p)
	}
	fmt.Fprintf(s, "M 644 inline %s\ndata 0\n\n", file)
	return s.mark
}

func (s *script) tag(name string, mark int) {
	fmt.Fprintf(s, "reset refs/tags/%s\nfrom :%d\n\n", name, mark)
}

func (s *script) repository(tb testing.TB) string {
	tb.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		tb.Skip("needs git")
	}
	dir := tb.TempDir()
	git(tb, dir, nil, "init", "-q", "-b", "main")
	git(tb, dir, s.Bytes(), "fast-import", "--quiet")
	return dir
}

func read(t *testing.T, l gitlog.Log, o changelog.HistoryOptions) *changelog.History {
	t.Helper()
	h, err := changelog.ReadHistory(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// outline shows a history in short.
func outline(h *changelog.History) []string {
	var lines []string
	for _, l := range h.Releases {
		line := l.Tag + ":"
		for _, c := range l.Changes {
			line += " " + c.Description
		}
		for _, s := range l.Skipped {
			line += " (" + s.Header + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestCommitsBelongToTheEarliestReleaseThatContainsThem(t *testing.T) {
	var s script
	one := s.commit("main", "a", "feat: one")
	side := s.commit("side", "b", "fix: side", one)
	two := s.commit("main", "a", "fix: two", one)
	merged := s.commit("main", "a", "Merge branch 'side'", two, side)
	last := s.commit("main", "a", "feat!: last", merged)
	s.tag("v1.0.0", one)
	s.tag("v1.0.1", two)
	s.tag("nightly", two)
	_ = last
	h := read(t, gitlog.Log{Dir: s.repository(t)}, changelog.HistoryOptions{})
	want := []string{": last side (Merge branch 'side')", "v1.0.1: two", "v1.0.0: one"}
	if diff := cmp.Diff(want, outline(h)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	next := h.NextVersion()
	if next.Version.String() != "2.0.0" || next.Cause.Description != "last" {
		t.Errorf("next: %+v", next)
	}
	if len(h.SkippedTags) != 1 || h.SkippedTags[0].Text != "nightly" {
		t.Errorf("skipped tags: %v", h.SkippedTags)
	}
}

// TestTagsOnOtherBranches: a release branch that is not merged back is known, and an
// old branch is refused or limited.
func TestTagsOnOtherBranches(t *testing.T) {
	var s script
	one := s.commit("main", "a", "feat: one")
	branch := s.commit("release-1.9", "a", "fix: for the release", one)
	s.commit("release-1.0", "b", "fix: old", one)
	s.commit("main", "a", "fix: on main", one)
	s.tag("v1.9.0-rc1", one)
	s.tag("v1.9.0", branch)
	dir := s.repository(t)
	git(t, dir, nil, "tag", "blob", git(t, dir, []byte("x"), "hash-object", "-w", "--stdin")[:40]) // not a commit
	h := read(t, gitlog.Log{Dir: dir, To: "main"}, changelog.HistoryOptions{})
	if n := h.NextVersion(); n.Version.String() != "1.9.1" || len(h.Releases) != 2 {
		t.Errorf("%+v, %v", n, outline(h))
	}
	git(t, dir, nil, "tag", "v2.0.0", "main")
	git(t, dir, nil, "tag", "v1.0.0", "main~1")
	h = read(t, gitlog.Log{Dir: dir, To: "release-1.0"}, changelog.HistoryOptions{})
	var bad *changelog.NextError
	if n := h.NextVersion(); !errors.As(n.Err, &bad) || bad.Tag != "v2.0.0" && bad.Tag != "v1.9.0" || n.Release() {
		t.Errorf("%+v", n)
	}
	h = read(t, gitlog.Log{Dir: dir, To: "release-1.0"}, changelog.HistoryOptions{Within: versioning.MustParseRange("1.0.x")})
	if n := h.NextVersion(); n.Version.String() != "1.0.1" {
		t.Errorf("%+v", n)
	}
}

func TestMonorepo(t *testing.T) {
	var s script
	a := s.commit("main", "client/x", "feat: client")
	b := s.commit("main", "server/x", "feat: server", a)
	c := s.commit("main", "client/y", "fix: client again", b)
	s.commit("main", "server/x", "feat!: server breaks", c)
	s.tag("client/v1.0.0", b) // on a commit that does not touch the client
	s.tag("v9.0.0", c)
	l := gitlog.Log{Dir: s.repository(t), Paths: []string{"client"}}
	h := read(t, l, changelog.HistoryOptions{TagPrefix: "client/v"})
	if diff := cmp.Diff([]string{": client again", "client/v1.0.0: client"}, outline(h)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if next := h.NextVersion(); next.Version.String() != "1.0.1" {
		t.Errorf("next: %v", next)
	}
}

func TestFromAndTo(t *testing.T) {
	var s script
	a := s.commit("main", "a", "feat: a")
	b := s.commit("main", "a", "feat: b", a)
	s.commit("main", "a", "feat: c", b)
	s.tag("a", a)
	s.tag("b", b)
	h := read(t, gitlog.Log{Dir: s.repository(t), From: "a", To: "b"}, changelog.HistoryOptions{})
	if diff := cmp.Diff([]string{": b"}, outline(h)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOddMessages(t *testing.T) {
	var s script
	message := "feat: caf\xe9\r\n\r\nBREAKING CHANGE: yes\r\n"
	s.commit("main", "a", message)
	h := read(t, gitlog.Log{Dir: s.repository(t)}, changelog.HistoryOptions{})
	c := h.Releases[0].Changes[0]
	if c.Description != "caf\uFFFD" || !c.Breaking || c.Footers[0].Value != "yes" {
		t.Errorf("%+v", c)
	}
}

func TestRepositoriesThatCannotAnswer(t *testing.T) {
	var s script
	for i := range 3 {
		parents := []int{i}
		if i == 0 {
			parents = nil
		}
		s.commit("main", "a", "feat: x", parents...)
	}
	dir := s.repository(t)
	shallow := filepath.Join(t.TempDir(), "shallow")
	git(t, dir, nil, "clone", "-q", "--depth", "1", "file://"+dir, shallow)
	_, err := changelog.ReadHistory(t.Context(), gitlog.Log{Dir: shallow}, changelog.HistoryOptions{})
	if !errors.Is(err, gitlog.ErrShallow) {
		t.Errorf("shallow: %v", err)
	}
	if h := read(t, gitlog.Log{Dir: shallow, AllowShallow: true}, changelog.HistoryOptions{}); len(h.Releases[0].Changes) != 1 {
		t.Errorf("shallow, allowed: %v", outline(h))
	}
	empty := t.TempDir()
	git(t, empty, nil, "init", "-q")
	if h := read(t, gitlog.Log{Dir: empty}, changelog.HistoryOptions{}); len(h.Releases) != 0 || h.NextVersion().Version != (versioning.Version{}) {
		t.Errorf("empty: %v", outline(h))
	}
	if h := read(t, gitlog.Log{Dir: dir}, changelog.HistoryOptions{}); h.NextVersion().Version.String() != "0.1.0" {
		t.Errorf("without tags: %+v", h.NextVersion())
	}
	_, err = changelog.ReadHistory(t.Context(), gitlog.Log{Dir: dir, Git: "no-such-program-as-git"}, changelog.HistoryOptions{})
	if !errors.Is(err, gitlog.ErrNoGit) {
		t.Errorf("no git: %v", err)
	}
	for _, l := range []gitlog.Log{{Dir: t.TempDir()}, {Dir: dir, To: "nowhere"}, {Dir: dir, To: "--all"}, {Dir: dir, From: "a..b"}, {Dir: filepath.Join(dir, "absent")}} {
		if _, err := changelog.ReadHistory(t.Context(), l, changelog.HistoryOptions{}); err == nil || !strings.Contains(err.Error(), "gitlog: ") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := changelog.ReadHistory(ctx, gitlog.Log{Dir: dir}, changelog.HistoryOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestStoppingEarly(t *testing.T) {
	var s script
	s.commit("main", "a", "feat: b", s.commit("main", "a", "feat: a"))
	n := 0
	for _, err := range (gitlog.Log{Dir: s.repository(t)}).Commits(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d entries", n)
	}
}
