package changelog

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-go/serin/versioning"
)

var notes = flag.Int("notes", 3000, "number of random notes in a changelog")

// drafted returns a changelog to which a history has been added, and the history.
func drafted(t *testing.T, c *Changelog, messages ...string) *LogRelease {
	t.Helper()
	h := history(t, HistoryOptions{}, messages...)
	l := h.pending
	if err := c.AddRelease(l, RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	return l
}

// edit replaces text in a changelog and reads it again.
func edit(t *testing.T, c *Changelog, old, new string) *Changelog {
	t.Helper()
	text := strings.Replace(c.String(), old, new, 1)
	if text == c.String() {
		t.Fatalf("%q is not in\n%s", old, c)
	}
	return changelog(t, text)
}

const curated = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-01-01\n\n### Added\n\n- old\n\n[unreleased]: https://example.com/o/n/compare/v1.0.0...HEAD\n[1.0.0]: https://example.com/o/n/releases/tag/v1.0.0\n"

// TestCuration makes each move of an editor, and drafts again.
func TestCuration(t *testing.T) {
	first := []string{"feat: old", "tag v1.0.0", "feat(api): one", "fix(api): two", "feat: three"}
	binding := func(c *Changelog, text string) string {
		for _, line := range strings.Split(c.String(), "\n") {
			if rest, ok := strings.CutPrefix(line, "- "+text+bindingOpen); ok {
				return strings.TrimSuffix(rest, bindingClose)
			}
		}
		t.Fatalf("no entry %q in\n%s", text, c)
		return ""
	}
	moves := map[string]func(*Changelog) *Changelog{
		"nothing":  func(c *Changelog) *Changelog { return c },
		"reworded": func(c *Changelog) *Changelog { return edit(t, c, "**api**: one", "The API does one thing.") },
		"reworded, without its comment": func(c *Changelog) *Changelog {
			return edit(t, c, "**api**: one"+bindingOpen+binding(c, "**api**: one")+bindingClose, "The API does one thing.")
		},
		"merged": func(c *Changelog) *Changelog {
			two := binding(c, "**api**: two")
			c = edit(t, c, "### Fixed\n\n- **api**: two"+bindingOpen+two+bindingClose+"\n\n", "")
			return edit(t, c, "**api**: one"+bindingOpen, "One and two."+bindingOpen+two+" ")
		},
		"moved": func(c *Changelog) *Changelog {
			line := "- three" + bindingOpen + binding(c, "three") + bindingClose + "\n"
			c = edit(t, c, line, "")
			return edit(t, c, "### Fixed\n\n", "### Fixed\n\n"+line)
		},
		"deleted": func(c *Changelog) *Changelog {
			return edit(t, c, "- three"+bindingOpen+binding(c, "three")+bindingClose+"\n", "")
		},
		"cut": func(c *Changelog) *Changelog {
			if err := c.Cut(versioning.MustParse("1.1.0"), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil {
				t.Fatal(err)
			}
			return c
		},
	}
	for name, move := range moves {
		c := changelog(t, curated)
		drafted(t, c, first...)
		c = move(changelog(t, c.String()))
		want := c.String()
		drafted(t, c, first...)
		if c.String() != want {
			t.Errorf("%s: drafting again changed\n%s\nto\n%s", name, want, c)
		}
		// What comes later is added, and nothing else.
		drafted(t, c, append(slices.Clone(first), "docs: no matter", "feat: four")...)
		if strings.Count(c.String(), "- four"+bindingOpen) != 1 || strings.Count(c.String(), "\n- ") != strings.Count(want, "\n- ")+1 {
			t.Errorf("%s: the next change gives\n%s", name, c)
		}
		if _, ok := c.Release(versioning.MustParse("1.0.0")); !ok {
			t.Errorf("%s: 1.0.0 is gone:\n%s", name, c)
		}
	}
}

func TestRevertsRemoveEntries(t *testing.T) {
	first := []string{"feat: old", "tag v1.0.0", "feat: one", "fix: two"}
	revert := fmt.Sprintf("Revert \"feat: one\"\n\nThis reverts commit %s.", hash(1))
	c := changelog(t, curated)
	drafted(t, c, first...)
	c = edit(t, c, "- one"+bindingOpen, "- Reworded,\n  over two lines."+bindingOpen)
	drafted(t, c, append(slices.Clone(first), revert)...)
	if text := c.String(); strings.Contains(text, "Reworded") || strings.Contains(text, "two lines") || strings.Count(text, "### Added") != 1 || !strings.Contains(text, "- two"+bindingOpen) {
		t.Errorf("after the revert:\n%s", text)
	}
	before := c.String()
	drafted(t, c, append(slices.Clone(first), revert)...)
	if c.String() != before {
		t.Errorf("the second time:\n%s", c)
	}
	again := fmt.Sprintf("Reapply \"feat: one\"\n\nThis reverts commit %s.", hash(3))
	drafted(t, c, append(slices.Clone(first), revert, again)...)
	if strings.Count(c.String(), "- one"+bindingOpen) != 1 {
		t.Errorf("after the revert of the revert:\n%s", c)
	}
	// Of a merged entry only the one commit goes.
	c = changelog(t, curated)
	l := drafted(t, c, first...)
	b, _ := bindingOf(&l.Changes[1])
	c = edit(t, c, bindingOpen+b.String()+bindingClose, "")
	c = edit(t, c, "- two"+bindingOpen, "- one and two"+bindingOpen+b.String()+" ")
	drafted(t, c, append(slices.Clone(first), revert)...)
	if !strings.Contains(c.String(), "- one and two"+bindingOpen) || strings.Contains(c.String(), b.hash) {
		t.Errorf("merged:\n%s", c)
	}
}

// TestReleaseAfterCandidates: the section of a release repeats what its candidates had.
func TestReleaseAfterCandidates(t *testing.T) {
	c := changelog(t, curated)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i, entry := range []string{"one", "two"} {
		if err := c.Add([]string{"Added", "Fixed"}[i], entry); err != nil {
			t.Fatal(err)
		}
		if err := c.Cut(versioning.MustParse(fmt.Sprintf("1.1.0-rc.%d", i+1)), day); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Cut(versioning.MustParse("1.1.0"), day); err != nil {
		t.Fatal(err)
	}
	r, _ := c.Release(versioning.MustParse("1.1.0"))
	if got := r.Markdown(); got != "### Added\n\n- one\n\n### Fixed\n\n- two\n" || len(c.Releases()) != 5 {
		t.Errorf("%s\n%s", got, c)
	}
	if err := c.Cut(versioning.MustParse("1.2.0"), day); err == nil {
		t.Error("nothing was released as 1.2.0")
	}
}

// TestRebase: the commits of a branch get new hashes after its entries were drafted.
func TestRebase(t *testing.T) {
	c := changelog(t, curated)
	drafted(t, c, "feat: old", "tag v1.0.0", "feat: one")
	c = edit(t, c, "- one"+bindingOpen, "- The first."+bindingOpen)
	want := c.String()
	entries := line("feat: old", "tag v1.0.0", "feat: one")
	entries[0].Hash = strings.Repeat("ab", 20)
	h, err := ReadHistory(t.Context(), entries, HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddRelease(h.pending, RenderOptions{}); err != nil || c.String() != want {
		t.Errorf("after the rebase:\n%s", c)
	}
}

// TestEarlierCommitsAreKept: after a rebase the commit that was named before counts, so
// that a deleted entry stays deleted.
func TestEarlierCommitsAreKept(t *testing.T) {
	c := changelog(t, curated)
	drafted(t, c, "feat: old", "tag v1.0.0", "feat: one")
	i := strings.Index(c.String(), "### Added\n\n- one")
	c = changelog(t, c.String()[:i]+c.String()[strings.Index(c.String(), "## [1.0.0]"):])
	drafted(t, c, "feat: old", "tag v1.0.0", "feat: one", "feat: two")
	want := c.String()
	entries := line("feat: old", "tag v1.0.0", "feat: one", "feat: two")
	entries[0].Hash = strings.Repeat("ab", 20)
	h, err := ReadHistory(t.Context(), entries, HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddRelease(h.pending, RenderOptions{}); err != nil || c.String() != want {
		t.Errorf("%v\n%s", err, c)
	}
}

// TestOlderReleases: adding a release that is tagged considers no later commit.
func TestOlderReleases(t *testing.T) {
	h := history(t, HistoryOptions{}, "feat: old", "tag v1.0.0", "feat: one", "tag v1.1.0", "feat: two")
	c := changelog(t, curated)
	for i, want := range []int{2, 3} {
		if err := c.AddRelease(&h.Releases[1-i], RenderOptions{}); err != nil || strings.Count(c.String(), "\n- ") != want {
			t.Errorf("%v\n%s", err, c)
		}
	}
}

func TestAdopt(t *testing.T) {
	h := history(t, HistoryOptions{}, "feat: old", "feat: one")
	c := changelog(t, "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- What people wrote.\n")
	if err := c.Adopt(h); err != nil {
		t.Fatal(err)
	}
	want := c.String()
	drafted(t, c, "feat: old", "feat: one")
	if c.String() != want {
		t.Errorf("adopted, and drafted:\n%s", c)
	}
	drafted(t, c, "feat: old", "feat: one", "feat: two")
	if !strings.Contains(c.String(), "- two"+bindingOpen) {
		t.Errorf("later:\n%s", c)
	}
	if err := c.AddRelease(history(t, HistoryOptions{}, "feat: old", "feat: one", "feat: two", "feat: three").pending, RenderOptions{Accounted: func(string) bool { return true }}); err != nil || strings.Contains(c.String(), "three") {
		t.Errorf("accounted for elsewhere: %v\n%s", err, c)
	}
}

func TestReleaseNotesInFooters(t *testing.T) {
	l := history(t, HistoryOptions{}, "feat: a\n\nRelease-Note: Read [the guide](guide.md) first.\n  It is `short`.", "fix: b\n\nRelease-Note: none", "fix!: c\n\nRelease-Note: none", "feat: d <b>").pending
	var got []string
	for _, s := range l.Render(RenderOptions{}) {
		got = append(got, s.Entries...)
	}
	want := []string{"Read [the guide](guide.md) first.\n  It is `short`.", `d \<b>`, "**Breaking:** c"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if hidden := l.NotShown(RenderOptions{}); len(hidden) != 1 || hidden[0].Header != "fix: b" {
		t.Errorf("%+v", hidden)
	}
}

func TestFragmentsReplaceSubjects(t *testing.T) {
	l := history(t, HistoryOptions{}, "fix: a (#12)", "chore: b (#13)\n\nRelease-Note: none", "feat: c (#14)\n\nRefs: #12").pending
	o := RenderOptions{Fragments: []Fragment{{Name: "12", Section: "Security", Text: "Read [this](x.md)\n~~~\nopen"}, {Name: "13", Section: "Removed", Text: "gone"}, {Name: "99", Section: "Added", Text: "not of a commit"}}}
	var got []string
	for _, s := range l.Render(o) {
		for _, entry := range s.Entries {
			got = append(got, s.Name+": "+entry)
		}
	}
	want := []string{"Added: c (#14)", "Removed: gone", "Security: Read [this](x.md)\n~~~\nopen\n~~~"}
	if !slices.Equal(got, want) || len(l.NotShown(o)) != 0 {
		t.Errorf("%q, %+v", got, l.NotShown(o))
	}
}

// TestEachCommitIsSomewhere: what is not in the notes is listed with a reason.
func TestEachCommitIsSomewhere(t *testing.T) {
	messages := []string{"feat: a", "faet: b", "fxi: c", "fi: d", "chore: e", "deps: f", "wip", "Merge branch 'x'", "fix: g\n\nRelease-Note: none", "feat: h\n\nBREAKING CHANGES: i"}
	l := history(t, HistoryOptions{}, messages...).pending
	shown := 0
	for _, s := range l.Render(RenderOptions{}) {
		shown += len(s.Entries)
	}
	hidden := l.NotShown(RenderOptions{})
	if shown != 2 || shown+len(hidden) != len(messages) {
		t.Errorf("%d shown, %+v", shown, hidden)
	}
	for header, reason := range map[string]string{"faet: b": `did you mean "feat"`, "fxi: c": `did you mean "fix"`, "fi: d": "no section", "deps: f": "no section", "wip": "no type"} {
		if !slices.ContainsFunc(hidden, func(s Skipped) bool { return s.Header == header && strings.Contains(s.Reason, reason) }) {
			t.Errorf("%s: %+v", header, hidden)
		}
	}
	if remarks := l.Remarks(); len(remarks) != 1 || !strings.Contains(remarks[0].Reason, "BREAKING CHANGES: i") {
		t.Errorf("%+v", remarks)
	}
}

// TestWithoutConventionalCommits: all subjects count, by option, and without it the
// reason says what to do.
func TestWithoutConventionalCommits(t *testing.T) {
	messages := []string{"Start", "tag v1.0.0", "Make it faster", "Merge pull request #1 from a/b", "Fix [the] <crash>"}
	n := history(t, HistoryOptions{}, messages...).NextVersion()
	if n.Release() || n.Reason != "none of the 2 commits since v1.0.0 is a Conventional Commit" {
		t.Errorf("%+v", n)
	}
	changes := DefaultChanges()
	changes[""] = versioning.Patch
	h := history(t, HistoryOptions{Changes: changes}, messages...)
	if n := h.NextVersion(); n.Version.String() != "1.0.1" {
		t.Errorf("%+v", n)
	}
	got := h.Releases[0].Render(RenderOptions{})
	if len(got) != 1 || got[0].Name != "Changed" || !slices.Equal(got[0].Entries, []string{"Make it faster", `Fix \[the\] \<crash>`}) {
		t.Errorf("%+v", got)
	}
	if hidden := h.Releases[0].NotShown(RenderOptions{}); len(hidden) != 1 {
		t.Errorf("%+v", hidden)
	}
}

// TestRandomNotes: whatever a commit says, no release of the file is lost, and adding
// a release twice is adding it once.
func TestRandomNotes(t *testing.T) {
	parts := []string{"a", "word", "<b>", "</div>", "<!--", "-->", "```", "```go", "~~~", "`", "``", "# x", "## [9.9.9] - 2026-01-01", "## 1.0.0", "### Added", "- item", "* ", "1. one", "> quote", "[x]: y", "[1.0.0]: z", "---", "===", "\n", "\n\n", "  ", "\t", "\r\n", "|a|b|", "\\", "&lt;", "&", "*", "_", "**", "#12", "(#13)", "\x00", "\u2028", "é", "<script>", "BREAKING CHANGE: z", "Refs: #1", "<!-- changelog: through aaaaaaaaaa -->", "<!-- aaaaaaaaaa.bbbbbbbb -->", ":", "[Unreleased]", "## [Unreleased]", "   ## x"}
	random := rand.New(rand.NewPCG(30, 22))
	some := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(parts[random.IntN(len(parts))])
			if random.IntN(3) > 0 {
				b.WriteByte(' ')
			}
		}
		return b.String()
	}
	types := []string{"feat", "fix", "feat!", "fix(api)!", "perf(<x>)", "security", "feat(*)"}
	for i := range *notes {
		var messages []string
		for range 1 + random.IntN(3) {
			m := types[random.IntN(len(types))] + ": " + some(1+random.IntN(6))
			if random.IntN(2) == 0 {
				m += "\n\nBREAKING CHANGE: " + some(1+random.IntN(12))
			}
			if random.IntN(4) == 0 {
				m += "\n\nRelease-Note: " + some(1+random.IntN(6))
			}
			messages = append(messages, m)
		}
		o := RenderOptions{Commits: random.IntN(2) == 0}
		if random.IntN(2) == 0 {
			o.Repository = "https://gitlab.com/o/n"
		}
		l := history(t, HistoryOptions{}, messages...).pending
		c := changelog(t, curated)
		if err := c.AddRelease(l, o); err != nil {
			t.Fatalf("%d: %v: %q", i, err, messages)
		}
		once := c.String()
		again := changelog(t, once)
		if err := again.AddRelease(l, o); err != nil || again.String() != once {
			t.Fatalf("%d: twice: %v: %q\n%s\nthen\n%s", i, err, messages, once, again)
		}
		releases := again.Releases()
		if len(releases) != 2 || releases[1].Name != "1.0.0" || len(releases[1].Sections) != 1 || !slices.Equal(releases[1].Sections[0].Entries, []string{"old"}) {
			t.Fatalf("%d: %q: releases %+v in\n%s", i, messages, releases, once)
		}
		drawn := 0
		for _, s := range l.Render(o) {
			drawn += len(s.Entries)
		}
		listed := 0
		for _, s := range releases[0].Sections {
			listed += len(s.Entries)
		}
		if listed < drawn || len(again.links) != 2 {
			t.Fatalf("%d: %q: %d of %d entries, %d links, in\n%s", i, messages, listed, drawn, len(again.links), once)
		}
		// Without the comments that bind entries, their texts decide.
		bare := changelog(t, once)
		for at := range bare.lines {
			text, _ := unbind(trimEOL(bare.lines[at]))
			bare.lines[at] = text + "\n"
		}
		bare = changelog(t, bare.String())
		before := bare.String()
		l.history = nil
		if err := bare.AddRelease(l, o); err != nil || bare.String() != before {
			t.Fatalf("%d: without comments: %v: %q\n%s\nthen\n%s", i, err, messages, before, bare)
		}
	}
}

// TestHeadingStyles: files of other tools are read, and an entry goes above their
// newest release; or they are refused, with the line.
func TestHeadingStyles(t *testing.T) {
	tests := []struct {
		name, text string
		versions   string
		unreleased bool
	}{
		{"prometheus", "# Changelog\n\n## main / unreleased\n\n* [FEATURE] A: one. #1\n\n## 3.5.0 / 2025-07-14\n\n* [CHANGE] B: two. #2\n\n## 3.5.0-rc.1 / 2025-07-08\n\n* [BUGFIX] C: three. #3\n", "3.5.0 3.5.0-rc.1", true},
		{"bbolt", "Note that we start to track changes starting from v1.3.7.\n\n## v1.3.9(TBD)\n\n### BoltDB\n- [One](https://example.com/1)\n\n<hr>\n\n## v1.3.8(2023-10-26)\n\n### BoltDB\n- Fix [two](https://example.com/2).\n\n<hr>\n", "1.3.9 1.3.8", false},
		{"opentelemetry", "# Changelog\n\n## [Unreleased]\n\n<!-- Released section -->\n<!-- Don't change this section unless doing release -->\n\n## [1.38.0/0.60.0/0.14.0/0.0.13] 2025-08-29\n\n### Added\n\n- One. (#1)\n\n## [1.0.0-RC3] - 2021-09-02\n\n### Changed\n\n- Two. (#2)\n\n## [Metrics 0.23.0] - 2021-09-08\n\n[Unreleased]: https://example.com/compare/v1.38.0...HEAD\n[1.38.0/0.60.0/0.14.0/0.0.13]: https://example.com/releases/tag/v1.38.0\n", "1.38.0 1.0.0-RC3", true},
		{"opentelemetry collector", "# Changelog\n\n<!-- next version -->\n\n## v1.38.0/v0.132.0\n\n### Enhancements\n\n- `a`: one (#1)\n\n## v1.37.0/v0.131.0\n\n- two\n", "1.38.0 1.37.0", false},
		{"cocogitto", "# Changelog\nAll notable changes. See [conventional commits](https://www.conventionalcommits.org/).\n\n- - -\n## [7.0.0](https://example.com/compare/abc..7.0.0) - 2026-03-04\n### Global changes\n#### Features\n- (**a**) one - ([1234567](https://example.com/commit/1234567)) - A\n\n- - -\n\n## [6.5.0](https://example.com/compare/6.4.0..6.5.0) - 2025-11-02\n#### Features\n- two\n\n- - -\n", "7.0.0 6.5.0", false},
		{"conventional-changelog", "# Change Log\n\nSee [standard-version](https://example.com) for commit guidelines.\n\n<a name=\"1.1.3\"></a>\n## [1.1.3](https://example.com/compare/a@1.1.2...a@1.1.3) (2017-03-11)\n\n\n\n<a name=\"1.1.0\"></a>\n# [1.1.0](https://example.com/compare/v1.0.2...v1.1.0) (2016-02-13)\n\n### Bug Fixes\n\n* **bin:** one ([65a9f4b](https://example.com/commit/65a9f4b))\n\n### 0.0.11 \"reorder\" (2014-05-28)\n\n#### Features\n\n* two\n", "1.1.3 1.1.0 0.0.11", false},
		{"conventional-changelog in a monorepo", "# Changelog\n\n## [9.4.0](https://example.com/compare/a-v9.3.0...a-v9.4.0) (2026-07-01)\n\n### Features\n\n* one ([#1](https://example.com/1))\n\n## [a-v9.3.0](https://example.com) (2026-06-01)\n", "9.4.0 9.3.0", false},
		{"words", "# Changelog\n\n## Version 4.0.0 (2018-01-28)\n\n- one\n\n## Release 3.9 - 2017\n", "4.0.0 3.9.0", false},
	}
	for _, test := range tests {
		c := changelog(t, test.text)
		var versions []string
		unreleased := false
		for _, r := range c.Releases() {
			if r.Unreleased {
				unreleased = true
				continue
			}
			versions = append(versions, r.Version.String())
		}
		if got := strings.Join(versions, " "); got != test.versions || unreleased != test.unreleased {
			t.Errorf("%s: versions %q, unreleased %v", test.name, got, unreleased)
		}
		if err := c.Add("Fixed", "the new entry"); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		text := c.String()
		if strings.Index(text, "the new entry") > strings.Index(strings.ToLower(text), "one") && !unreleased || strings.Count(text, "\n- the new entry\n") != 1 {
			t.Errorf("%s: the new entry is in the wrong place:\n%s", test.name, text)
		}
		// Without the new lines the file is what it was.
		rest := text
		for _, added := range []string{"## [Unreleased]\n\n", "### Fixed\n\n", "- the new entry\n", "\n"} {
			if !strings.Contains(test.text, added) || added == "\n" {
				rest = strings.Replace(rest, added, "", 1)
			}
		}
		if strings.ReplaceAll(rest, "\n", "") != strings.ReplaceAll(test.text, "\n", "") {
			t.Errorf("%s: other lines have changed:\n%s", test.name, text)
		}
	}
	for _, heading := range []string{"## 1.2.3.4 (2020-01-01)", "## v1.2beta", "## 2.0beta1", "# 01.2.3", "## [1.2.x] - 2020-01-01"} {
		c := changelog(t, "# Changelog\n\n"+heading+"\n\n- old\n")
		var bad *HeadingError
		if err := c.Add("Fixed", "new"); !errors.As(err, &bad) || bad.Line != 3 || bad.Text != heading {
			t.Errorf("%s: %v", heading, err)
		}
		if err := c.Cut(versioning.MustParse("9.0.0"), time.Time{}); !errors.As(err, &bad) {
			t.Errorf("%s: cut: %v", heading, err)
		}
		if len(c.Lint()) == 0 {
			t.Errorf("%s: not a finding", heading)
		}
	}
}

func TestForges(t *testing.T) {
	for repository, want := range map[string][]string{
		"https://github.com/o/n":      {"/compare/v1.0.0...HEAD", "/releases/tag/v1.0.0", "/pull/12", "/commit/"},
		"https://gitlab.com/g/s/n/":   {"/-/compare/v1.0.0...HEAD", "/-/tags/v1.0.0", "/-/issues/12", "/-/commit/"},
		"https://codeberg.org/o/n":    {"/compare/v1.0.0...HEAD", "/releases/tag/v1.0.0", "/pulls/12", "/commit/"},
		"https://bitbucket.org/o/n":   {"/branches/compare/HEAD%0Dv1.0.0", "/src/v1.0.0", "/pull-requests/12", "/commits/"},
		"https://example.com/o/n.git": {"/o/n/compare/v1.0.0...HEAD", "/o/n/releases/tag/v1.0.0", "/o/n/pull/12", "/o/n/commit/"},
	} {
		h := history(t, HistoryOptions{}, "feat: old", "tag v1.0.0", "fix: x (#12)")
		c := h.Changelog(RenderOptions{Repository: repository, Commits: true})
		for _, link := range want {
			if !strings.Contains(c.String(), link) {
				t.Errorf("%s: no %q in\n%s", repository, link, c)
			}
		}
		if err := c.Cut(versioning.MustParse("1.0.1"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		again := c.String()
		if err := c.FixLinks(repository, "v"); err != nil || c.String() != again {
			t.Errorf("%s: Cut and FixLinks differ: %v\n%s\n%s", repository, err, again, c)
		}
	}
	if err := changelog(t, curated).FixLinks("https://a b", "v"); err == nil {
		t.Error("a bad URL was accepted")
	}
	// Links of an unknown form are kept, and so are the links of old releases.
	c := changelog(t, "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- a\n\n## [1.0.0] - 2026-01-01\n\n- b\n\n[unreleased]: https://example.com/diff?from=v1.0.0\n[1.0.0]: https://example.com/mine\n")
	if err := c.Cut(versioning.MustParse("1.1.0"), time.Time{}); err != nil || !strings.Contains(c.String(), "diff?from=v1.0.0") || !strings.Contains(c.String(), "[1.0.0]: https://example.com/mine") {
		t.Errorf("%v\n%s", err, c)
	}
}

func TestEntriesOfYourOwn(t *testing.T) {
	l := history(t, HistoryOptions{}, "feat(api): one").pending
	l.Changes[0].Author = "A <b>"
	got := l.Render(RenderOptions{Authors: true})[0].Entries[0]
	if got != `**api**: one, by A \<b>` {
		t.Error(got)
	}
	got = l.Render(RenderOptions{Entry: func(d EntryData) string { return "(" + d.Scope + ") " + d.Description + "\n```\nopen" }})[0].Entries[0]
	if got != "(api) one\n```\nopen\n```" {
		t.Error(got)
	}
}

// TestOurOwnChangelog makes three moves of an editor on the changelog of this
// repository.
func TestOurOwnChangelog(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	c := changelog(t, string(text))
	entries := func(c *Changelog) (n int) {
		for _, r := range c.Releases() {
			for _, s := range r.Sections {
				n += len(s.Entries)
			}
		}
		return n
	}
	before := entries(c)
	messages := []string{"feat(traffic): one", "fix(rollout): two", "feat(model): three"}
	drafted(t, c, messages...)
	if got := entries(c); got != before+3 {
		t.Fatalf("%d entries after drafting, want %d", got, before+3)
	}
	c = edit(t, c, "- **traffic**: one", "- **rollout/traffic**: one, in better words") // reword
	three := c.String()[strings.Index(c.String(), "- **model**: three"):]
	three = three[:strings.Index(three, "\n")+1]
	c = edit(t, c, three, "")                                           // move
	c = edit(t, c, "### Changed\n\n", "### Changed\n\n"+three)          //
	two := c.String()[strings.Index(c.String(), "- **rollout**: two"):] //
	c = edit(t, c, two[:strings.Index(two, "\n")+1], "")                // delete
	want := c.String()
	drafted(t, c, messages...)
	if c.String() != want {
		t.Error("drafting again has changed what the editor did")
	}
	if err := c.Cut(versioning.MustParse("0.1.0"), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	cut := c.String()
	if drafted(t, c, messages...); c.String() != cut || entries(c) != before+2 {
		t.Error("drafting between the cut and the tag has changed the file")
	}
}
