package changelog

import (
	"slices"
	"strings"
	"time"
)

// RenderOptions configures how commits become entries of a changelog. The zero
// value is ready to use.
type RenderOptions struct {
	// Sections maps types of commits to sections. Other types are left out, unless
	// the commit is a breaking change. Default [DefaultSections].
	Sections map[string]string
	// Repository is the URL of the repository, for links to comparisons. If empty,
	// there are no links.
	Repository string
	// TagPrefix precedes the version in tags. Default "v".
	TagPrefix string
	// Commits adds the short hash to each entry.
	Commits bool
}

// DefaultSections maps the types of commits that affect users to sections. It
// returns a new map each time.
func DefaultSections() map[string]string {
	return map[string]string{
		"feat": "Added", "feature": "Added", "perf": "Changed", "change": "Changed", "deprecate": "Deprecated",
		"remove": "Removed", "fix": "Fixed", "security": "Security",
	}
}

// Render groups the changes of a release into sections, in the order of Keep a
// Changelog. Within a section, changes of one scope are adjacent, the oldest
// first. Breaking changes come first and are marked "**Breaking:**". A revert of
// a released feature is listed under Removed, and any other revert under Changed.
func (l *LogRelease) Render(o RenderOptions) []Section {
	o = o.withDefaults()
	type line struct{ scope, text string }
	breaking, usual := map[string][]line{}, map[string][]line{}
	scopes := map[string]int{} // the order in which they first appear
	var names []string
	for _, c := range slices.Backward(l.Changes) {
		section := o.section(&c)
		if section == "" {
			continue
		}
		group := usual
		if c.Breaking {
			group = breaking
		}
		if len(breaking[section])+len(usual[section]) == 0 {
			names = append(names, section)
		}
		if _, seen := scopes[c.Scope]; !seen {
			scopes[c.Scope] = len(scopes)
		}
		group[section] = append(group[section], line{c.Scope, o.entry(&c)})
	}
	slices.SortStableFunc(names, func(a, b string) int { return sectionRank(a) - sectionRank(b) })
	sections := make([]Section, len(names))
	for i, name := range names {
		sections[i].Name = name
		seen := map[string]bool{} // a change may be cherry-picked twice
		for _, group := range [][]line{breaking[name], usual[name]} {
			slices.SortStableFunc(group, func(a, b line) int { return scopes[a.scope] - scopes[b.scope] })
			for _, entry := range group {
				if !seen[entry.text] {
					seen[entry.text] = true
					sections[i].Entries = append(sections[i].Entries, entry.text)
				}
			}
		}
	}
	return sections
}

func (o RenderOptions) withDefaults() RenderOptions {
	if o.Sections == nil {
		o.Sections = DefaultSections()
	}
	return o
}

// hidden reports whether the author of a commit has excluded it from the notes.
func (o *RenderOptions) hidden(c *LogChange) bool { return false }

func (o *RenderOptions) section(c *LogChange) string {
	if len(c.Reverts) > 0 {
		if strings.HasPrefix(c.Description, "feat") {
			return "Removed"
		}
		return "Changed"
	}
	section := o.Sections[c.Type]
	if c.Breaking && (section == "" || section == "Fixed") {
		section = "Changed"
	}
	return section
}

func (o *RenderOptions) entry(c *LogChange) string {
	var b strings.Builder
	if c.Scope != "" {
		b.WriteString("**" + c.Scope + "**: ")
	}
	if c.Breaking {
		b.WriteString("**Breaking:** ")
	}
	if len(c.Reverts) > 0 {
		b.WriteString("reverted: ")
	}
	b.WriteString(c.Description)
	if o.Commits && c.Hash != "" {
		b.WriteString(" (" + shortHash(c.Hash) + ")")
	}
	for _, note := range c.Breaks() {
		if note != c.Description {
			b.WriteString("\n" + note)
		}
	}
	return b.String()
}

// AddRelease adds the changes of a release to the unreleased changes. It does not
// repeat an entry that is already there with the same text.
func (c *Changelog) AddRelease(l *LogRelease, o RenderOptions) error {
	present := map[string]bool{}
	for _, s := range c.releases {
		if s.head.unreleased {
			for _, section := range c.read(s).Sections {
				for _, entry := range section.Entries {
					present[section.Name+"\x00"+entry] = true
				}
			}
		}
	}
	for _, section := range l.Render(o) {
		for _, entry := range section.Entries {
			if present[section.Name+"\x00"+entry] {
				continue
			}
			if err := c.Add(section.Name, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

const changelogHead = `# Changelog

All notable changes to this project are documented in this file. The format is
based on [Keep a Changelog](https://keepachangelog.com/en/2.0.0/), and this
project adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).

`

// Changelog renders the whole history as a new changelog.
func (h *History) Changelog(o RenderOptions) *Changelog {
	var b strings.Builder
	b.WriteString(changelogHead)
	bracket := o.Repository != ""
	name := func(s string) string {
		if bracket {
			return "[" + s + "]"
		}
		return s
	}
	if len(h.Releases) == 0 || !h.Releases[0].Unreleased {
		b.WriteString("## " + name("Unreleased") + "\n\n")
	}
	for i := range h.Releases {
		l := &h.Releases[i]
		if l.Unreleased {
			b.WriteString("## " + name("Unreleased") + "\n\n")
		} else {
			b.WriteString("## " + name(l.Version.String()) + " - " + l.Time.Format(time.DateOnly) + "\n\n")
		}
		writeSections(&b, l.Render(o))
	}
	c := &Changelog{lines: slices.Collect(strings.Lines(strings.TrimRight(b.String(), "\n") + "\n"))}
	c.scan()
	if bracket {
		prefix := o.TagPrefix
		if prefix == "" {
			prefix = "v"
		}
		_ = c.FixLinks(o.Repository, prefix) // without a valid URL there are no links
	}
	return c
}

// writeSections writes sections as Markdown, with a blank line after each.
func writeSections(b *strings.Builder, sections []Section) {
	for _, s := range sections {
		b.WriteString("### " + s.Name + "\n\n")
		for _, entry := range s.Entries {
			b.WriteString("- " + strings.ReplaceAll(entry, "\n", "\n  ") + "\n")
		}
		b.WriteString("\n")
	}
}

// Markdown returns the release as Markdown, without its heading.
func (r ChangelogRelease) Markdown() string {
	var b strings.Builder
	if r.Summary != "" {
		b.WriteString(r.Summary + "\n\n")
	}
	writeSections(&b, r.Sections)
	return strings.TrimRight(b.String(), "\n") + "\n"
}
