package changelog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// MaxChangelogLength is the maximum length of a changelog in bytes.
const MaxChangelogLength = 8 << 20

// Sections returns the kinds of changes of Keep a Changelog 2.0.0, in their order.
// It returns a new slice each time.
func Sections() []string {
	return []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
}

// Changelog is a file in the format of Keep a Changelog 2.0.0. It keeps the text
// byte for byte, and its methods change only the lines that they concern. Line
// ends, wrapped entries, unknown sections, comments and code are preserved. The
// zero value is an empty file.
//
// A Changelog is safe for concurrent reads. A method that changes it needs
// exclusive access.
type Changelog struct {
	lines    []string // each with its line end
	marks    []mark   // one for each line
	releases []span
	links    map[string]int // lines of definitions, by label in lower case
	sections int            // while scanning: the depth of the sections of the open release
	unclosed int            // first line of an unterminated code block or comment; else len(lines)
}

// ChangelogRelease is one release in a [Changelog].
type ChangelogRelease struct {
	// Name is the version as written: "1.2.0", "v1.2.0", "Unreleased".
	Name       string
	Version    versioning.Version
	Unreleased bool
	// Date is the text after the name, "2026-06-07". It may have any form.
	Date string
	// Time is Date in UTC if Date is an ISO 8601 day, and zero otherwise.
	Time   time.Time
	Yanked bool
	Line   int // of the heading, from 1
	// Summary is the text between the heading and the first section.
	Summary  string
	Sections []Section
}

// Section is a group of changes of one kind.
type Section struct {
	Name    string   // "Added"
	Entries []string // without bullets; the lines of an entry are joined by "\n"
}

// ParseChangelog parses a changelog. It accepts any text, and [Changelog.Lint]
// reports deviations from the format. It returns an error only if the text is
// longer than [MaxChangelogLength].
//
// It recognises these headings of releases: "## [1.2.0] - 2026-06-07",
// "## 1.2.0 (2026-06-07)", "# v1.2.0", "### [1.2.1](link) (2026-06-08)",
// "## 1.2.0 / 2026-06-07", "## v1.2.0(2026-06-07)", "## Version 1.2.0",
// "## [1.2.0/0.60.0] 2026-06-07", underlined headings, and "## [Unreleased]". It
// ignores headings in code blocks and comments. A file with another heading that
// begins with a version can be read, but not edited: see [HeadingError].
func ParseChangelog(text string) (*Changelog, error) {
	if len(text) > MaxChangelogLength {
		return nil, fmt.Errorf("changelog: text: too long (have %d bytes, want at most %d)", len(text), MaxChangelogLength)
	}
	c := &Changelog{lines: slices.Collect(strings.Lines(text))}
	c.scan()
	return c, nil
}

// String returns the text of the file.
func (c *Changelog) String() string { return strings.Join(c.lines, "") }

// Releases returns the releases in the order of the file.
func (c *Changelog) Releases() []ChangelogRelease {
	releases := make([]ChangelogRelease, len(c.releases))
	for i, s := range c.releases {
		releases[i] = c.read(s)
	}
	return releases
}

// Release returns the release of a version. Build metadata must match too.
func (c *Changelog) Release(v versioning.Version) (ChangelogRelease, bool) {
	for _, s := range c.releases {
		if !s.head.unreleased && s.head.version == v {
			return c.read(s), true
		}
	}
	return ChangelogRelease{}, false
}

