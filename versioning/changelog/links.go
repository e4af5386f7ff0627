package changelog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// FixLinks adds and corrects the link definitions of releases. The link of the
// unreleased section compares the newest release with HEAD. The link of a release
// compares it with the release before it. The oldest release links to its tag.
//
// base is the URL of the repository, "https://example.com/owner/name", and
// tagPrefix precedes the version in its tags, "v". [ForgeOf] base decides the form
// of the links. Only releases with a heading in brackets get a link. Other
// definitions are unchanged. FixLinks returns an error if base is not a URL.
func (c *Changelog) FixLinks(base, tagPrefix string) error {
	links, err := newForgeLinks(base, "")
	if err != nil {
		return err
	}
	return c.fixLinks(links, tagPrefix, nil)
}

// fixLinks fixes the links of the releases that concerned accepts, or of all.
func (c *Changelog) fixLinks(links forgeLinks, tagPrefix string, concerned func(*heading) bool) error {
	sorted := slices.DeleteFunc(slices.Clone(c.releases), func(s span) bool { return s.head.unreleased })
	slices.SortStableFunc(sorted, func(a, b span) int { return b.head.version.Compare(a.head.version) })
	rank := make(map[int]int, len(sorted)) // by the line of the heading
	for i, r := range sorted {
		rank[r.start] = i
	}
	fresh := map[int][]string{} // new definitions, by the line that they follow
	after := -1
	for _, s := range c.releases {
		if !s.head.bracket || s.head.inline || s.head.unreleased && len(sorted) == 0 {
			continue
		}
		if line, found := c.link(s.head.name); found && concerned != nil && !concerned(&s.head) {
			after = line
			continue
		}
		url := ""
		switch i := rank[s.start]; {
		case s.head.unreleased:
			url = links.compare(tagPrefix+sorted[0].head.version.String(), "HEAD")
		case i == len(sorted)-1:
			url = links.tag(tagPrefix + s.head.version.String())
		default:
			url = links.compare(tagPrefix+sorted[i+1].head.version.String(), tagPrefix+s.head.version.String())
		}
		line, found := c.link(s.head.name)
		if !found {
			fresh[after] = append(fresh[after], "["+s.head.name+"]: "+url)
			continue
		}
		after = line
		text := trimEOL(c.lines[line])
		if label, target, _ := linkDefinition(text); target != url {
			c.lines[line] = "[" + label + "]: " + url + c.lines[line][len(text):]
		}
	}
	c.insertLinks(fresh)
	return nil
}

// insertLinks inserts definitions after the lines that fresh maps them to. The
// definitions under -1 go before the first existing one, or to the end.
func (c *Changelog) insertLinks(fresh map[int][]string) {
	if first := fresh[-1]; len(first) > 0 {
		delete(fresh, -1)
		at := slices.IndexFunc(c.marks, func(m mark) bool { return m.kind == markLink && linksRelease(m.text) })
		if at < 0 {
			at = c.unclosed
			for at > 0 && c.marks[at-1].kind == markBlank {
				at--
			}
			if at > 0 && c.marks[at-1].kind != markLink {
				first = append([]string{""}, first...)
			}
		}
		fresh[at-1] = append(first, fresh[at-1]...)
	}
	if len(fresh) == 0 {
		return
	}
	eol := c.eol()
	lines := make([]string, 0, len(c.lines)+len(fresh))
	for _, text := range fresh[-1] {
		lines = append(lines, text+eol)
	}
	for i, line := range c.lines {
		if len(fresh[i]) > 0 && !strings.HasSuffix(line, "\n") {
			line += eol
		}
		lines = append(lines, line)
		for _, text := range fresh[i] {
			lines = append(lines, text+eol)
		}
	}
	c.lines = lines
	c.scan()
}

func linksRelease(label string) bool {
	_, err := versioning.Parse(strings.TrimPrefix(label, "v"))
	return err == nil || strings.EqualFold(label, "unreleased")
}

// link returns the line of the first definition of a label. It ignores case.
func (c *Changelog) link(label string) (line int, found bool) {
	line, found = c.links[strings.ToLower(label)]
	return line, found
}

