package changelog

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// RenderOptions configures how commits become entries of a changelog. The zero
// value is ready to use.
type RenderOptions struct {
	// Sections maps types of commits to sections, the groups of a changelog. Other
	// types are left out, unless the commit is a breaking change. The type ""
	// stands for commits that are not Conventional Commits and that
	// HistoryOptions.Changes counts. Default [DefaultSections].
	Sections map[string]string
	// Repository is the URL of the repository, for links to comparisons, pull
	// requests, issues and commits. If empty, there are no links.
	Repository string
	// Forge decides the form of links. Default [ForgeOf] the Repository.
	Forge Forge
	// TagPrefix precedes the version in tags. Default "v".
	TagPrefix string
	// Commits adds the short hash to each entry, as a link if there is a Repository.
	Commits bool
	// Authors adds the name of the author to each entry.
	Authors bool
	// Entry writes one entry. Default: scope, marks, description and the notes of
	// breaking changes. Its output is Markdown and becomes one list item.
	Entry func(EntryData) string
	// Fragments replace the texts and the sections of commits: the fragment "123"
	// replaces what a commit says whose subject refers to #123. Fragments that
	// no commit refers to are for [Changelog.AddFragments].
	Fragments []Fragment
	// Accounted reports whether CHANGELOG.md already accounts for a commit, by its
	// hash. AddRelease leaves such commits out. If nil, the file alone decides.
	Accounted func(hash string) bool

	forge forgeLinks // set by withDefaults
}

// EntryData is what an entry is made of. All texts are Markdown: what comes from a
// commit is escaped, so that it shows as it was written.
type EntryData struct {
	Change      *LogChange
	Scope       string
	Description string // of the commit, or the text of its Release-Note footer
	Breaking    bool
	Reverted    bool     // the commit takes back something that was released
	Notes       []string // of breaking changes, if they differ from the description
	Commit      string   // short hash, with its link; "" unless Commits is true
	Author      string   // "" unless Authors is true
}

// DefaultSections maps the types of commits that affect users to sections. It
// returns a new map each time.
func DefaultSections() map[string]string {
	return map[string]string{
		"feat": "Added", "feature": "Added", "perf": "Changed", "change": "Changed", "deprecate": "Deprecated",
		"remove": "Removed", "fix": "Fixed", "security": "Security", "": "Changed",
	}
}

// Render groups the changes of a release into sections, in the order of Keep a
// Changelog. Within a section, changes of one scope are adjacent, the oldest
// first. Breaking changes come first and are marked "**Breaking:**". A revert of
// a released feature is listed under Removed, and any other revert under Changed.
//
// A footer "Release-Note: text" replaces the description of its commit, and
// "Release-Note: none" leaves the commit out, unless it is a breaking change.
// [LogRelease.NotShown] lists the commits that are left out.
func (l *LogRelease) Render(o RenderOptions) []Section {
	drafts := l.draft(o)
	sections := make([]Section, 0, len(drafts))
	for _, d := range drafts {
		s := Section{Name: d.name, Entries: make([]string, len(d.entries))}
		for i, e := range d.entries {
			s.Entries[i] = e.text
		}
		sections = append(sections, s)
	}
	return sections
}

// draftSection is a rendered section whose entries know their commits.
type draftSection struct {
	name    string
	entries []*draft
}

type draft struct {
	scope, text string
	commits     []*LogChange
}

func (l *LogRelease) draft(o RenderOptions) []draftSection {
	o = o.withDefaults()
	breaking, usual := map[string][]*draft{}, map[string][]*draft{}
	scopes := map[string]int{} // the order in which they first appear
	type place struct{ section, text string }
	seen := map[place]*draft{}
	var names []string
	for i := range slices.Backward(l.Changes) {
		c := &l.Changes[i]
		section := o.section(c)
		if section == "" || o.hidden(c) {
			continue
		}
		text := o.entry(c)
		if d := seen[place{section, text}]; d != nil { // a change may be cherry-picked twice
			d.commits = append(d.commits, c)
			continue
		}
		group := usual
		if c.Breaking {
			group = breaking
		}
		if len(breaking[section])+len(usual[section]) == 0 {
			names = append(names, section)
		}
		if _, known := scopes[c.Scope]; !known {
			scopes[c.Scope] = len(scopes)
		}
		d := &draft{c.Scope, text, []*LogChange{c}}
		seen[place{section, text}] = d
		group[section] = append(group[section], d)
	}
	slices.SortStableFunc(names, func(a, b string) int { return sectionRank(a) - sectionRank(b) })
	sections := make([]draftSection, len(names))
	for i, name := range names {
		sections[i].name = name
		for _, group := range [][]*draft{breaking[name], usual[name]} {
			slices.SortStableFunc(group, func(a, b *draft) int { return scopes[a.scope] - scopes[b.scope] })
			sections[i].entries = append(sections[i].entries, group...)
		}
	}
	return sections
}

func (o RenderOptions) withDefaults() RenderOptions {
	if o.Sections == nil {
		o.Sections = DefaultSections()
	}
	o.forge = o.links()
	return o
}