// read collects the contents of a release.
func (c *Changelog) read(s span) ChangelogRelease {
	r := ChangelogRelease{Name: s.head.name, Version: s.head.version, Unreleased: s.head.unreleased, Date: s.head.date, Yanked: s.head.yanked, Line: s.start + 1}
	if day, err := time.Parse(time.DateOnly, r.Date); err == nil {
		r.Time = day
	}
	var summary []string
	var section *Section
	var entry []string // the lines of the last entry
	open := false      // it may have further ones
	end := func() {
		if entry != nil {
			section.Entries = append(section.Entries, strings.TrimRight(strings.Join(entry, "\n"), "\n"))
		}
		entry = nil
	}
	for i := s.body; i < s.end; i++ {
		line := trimEOL(c.lines[i])
		m := c.marks[i]
		switch {
		case m.kind == markSection:
			end()
			r.Sections = append(r.Sections, Section{Name: m.text})
			section, open = &r.Sections[len(r.Sections)-1], false
		case m.kind == markLink || m.kind == markComment || m.kind == markState || m.kind == markForeign:
			open = false
		case section == nil:
			summary = append(summary, line)
		case m.kind == markText && bullet(line) > 0:
			text, _ := unbind(line[bullet(line):])
			end()
			entry, open = []string{strings.TrimRight(text, " \t")}, true
		case open:
			line, _ = unbind(line)
			entry = append(entry, strings.TrimRight(strings.TrimPrefix(line, "  "), " \t"))
		}
	}
	end()
	r.Summary = strings.TrimSpace(strings.Join(summary, "\n"))
	return r
}

// Add appends an entry to a section of the unreleased changes, "Added". It adds
// the section and its heading if they are missing, and indents the second and
// further lines of the entry. A code block in the entry that is not closed is closed.
// It returns an error if the entry is empty or the section is not a valid heading,
// and a [*HeadingError] if the file has a heading that it cannot read.
func (c *Changelog) Add(section, entry string) error {
	err := c.add(section, entry)
	if _, foreign := err.(*HeadingError); err != nil && !foreign {
		return fmt.Errorf("changelog: %w", err)
	}
	return err
}

// add is [Changelog.Add] with errors that do not name the package.
func (c *Changelog) add(section, entry string) error {
	entry = strings.TrimSpace(entry)
	section = strings.TrimSpace(section)
	switch {
	case entry == "":
		return fmt.Errorf("section %q: entry is empty", section)
	case section == "" || strings.ContainsAny(section, "\r\n#"):
		return fmt.Errorf("section: invalid name (have %q, want one such as %s)", section, strings.Join(Sections(), ", "))
	}
	if err := c.understood(); err != nil {
		return err
	}
	entry = contain(entry)
	unreleased := c.ensureUnreleased()
	text := strings.Split(strings.ReplaceAll(entry, "\r\n", "\n"), "\n")
	text[0] = "- " + strings.TrimSpace(text[0])
	for i := 1; i < len(text); i++ {
		if text[i] = strings.TrimRight(text[i], " \t"); text[i] != "" {
			text[i] = "  " + text[i]
		}
	}
	at := c.ensureSection(unreleased, section)
	c.insert(c.lastContent(at, c.sectionEnd(at))+1, text...)
	return nil
}

// ensureUnreleased returns the index of the first unreleased section. If the file
// has no such section, it adds one.
func (c *Changelog) ensureUnreleased() int {
	if i := slices.IndexFunc(c.releases, func(s span) bool { return s.head.unreleased }); i >= 0 {
		return i
	}
	if len(c.releases) > 0 {
		at := c.releases[0].start
		for at > 0 && strings.HasPrefix(c.lines[at-1], "<a ") { // the anchor of the release
			at--
		}
		c.insert(at, "## [Unreleased]", "")
		return 0
	}
	if len(c.lines) == 0 {
		c.insert(0, "# Changelog")
	}
	at := min(c.lastContent(0, len(c.lines))+1, c.unclosed)
	for at > 0 && (c.marks[at-1].kind == markLink || c.marks[at-1].kind == markState) { // keep links at the end
		at--
	}
	heading := []string{"## [Unreleased]"}
	if at > 0 && trimEOL(c.lines[at-1]) != "" {
		heading = append([]string{""}, heading...)
	}
	if at < len(c.lines) && trimEOL(c.lines[at]) != "" {
		heading = append(heading, "")
	}
	c.insert(at, heading...)
	return 0
}