// linkStyle returns the links of the repository and the prefix of its tags, as in
// the link of the unreleased section. ok is false if the form of this link is not
// known.
func (c *Changelog) linkStyle() (links forgeLinks, tagPrefix string, ok bool) {
	i, found := c.link("unreleased")
	if !found {
		return links, "", false
	}
	_, target, _ := linkDefinition(trimEOL(c.lines[i]))
	links, tag, ok := parseLink(target)
	if !ok {
		return links, "", false
	}
	for start := range tag {
		if _, err := versioning.Parse(tag[start:]); err == nil {
			return links, tag[:start], true
		}
	}
	return links, "v", true
}

// Finding is one problem that [Changelog.Lint] found.
type Finding struct {
	Line    int    // from 1; 0 for the whole file
	Rule    string // a short name, "order"
	Message string
}

// String returns "12: order: ...".
func (f Finding) String() string { return fmt.Sprintf("%d: %s: %s", f.Line, f.Rule, f.Message) }

// Lint returns the deviations of the file from Keep a Changelog 2.0.0, ordered by
// line. It does not change the file.
func (c *Changelog) Lint() []Finding {
	var found []Finding
	add := func(line int, rule, format string, args ...any) {
		found = append(found, Finding{line, rule, fmt.Sprintf(format, args...)})
	}
	if !slices.ContainsFunc(c.releases, func(s span) bool { return s.head.unreleased }) {
		add(0, "unreleased", "no section for unreleased changes, want \"## [Unreleased]\"")
	}
	var last *heading
	seen := map[string]int{}
	for _, s := range c.releases {
		line, h := s.start+1, s.head
		key := strings.ToLower(strings.TrimPrefix(h.name, "v"))
		if first, twice := seen[key]; twice {
			add(line, "duplicate", "%s is already at line %d", h.name, first)
		} else {
			seen[key] = line
		}
		if h.lines == 2 || h.level != 2 {
			add(line, "heading", "want the heading of a release to begin with \"## \"")
		}
		c.lintDate(line, &h, add)
		if !h.unreleased {
			if last != nil && last.version.Compare(h.version) < 0 {
				add(line, "order", "%s is above %s, want the latest first", last.name, h.name)
			}
			last = &h
		}
		if _, linked := c.link(h.name); h.bracket && !h.inline && !linked && (!h.unreleased || len(c.releases) > 1) {
			add(line, "link", "no link definition for [%s]", h.name)
		}
		c.lintBody(s, add)
	}
	for i, m := range c.marks {
		if m.kind == markForeign {
			add(i+1, "heading", "%q is not the heading of a release, want \"## [1.2.0] - 2026-06-07\"", trimEOL(c.lines[i]))
		}
		if _, there := seen[strings.ToLower(strings.TrimPrefix(m.text, "v"))]; m.kind == markLink && linksRelease(m.text) && !there {
			add(i+1, "link", "[%s] has no release in the file", m.text)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return a.Line - b.Line })
	return found
}

func (c *Changelog) lintDate(line int, h *heading, add func(int, string, string, ...any)) {
	_, err := time.Parse(time.DateOnly, h.date)
	switch {
	case h.unreleased && h.date != "":
		add(line, "date", "unreleased changes have the date %q, want no date", h.date)
	case h.unreleased:
	case h.date == "":
		add(line, "date", "%s has no date, want YYYY-MM-DD", h.name)
	case err != nil:
		add(line, "date", "%q is not a date, want YYYY-MM-DD", h.date)
	case h.dash != "-":
		add(line, "date", "want a hyphen before the date, not %q", h.dash)
	}
}

func (c *Changelog) lintBody(s span, add func(int, string, string, ...any)) {
	if c.empty(s) && !s.head.unreleased {
		add(s.start+1, "empty", "%s has no content", s.head.name)
	}
	sections := map[string]int{}
	for i := s.body; i < s.end; i++ {
		m := c.marks[i]
		if m.kind != markSection {
			continue
		}
		if sectionRank(m.text) == len(Sections()) {
			add(i+1, "section", "unknown section %q, want one of %s", m.text, strings.Join(Sections(), ", "))
		}
		if first, twice := sections[strings.ToLower(m.text)]; twice {
			add(i+1, "section", "%q is already at line %d", m.text, first)
		} else {
			sections[strings.ToLower(m.text)] = i + 1
		}
		if c.lastContent(i, min(c.sectionEnd(i), s.end)) <= i+1 && bullet(trimEOL(c.lines[min(i+1, len(c.lines)-1)])) == 0 {
			add(i+1, "section", "%q is empty", m.text)
		}
	}
}
