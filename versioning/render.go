package versioning

import (
	"slices"
	"strings"
	"time"
)

// RenderOptions says how commits become entries of a changelog. The zero value
// is the usual way.
type RenderOptions struct {
	// Sections says in which section a type of commit is listed; nil means
	// [DefaultSections]. Types that are not there are left out, unless the commit
	// breaks something.
	Sections map[string]string
	// Repository is the address of the repository, for links to comparisons;
	// empty makes none.
	Repository string
	// TagPrefix stands before the version in tags; empty means "v".
	TagPrefix string
	// Commits adds the short hash to each entry.
	Commits bool
}

// DefaultSections says where types of commits are listed: what users notice, and
// nothing else. It returns a new map each time.
func DefaultSections() map[string]string {
	return map[string]string{
		"feat": "Added", "feature": "Added", "perf": "Changed", "change": "Changed", "deprecate": "Deprecated",
		"remove": "Removed", "fix": "Fixed", "security": "Security",
	}
}

// Render groups the changes of a release into sections, in the order of Keep a
// Changelog. Within each, changes of one scope stand together, the oldest first.
// Breaking changes lead their section and are marked "**Breaking:**"; what takes
// back something released is listed under Removed, or under Changed when it was
// no feature.
func (l *LogRelease) Render(o RenderOptions) []Section {
	if o.Sections == nil {
		o.Sections = DefaultSections()
	}
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
		told := map[string]bool{} // a change may be picked twice, and is told once
		for _, group := range [][]line{breaking[name], usual[name]} {
			slices.SortStableFunc(group, func(a, b line) int { return scopes[a.scope] - scopes[b.scope] })
			for _, entry := range group {
				if !told[entry.text] {
					told[entry.text] = true
					sections[i].Entries = append(sections[i].Entries, entry.text)
				}
			}
		}
	}
	return sections
}

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
		b.WriteString("taken back: ")
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

// AddRelease adds the changes of a release to what is unreleased. Entries that
// are there already, word for word, are not repeated.
func (c *Changelog) AddRelease(l *LogRelease, o RenderOptions) error {
	there := map[string]bool{}
	for _, s := range c.releases {
		if s.head.unreleased {
			for _, section := range c.read(s).Sections {
				for _, entry := range section.Entries {
					there[section.Name+"\x00"+entry] = true
				}
			}
		}
	}
	for _, section := range l.Render(o) {
		for _, entry := range section.Entries {
			if there[section.Name+"\x00"+entry] {
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
		_ = c.FixLinks(o.Repository, prefix) // the address was given by the caller's program
	}
	return c
}

// writeSections writes sections as Markdown, each followed by a blank line.
func writeSections(b *strings.Builder, sections []Section) {
	for _, s := range sections {
		b.WriteString("### " + s.Name + "\n\n")
		for _, entry := range s.Entries {
			b.WriteString("- " + strings.ReplaceAll(entry, "\n", "\n  ") + "\n")
		}
		b.WriteString("\n")
	}
}

// Markdown returns the release as it stands in a changelog, without its heading.
func (r ChangelogRelease) Markdown() string {
	var b strings.Builder
	if r.Summary != "" {
		b.WriteString(r.Summary + "\n\n")
	}
	writeSections(&b, r.Sections)
	return strings.TrimRight(b.String(), "\n") + "\n"
}