// ensureSection returns the line of a section's heading. It adds the section if
// it is missing.
func (c *Changelog) ensureSection(release int, name string) int {
	s := c.releases[release]
	rank := sectionRank(name)
	before, found := -1, -1
	for i := s.body; i < s.end; i++ {
		if c.marks[i].kind != markSection {
			continue
		}
		if strings.EqualFold(c.marks[i].text, name) {
			found = i
		}
		if before < 0 && sectionRank(c.marks[i].text) > rank {
			before = i
		}
	}
	switch {
	case found >= 0:
		return found
	case before >= 0:
		c.insert(before, "### "+name, "", "")
		return before
	}
	at := c.lastContent(s.body-1, s.end) + 1
	c.insert(at, "", "### "+name, "")
	if at+3 < len(c.lines) && c.marks[at+3].kind != markBlank {
		c.insert(at+3, "")
	}
	return at + 1
}

func sectionRank(name string) int {
	rank := slices.IndexFunc(Sections(), func(s string) bool { return strings.EqualFold(s, name) })
	if rank < 0 {
		return len(Sections())
	}
	return rank
}

// sectionEnd returns the first line after the section whose heading is at line i.
func (c *Changelog) sectionEnd(i int) int {
	for i++; i < c.unclosed; i++ {
		if k := c.marks[i].kind; k == markSection || k == markRelease || k == markHeading || k == markLink || k == markState {
			return i
		}
	}
	return i
}

// lastContent returns the last line of lines[from:to] that is neither blank nor a
// link, or from if all are. A blank line directly below a heading belongs to
// the heading.
func (c *Changelog) lastContent(from, to int) int {
	last := from
	for i := from; i < to; i++ {
		if k := c.marks[i].kind; k != markBlank && k != markLink && k != markState {
			last = i
		}
	}
	if last == from && from >= 0 && from+1 < to && c.marks[from].kind == markSection && c.marks[from+1].kind == markBlank {
		last++
	}
	return last
}

// eol returns the line end of the file.
func (c *Changelog) eol() string {
	if len(c.lines) > 0 && strings.HasSuffix(c.lines[0], "\r\n") {
		return "\r\n"
	}
	return "\n"
}

// insert inserts lines before line at.
func (c *Changelog) insert(at int, lines ...string) {
	eol := c.eol()
	added := make([]string, len(lines))
	for i, line := range lines {
		added[i] = line + eol
	}
	if at > 0 && !strings.HasSuffix(c.lines[at-1], "\n") {
		// The file still ends without a line end.
		c.lines[at-1] += eol
		added[len(added)-1] = lines[len(lines)-1]
	}
	c.lines = slices.Insert(c.lines, at, added...)
	c.scan()
}

func (c *Changelog) remove(at, n int) {
	c.lines = slices.Delete(c.lines, at, at+n)
	c.scan()
}

