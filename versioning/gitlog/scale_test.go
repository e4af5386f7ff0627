//go:build unix

package gitlog_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/changelog"
	"github.com/serin-go/serin/versioning/gitlog"
)

const manyCommits = 18_000

// large makes a repository with many commits, a tag on every hundredth.
func large(tb testing.TB) string {
	var s script
	last := 0
	types := []string{"feat", "fix", "docs", "chore", "refactor", "perf", "test"}
	for i := range manyCommits {
		message := fmt.Sprintf("%s(part%d): change number %d of this repository (#%d)", types[i%len(types)], i%17, i, i)
		if i%3 == 0 {
			message += "\n\nThe reason for this change takes a paragraph. It says what was\nwrong before, and why it was done in this way and no other.\n\nRefs: #" + fmt.Sprint(i) + "\nSigned-off-by: A <a@example.com>"
		}
		if i%500 == 0 {
			message += "\n\nBREAKING CHANGE: the old way is gone"
		}
		var parents []int
		if last > 0 {
			parents = []int{last}
		}
		last = s.commit("main", fmt.Sprintf("dir%d/file", i%20), message, parents...)
		if i%100 == 99 {
			s.tag(fmt.Sprintf("v0.%d.0", i/100), last)
		}
	}
	return s.repository(tb)
}

func render(tb testing.TB, dir string) string {
	h, err := changelog.ReadHistory(context.Background(), gitlog.Log{Dir: dir}, changelog.HistoryOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return h.Changelog(changelog.RenderOptions{Repository: "https://example.com/o/n"}).String()
}

func TestLargeRepository(t *testing.T) {
	if dir := os.Getenv("SERIN_GITLOG_RENDER"); dir != "" { // the child of the benchmark below
		render(t, dir)
		return
	}
	c, err := changelog.ParseChangelog(render(t, large(t)))
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for _, r := range c.Releases() {
		for _, s := range r.Sections {
			entries += len(s.Entries)
		}
	}
	// Of seven types three are listed; so are those that break something.
	want := 0
	for i := range manyCommits {
		if i%7 == 0 || i%7 == 1 || i%7 == 5 || i%500 == 0 {
			want++
		}
	}
	if releases := len(c.Releases()); releases != manyCommits/100+1 || entries != want {
		t.Errorf("%d releases with %d entries, want %d with %d", releases, entries, manyCommits/100+1, want)
	}
	if findings := c.Lint(); len(findings) != 0 {
		t.Errorf("lint: %v", findings[0])
	}
}

// BenchmarkChangelog renders the changelog of a large repository, and reports
// how long that takes as a multiple of git log alone, and the largest resident
// memory of a process that does only this.
func BenchmarkChangelog(b *testing.B) {
	dir := large(b)
	alone := time.Duration(1 << 62)
	for range 10 {
		start := time.Now()
		cmd := exec.Command("git", "log", "--format=%H%x00%P%x00%D%x00%an%x00%ae%x00%ct%x00%B")
		cmd.Dir = dir
		out, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			b.Fatal("git log does not start")
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		alone = min(alone, time.Since(start))
	}
	best := time.Duration(1 << 62)
	for b.Loop() {
		start := time.Now()
		_ = render(b, dir)
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(best)/float64(alone), "x-git-log")
	child := exec.Command(os.Args[0], "-test.run", "^TestLargeRepository$")
	child.Env = append(os.Environ(), "SERIN_GITLOG_RENDER="+dir)
	if out, err := child.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MB")
	}
}

// BenchmarkReadHistory leaves git out: parsing, grouping and reverts only.
func BenchmarkReadHistory(b *testing.B) {
	var entries changelog.Entries
	for e, err := range (gitlog.Log{Dir: large(b)}).Commits(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	b.Run("history", func(b *testing.B) {
		for b.Loop() {
			if _, err := changelog.ReadHistory(b.Context(), entries, changelog.HistoryOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyCommits, "ns/commit")
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			for i := range entries {
				if _, err := versioning.ParseCommit(entries[i].Message); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyCommits, "ns/commit")
	})
}
