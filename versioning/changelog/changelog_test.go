package changelog

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/versioning"
)

var day = time.Date(2026, 6, 7, 0, 0, 0, 0, time.UTC)

func changelog(t *testing.T, text string) *Changelog {
	t.Helper()
	c, err := ParseChangelog(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.String() != text {
		t.Fatalf("not lossless:\n%q\n%q", c.String(), text)
	}
	return c
}

// wild holds what changelogs look like, all in one file: headings in every
// form, code and comments that look like headings, foreign sections and links.
const wild = "\uFEFF# Changelog\r\n\r\n<!-- ## [9.9.9] - 2020-01-01 -->\r\n\r\n## [Unreleased]  \r\n\r\n" +
	"## [2.0.0] - 2026-06-07\r\n\r\nA summary.\r\n\r\n### Added\r\n\r\n- **Breaking:** wrapped\r\n  over lines\r\n  - nested\r\n- second\t\r\n\r\n```md\r\n## [1.9.9]\r\n```\r\n\r\n### Contributors\r\n\r\n* ana\r\n\r\n" +
	"## [v1.9.0] - 2026-05-01 [YANKED]\r\n\r\n## 1.8.0 (2025-06-27)\r\n### Fixed\r\n- x\r\n\r\n# 1.7.0 (Mar 30, 2026)\r\n\r\n## [1.6.0](https://example.com/1) (2025-01-02)\r\n### [1.5.1](https://example.com/2) (2021-01-07)\r\n### Features\r\n\r\n- y\r\n\r\n" +
	"## v1.5.0 on 2020-08-20\r\n\r\n1.4.0\r\n-----\r\n\r\n- old\r\n\r\n## 1.3.0+build – 2019-01-01\r\n\r\n[unreleased]: https://example.com/compare/v2.0.0...HEAD\r\n[@user]: https://example.com/user"

func TestParseChangelog(t *testing.T) {
	var got []string
	for _, r := range changelog(t, wild).Releases() {
		s := r.Name + "|" + r.Date
		if r.Yanked {
			s += "|yanked"
		}
		if r.Summary != "" {
			s += "|" + r.Summary
		}
		for _, section := range r.Sections {
			s += "|" + section.Name + ":" + strings.Join(section.Entries, ";")
		}
		got = append(got, s)
	}
	want := []string{
		"Unreleased|",
		"2.0.0|2026-06-07|A summary.|Added:**Breaking:** wrapped\nover lines\n- nested;second\n\n```md\n## [1.9.9]\n```|Contributors:ana",
		"v1.9.0|2026-05-01|yanked", "1.8.0|2025-06-27|Fixed:x", "1.7.0|Mar 30, 2026", "1.6.0|2025-01-02", "1.5.1|2021-01-07|Features:y",
		"v1.5.0|2020-08-20", "1.4.0||- old", "1.3.0+build|2019-01-01",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r, ok := changelog(t, wild).Release(versioning.MustParse("2.0.0")); !ok || !r.Time.Equal(day) || r.Line != 7 {
		t.Errorf("%+v, %v", r, ok)
	}
	if _, err := ParseChangelog(strings.Repeat("x", 10<<20)); err == nil {
		t.Error("ten megabytes were accepted")
	}
}

const small = `# Changelog

## [Unreleased]

## [1.0.0] - 2026-01-01

### Added

- first

[unreleased]: https://example.com/o/n/compare/v1.0.0...HEAD
[1.0.0]: https://example.com/o/n/releases/tag/v1.0.0
`

func TestAddAndCut(t *testing.T) {
	c := changelog(t, small)
	for _, e := range [][2]string{{"Fixed", "a fix"}, {"Added", "a thing\nthat wraps"}, {"Fixed", "another"}, {"Notes", "foreign"}, {"changed", "something"}} {
		if err := c.Add(e[0], e[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Cut(versioning.MustParse("1.1.0"), day); err != nil {
		t.Fatal(err)
	}
	want := `# Changelog

## [Unreleased]

## [1.1.0] - 2026-06-07

### Added

- a thing
  that wraps

### changed

- something

### Fixed

- a fix
- another

### Notes

- foreign

## [1.0.0] - 2026-01-01

### Added

- first

[unreleased]: https://example.com/o/n/compare/v1.1.0...HEAD
[1.1.0]: https://example.com/o/n/compare/v1.0.0...v1.1.0
[1.0.0]: https://example.com/o/n/releases/tag/v1.0.0
`
	if diff := cmp.Diff(want, c.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, err := range []error{c.Cut(versioning.MustParse("1.1.0"), day), c.Cut(versioning.MustParse("1.2.0"), day), c.Yank(versioning.MustParse("7.0.0")), c.Add("Added", " "), c.Add("", "x"), c.Add("a\nb", "x"), c.FixLinks("", "v")} {
		if err == nil || !strings.HasPrefix(err.Error(), "changelog: ") {
			t.Errorf("err: %v", err)
		}
	}
	if diff := cmp.Diff(want, c.String()); diff != "" {
		t.Errorf("after errors (-want +got):\n%s", diff)
	}
	if findings := c.Lint(); len(findings) != 1 || findings[0].Rule != "section" {
		t.Errorf("lint: %v", findings)
	}
}

func TestBackport(t *testing.T) {
	c := changelog(t, strings.Replace(small, "## [1.0.0]", "## [2.0.0] - 2026-02-01\n\n### Added\n\n- second\n\n## [1.0.0]", 1))
	if err := c.Add("Fixed", "in the old line"); err != nil {
		t.Fatal(err)
	}
	if err := c.Cut(versioning.MustParse("1.0.1"), day); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range c.Releases() {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"Unreleased", "2.0.0", "1.0.1", "1.0.0"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, c)
	}
	if r, _ := c.Release(versioning.MustParse("1.0.1")); len(r.Sections) != 1 || r.Sections[0].Entries[0] != "in the old line" {
		t.Errorf("%+v\n%s", r, c)
	}
	if !strings.Contains(c.String(), "[1.0.1]: https://example.com/o/n/compare/v1.0.0...v1.0.1\n") || !strings.Contains(c.String(), "[2.0.0]: https://example.com/o/n/compare/v1.0.1...v2.0.0\n") {
		t.Errorf("links:\n%s", c)
	}
}

func TestAddToFilesThatLackThings(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- x\n",
		"# Changelog":             "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- x",
		"# C\r\n\r\n## 1.0.0\r\n": "# C\r\n\r\n## [Unreleased]\r\n\r\n### Added\r\n\r\n- x\r\n\r\n## 1.0.0\r\n",
		"# C\n\n## [Unreleased]\n### Added\n- a\n\n## 1.0.0\n": "# C\n\n## [Unreleased]\n### Added\n- a\n- x\n\n## 1.0.0\n",
		"# C\n\n[a]: b\n":                   "# C\n\n## [Unreleased]\n\n### Added\n\n- x\n\n[a]: b\n",
		"## Unreleased\n\n### Fixed\n\n- a": "## Unreleased\n\n### Added\n\n- x\n\n### Fixed\n\n- a",
	} {
		c := changelog(t, in)
		if err := c.Add("Added", "x"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestYank(t *testing.T) {
	c := changelog(t, wild)
	for range 2 {
		for _, v := range []string{"2.0.0", "1.9.0"} {
			if err := c.Yank(versioning.MustParse(v)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := strings.Replace(wild, "## [2.0.0] - 2026-06-07", "## [2.0.0] - 2026-06-07 [YANKED]", 1); c.String() != want {
		t.Errorf("%s", cmp.Diff(want, c.String()))
	}
}

func TestLint(t *testing.T) {
	text := "# Changelog\n\n## [1.0.0] - 2026-01-01\n\n### Added\n\n### Added\n- a\n\n## 1.1.0 (2025-01-01)\n- b\n\n### 1.0.9\n\n## 1.0.0 - May 2020\n- c\n\n[3.0.0]: x\n"
	var got []string
	for _, f := range changelog(t, text).Lint() {
		got = append(got, f.String())
	}
	want := []string{
		`0: unreleased: no section for unreleased changes, want "## [Unreleased]"`,
		"3: link: no link definition for [1.0.0]",
		`5: section: "Added" is empty`,
		`7: section: "Added" is already at line 5`,
		`10: date: want a hyphen before the date, not "("`,
		"10: order: 1.0.0 is above 1.1.0, want the latest first",
		`13: heading: want the heading of a release to begin with "## "`,
		"13: date: 1.0.9 has no date, want YYYY-MM-DD",
		"13: empty: 1.0.9 has no content",
		"15: duplicate: 1.0.0 is already at line 3",
		`15: date: "May 2020" is not a date, want YYYY-MM-DD`,
		"18: link: [3.0.0] has no release in the file",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRenderHistory(t *testing.T) {
	h := history(t, HistoryOptions{}, "feat: first", "tag v1.0.0", "fix(api)!: refuse empty names\n\nBREAKING CHANGE: an empty name\nis an error", "feat: second", "chore: tidy", "fix: third", "fix: third", "Revert \"feat: first\"\n\nThis reverts commit "+hash(0))
	want := `
## [Unreleased]

### Added

- second <!-- 2222222222.e98ef44e -->

### Changed

- **api**: **Breaking:** refuse empty names <!-- 1111111111.1b4fe098 -->
  an empty name
  is an error

### Removed

- reverted: feat: first <!-- 6666666666.46569346 -->

### Fixed

- third <!-- 4444444444.0e9b319f 5555555555.0e9b319f -->

## [1.0.0] - 0001-01-01

### Added

- first

[Unreleased]: https://example.com/compare/v1.0.0...HEAD
[1.0.0]: https://example.com/releases/tag/v1.0.0

<!-- changelog: through 6666666666666666666666666666666666666666 -->
`
	c := h.Changelog(RenderOptions{Repository: "https://example.com"})
	if got := c.String()[strings.Index(c.String(), "\n## "):]; got != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	if findings := c.Lint(); len(findings) != 0 {
		t.Errorf("lint: %v", findings)
	}
	before := c.String()
	if err := c.AddRelease(&h.Releases[0], RenderOptions{}); err != nil || c.String() != before {
		t.Errorf("adding the same again changed the file: %v\n%s", err, cmp.Diff(before, c.String()))
	}
}

func TestFragments(t *testing.T) {
	files := fstest.MapFS{
		"changes/12.fixed.md":   {Data: []byte("- a fix\r\n")},
		"changes/b.added.md":    {Data: []byte("**Breaking:** a thing\nthat wraps\n")},
		"changes/README.md":     {Data: []byte("how to")},
		"changes/.gitkeep":      {},
		"changes/c.mended.md":   {Data: []byte("x")},
		"changes/d.fixed.md":    {Data: []byte(" \n")},
		"changes/e.md":          {Data: []byte("x")},
		"changes/f.fixed.md":    {Data: []byte("\xff")},
		"changes/g.security.md": {Data: make([]byte, 10<<20)},
	}
	fragments, err := CollectFragments(files, "changes")
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("problems: %v", err)
	}
	want := []Fragment{{"changes/12.fixed.md", "12", "Fixed", "a fix"}, {"changes/b.added.md", "b", "Added", "**Breaking:** a thing\nthat wraps"}}
	if diff := cmp.Diff(want, fragments); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := CollectFragments(files, "absent"); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	c := changelog(t, small)
	if err := c.AddFragments(fragments); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.String(), "### Added\n\n- **Breaking:** a thing\n  that wraps\n\n### Fixed\n\n- a fix\n\n## [1.0.0]") {
		t.Errorf("%s", c)
	}
	h, err := ReadHistory(t.Context(), FragmentEntries(fragments), HistoryOptions{HasBase: true, Base: versioning.MustParse("1.0.0")})
	if next := h.NextVersion(); err != nil || next.Version.String() != "2.0.0" || next.Cause.Hash != "b" {
		t.Errorf("%+v, %v", next, err)
	}
	dir := t.TempDir()
	if err := RemoveFragments(dir, fragments); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
	if err := RemoveFragments(dir, []Fragment{{Path: "../x"}}); err == nil {
		t.Error("a file outside was removed")
	}
}

func FuzzParseChangelog(f *testing.F) {
	f.Add(wild)
	f.Add(small)
	f.Add("a\n---\n```\n## 1.0.0\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseChangelog(text)
		if err != nil {
			return
		}
		if c.String() != text {
			t.Fatalf("%q is written as %q", text, c.String())
		}
		c.Releases()
		c.Lint()
		before := strings.Count(c.String(), "\n")
		versions := func() (names []string) {
			for _, r := range c.Releases() {
				if !r.Unreleased {
					names = append(names, r.Name)
				}
			}
			return names
		}
		old := versions()
		err = c.Add("Added", "zebra")
		if bad := (*HeadingError)(nil); errors.As(err, &bad) {
			if c.String() != text || bad.Line < 1 {
				t.Fatalf("%v has changed %q to %q", err, text, c.String())
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if now := versions(); !slices.Equal(old, now) {
			t.Fatalf("%q: releases %q became %q in %q", text, old, now, c.String())
		}
		if strings.Count(c.String(), "\n") <= before || strings.Count(c.String(), "zebra") != strings.Count(text, "zebra")+1 {
			t.Fatalf("%q became %q", text, c.String())
		}
	})
}

func FuzzParseFragment(f *testing.F) {
	f.Add("a.fixed.md", []byte("- x\r\n  y"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		fragment, err := ParseFragment(name, text)
		if err != nil {
			return
		}
		c := &Changelog{}
		if err := c.AddFragments([]Fragment{fragment}); err != nil {
			t.Fatalf("%+v: %v", fragment, err)
		}
	})
}

// With time that grows as the square of the length this would take hours.
func TestLongChangelogs(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		b.WriteString("## [1.0." + strconv.Itoa(100_000-i) + "] - 2026-01-01\n### Added\n- x\n")
	}
	c := changelog(t, b.String())
	if err := c.FixLinks("https://example.com/o/n", "v"); err != nil {
		t.Fatal(err)
	}
	if err := c.Add("Fixed", "y"); err != nil {
		t.Fatal(err)
	}
	if findings := c.Lint(); len(findings) > 1 || len(c.Releases()) != 100_001 {
		t.Errorf("%d findings, %v", len(findings), findings[0])
	}
}