// Cut turns the unreleased changes into the release of a version, and leaves an
// empty unreleased section above it. The release after some prereleases repeats
// their entries, so that its notes are complete. The release has the day of date in date's own
// time zone. The release of a backport goes to its place among the other versions.
// If the unreleased section has a link, Cut updates the links as
// [Changelog.FixLinks] does.
//
// It returns an error if nothing is unreleased or if the file has the version, and a
// [*HeadingError] if the file has a heading that it cannot read.
func (c *Changelog) Cut(v versioning.Version, date time.Time) error {
	if err := c.understood(); err != nil {
		return err
	}
	if _, exists := c.Release(v); exists {
		return fmt.Errorf("changelog: release %v: already exists", v)
	}
	if err := c.gatherPrereleases(v); err != nil {
		return err
	}
	i := slices.IndexFunc(c.releases, func(s span) bool { return s.head.unreleased })
	if i < 0 || c.empty(c.releases[i]) {
		return fmt.Errorf("changelog: release %v: no unreleased changes", v)
	}
	s := c.releases[i]
	level, bracket, prefix := s.head.level, s.head.bracket, ""
	previous := -1
	for j, other := range c.releases {
		if !other.head.unreleased && other.head.version.Compare(v) < 0 {
			previous = j
			break
		}
	}
	if j := slices.IndexFunc(c.releases, func(s span) bool { return !s.head.unreleased }); j >= 0 {
		bracket = c.releases[j].head.bracket
		if strings.HasPrefix(c.releases[j].head.name, "v") {
			prefix = "v"
		}
	}
	name := prefix + v.String()
	if bracket {
		name = "[" + name + "]"
	}
	line := strings.Repeat("#", level) + " " + name + " - " + date.Format(time.DateOnly)
	newest := slices.IndexFunc(c.releases, func(s span) bool { return !s.head.unreleased })
	if previous == newest || newest < 0 || newest < i {
		c.insert(s.body, "", line)
	} else {
		c.moveDown(s, previous, line)
	}
	if links, tagPrefix, ok := c.linkStyle(); ok {
		// The other links keep their forms, except the link of the release above a
		// backport.
		above := versioning.Version{}
		for _, other := range c.releases {
			if w := other.head.version; !other.head.unreleased && w.Compare(v) > 0 && (above == versioning.Version{} || w.Compare(above) < 0) {
				above = w
			}
		}
		return c.fixLinks(links, tagPrefix, func(h *heading) bool {
			return h.unreleased || h.version == v || h.version == above
		})
	}
	return nil
}

// gatherPrereleases adds the entries of the prereleases of v to the unreleased changes.
func (c *Changelog) gatherPrereleases(v versioning.Version) error {
	if v.Prerelease() != "" {
		return nil
	}
	present := map[string]bool{}
	var before []ChangelogRelease
	for _, r := range c.Releases() {
		switch {
		case r.Unreleased:
			for _, s := range r.Sections {
				for _, entry := range s.Entries {
					present[s.Name+"\x00"+entry] = true
				}
			}
		case r.Version.Prerelease() != "" && r.Version.Core() == v:
			before = append(before, r)
		}
	}
	for _, r := range slices.Backward(before) {
		for _, s := range r.Sections {
			for _, entry := range s.Entries {
				if key := s.Name + "\x00" + entry; !present[key] {
					present[key] = true
					if err := c.Add(s.Name, entry); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// moveDown moves the body of an unreleased section before the release with index
// previous, or after the last release if previous is negative.
func (c *Changelog) moveDown(s span, previous int, heading string) {
	body := slices.Clone(c.lines[s.body : c.lastContent(s.body, s.end)+1])
	for len(body) > 0 && strings.TrimSpace(body[0]) == "" {
		body = body[1:]
	}
	at := c.releases[len(c.releases)-1].end
	if previous >= 0 {
		at = c.releases[previous].start
	} else {
		at = c.lastContent(c.releases[len(c.releases)-1].start, at) + 1
	}
	block := []string{heading, ""}
	for _, line := range body {
		block = append(block, trimEOL(line))
	}
	if previous >= 0 {
		block = append(block, "")
	} else {
		block = append([]string{""}, block...)
	}
	c.insert(at, block...)
	c.remove(s.body, c.lastContent(s.body, s.end)+1-s.body)
}

// empty reports whether a release has no content.
func (c *Changelog) empty(s span) bool {
	for i := s.body; i < s.end; i++ {
		if k := c.marks[i].kind; k != markBlank && k != markLink && k != markSection && k != markComment && k != markState {
			return false
		}
	}
	return true
}

// Yank marks the release of a version as withdrawn, "[YANKED]". A second call has
// no effect. It returns an error if the file does not have the version.
func (c *Changelog) Yank(v versioning.Version) error {
	for _, s := range c.releases {
		if s.head.unreleased || s.head.version != v {
			continue
		}
		if !s.head.yanked {
			line := c.lines[s.start]
			text := strings.TrimRight(trimEOL(line), " \t")
			c.lines[s.start] = text + " [YANKED]" + line[len(trimEOL(line)):]
			c.scan()
		}
		return nil
	}
	return fmt.Errorf("changelog: release %v: not found", v)
}