// note returns the footer Release-Note of a commit.
func (c *LogChange) note() (text string, ok bool) {
	for value := range c.Values("Release-Note") {
		text, ok = value, true
	}
	return text, ok
}

// hidden reports whether the author of a commit has excluded it from the notes.
func (o *RenderOptions) hidden(c *LogChange) bool {
	note, ok := c.note()
	return ok && o.fragment(c) == nil && !c.Breaking && strings.EqualFold(note, "none")
}

// fragment returns the fragment of a commit, or nil.
func (o *RenderOptions) fragment(c *LogChange) *Fragment {
	if len(o.Fragments) == 0 {
		return nil
	}
	for _, ref := range c.References() {
		if ref.Action != "" || ref.Repository != "" {
			continue
		}
		for i := range o.Fragments {
			if o.Fragments[i].Name == ref.Number {
				return &o.Fragments[i]
			}
		}
	}
	return nil
}

func (o *RenderOptions) section(c *LogChange) string {
	if f := o.fragment(c); f != nil {
		return f.Section
	}
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
	d := EntryData{Change: c, Scope: escapeInline(c.Scope, false), Breaking: c.Breaking, Reverted: len(c.Reverts) > 0}
	links := o.forge
	note, noted := c.note()
	noted = noted && note != "" && !strings.EqualFold(note, "none")
	if f := o.fragment(c); f != nil {
		d.Description = f.Text
	} else if noted {
		d.Description = links.linkReferences(escapeBlock(note, true))
	} else {
		d.Description = links.linkReferences(escapeLine(c.Description, false, false))
	}
	for _, text := range c.Breaks() {
		if text != c.Description {
			d.Notes = append(d.Notes, escapeBlock(text, false))
		}
	}
	if o.Commits && c.Hash != "" {
		d.Commit = escapeInline(shortHash(c.Hash), false)
		if links.base != "" {
			d.Commit = "[" + d.Commit + "](" + links.commit(url.PathEscape(c.Hash)) + ")"
		}
	}
	if o.Authors {
		d.Author = escapeInline(c.Author, false)
	}
	write := o.Entry
	if write == nil {
		write = EntryData.String
	}
	text := strings.TrimSpace(contain(write(d)))
	if text == "" {
		return shortHash(c.Hash) + " (no description)"
	}
	return text
}

// links returns the links of the repository, or none if it has no valid URL.
func (o *RenderOptions) links() forgeLinks {
	if o.Repository == "" {
		return forgeLinks{}
	}
	links, err := newForgeLinks(o.Repository, o.Forge)
	if err != nil {
		return forgeLinks{}
	}
	return links
}

// String returns the entry in its default form.
func (d EntryData) String() string {
	var b strings.Builder
	if d.Scope != "" {
		b.WriteString("**" + d.Scope + "**: ")
	}
	if d.Breaking {
		b.WriteString("**Breaking:** ")
	}
	if d.Reverted {
		b.WriteString("reverted: ")
	}
	b.WriteString(d.Description)
	if d.Commit != "" {
		b.WriteString(" (" + d.Commit + ")")
	}
	if d.Author != "" {
		b.WriteString(", by " + d.Author)
	}
	for _, note := range d.Notes {
		b.WriteString("\n" + note)
	}
	return b.String()
}

const changelogHead = `# Changelog

All notable changes to this project are documented in this file. The format is
based on [Keep a Changelog](https://keepachangelog.com/en/2.0.0/), and this
project adheres to [Semantic Versioning](https://semver.org/spec/v2.0.0.html).

`

// Changelog renders the whole history as a new changelog. Its entries are bound to
// their commits, as by [Changelog.AddRelease].
func (h *History) Changelog(o RenderOptions) *Changelog {
	var b strings.Builder
	changes := 0
	for i := range h.Releases {
		changes += len(h.Releases[i].Changes)
	}
	const typical = 100 // bytes of an entry
	b.Grow(len(changelogHead) + changes*typical)
	b.WriteString(changelogHead)
	bracket := o.links().base != ""
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
			sections := l.draft(o)
			for j := range sections {
				for _, d := range sections[j].entries {
					d.text = bind(d.text, d.commits)
				}
			}
			writeSections(&b, texts(sections))
		} else {
			b.WriteString("## " + name(l.Version.String()) + " - " + l.Time.Format(time.DateOnly) + "\n\n")
			writeSections(&b, l.Render(o))
		}
	}
	c := &Changelog{lines: slices.Collect(strings.Lines(strings.TrimRight(b.String(), "\n") + "\n"))}
	c.scan()
	if bracket {
		prefix := o.TagPrefix
		if prefix == "" {
			prefix = "v"
		}
		_ = c.fixLinks(o.links(), prefix, nil)
	}
	if len(h.graph.hashes) > 0 {
		c.setThrough(h.newest())
	}
	return c
}

func texts(drafts []draftSection) []Section {
	sections := make([]Section, len(drafts))
	for i, d := range drafts {
		sections[i].Name = d.name
		for _, e := range d.entries {
			sections[i].Entries = append(sections[i].Entries, e.text)
		}
	}
	return sections
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
