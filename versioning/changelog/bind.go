package changelog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Entries that were drafted from commits have a comment at the end of a line that
// names the commits, and a comment near the end of the file names the newest commit
// that was considered. So people can reword, merge, move and delete entries: no
// commit is drafted twice.
const (
	bindingOpen  = " <!-- "
	bindingClose = " -->"
	throughOpen  = "<!-- changelog: through "
)

const (
	hashLength = 10 // of a commit in a binding
	keyLength  = 8  // of the digest of its header, which survives a rebase
)

// binding names one commit.
type binding struct{ hash, key string }

func bindingOf(c *LogChange) (b binding, ok bool) {
	if len(c.Hash) < hashLength || !isHex(c.Hash) {
		return b, false
	}
	sum := sha256.Sum256([]byte(c.header()))
	return binding{c.Hash[:hashLength], hex.EncodeToString(sum[:])[:keyLength]}, true
}

func (b binding) String() string { return b.hash + "." + b.key }

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// bind adds the commits to the first line of an entry.
func bind(text string, commits []*LogChange) string {
	var bindings []binding
	for _, c := range commits {
		if b, ok := bindingOf(c); ok {
			bindings = append(bindings, b)
		}
	}
	return bindTo(text, bindings)
}

func bindTo(text string, bindings []binding) string {
	if len(bindings) == 0 {
		return text
	}
	words := make([]string, len(bindings))
	for i, b := range bindings {
		words[i] = b.String()
	}
	first, rest, more := strings.Cut(text, "\n")
	first += bindingOpen + strings.Join(words, " ") + bindingClose
	if more {
		first += "\n" + rest
	}
	return first
}

// unbind removes the binding at the end of a line.
func unbind(line string) (text string, bindings []binding) {
	trimmed := strings.TrimRight(line, " \t")
	inner, ok := strings.CutSuffix(trimmed, bindingClose)
	at := strings.LastIndex(inner, bindingOpen)
	if !ok || at < 0 {
		return line, nil
	}
	for word := range strings.FieldsSeq(inner[at+len(bindingOpen):]) {
		hash, key, _ := strings.Cut(word, ".")
		if len(hash) < 7 || !isHex(hash) || key != "" && !isHex(key) {
			return line, nil
		}
		bindings = append(bindings, binding{hash, key})
	}
	if bindings == nil {
		return line, nil
	}
	return strings.TrimRight(inner[:at], " \t"), bindings
}

// through returns the commits that the file names as the newest that it considers.
func (c *Changelog) through() []string {
	var hashes []string
	for i, m := range c.marks {
		if m.kind != markState {
			continue
		}
		for word := range strings.FieldsSeq(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(c.lines[i]), throughOpen), "-->")) {
			if len(word) >= 7 && isHex(word) {
				hashes = append(hashes, word)
			}
		}
	}
	return hashes
}

// keptThrough is the number of commits that the comment names. A rebase may remove
// the newest from the history; then an earlier one still counts.
const keptThrough = 8

// setThrough replaces the comment that names the newest commit, and keeps earlier ones.
func (c *Changelog) setThrough(hash string, earlier ...string) {
	if len(hash) < hashLength || !isHex(hash) {
		return
	}
	names := append([]string{hash}, slices.DeleteFunc(earlier, func(s string) bool { return s == hash })...)
	line := throughOpen + strings.Join(names[:min(len(names), keptThrough)], " ") + bindingClose
	first := -1
	for i := len(c.marks) - 1; i >= 0; i-- {
		if c.marks[i].kind == markState {
			if first >= 0 {
				c.remove(first, 1)
			}
			first = i
		}
	}
	if first >= 0 {
		old := c.lines[first]
		c.lines[first] = line + old[len(trimEOL(old)):]
		return
	}
	at := c.unclosed
	for at > 0 && c.marks[at-1].kind == markBlank {
		at--
	}
	if at > 0 {
		c.insert(at, "", line)
	} else {
		c.insert(at, line)
	}
}

// Adopt declares that the file accounts for all commits of a history, however its
// entries are worded. Later calls of [Changelog.AddRelease] add what follows.
func (c *Changelog) Adopt(h *History) error {
	if len(h.graph.hashes) == 0 {
		return nil
	}
	hash := h.newest()
	if len(hash) < hashLength || !isHex(hash) {
		return fmt.Errorf("changelog: adopt: the newest commit has no hash (have %q, want %d or more hexadecimal digits)", clipText(hash), hashLength)
	}
	c.setThrough(hash)
	return nil
}

// Drafted reports whether the file names the newest commit that it accounts for, after
// [Changelog.AddRelease] or [Changelog.Adopt].
func (c *Changelog) Drafted() bool { return len(c.through()) > 0 }

// newest returns the hash of the newest commit that the history contains.
func (h *History) newest() string { return h.graph.hashes[h.graph.newest] }

// account says which commits a file accounts for.
type account struct {
	history   *History
	options   *RenderOptions
	index     map[string]int // of commits, by the first digits of their hashes
	contained []bool         // considered before, by index
	hashes    map[string]bool
	orphans   map[string]bool // keys of bindings whose commits are not in the history
	returned  map[string]bool // commits whose revert was reverted
}

func (c *Changelog) account(l *LogRelease, o *RenderOptions) *account {
	a := &account{history: l.history, options: o, hashes: map[string]bool{}, orphans: map[string]bool{}, returned: map[string]bool{}}
	through := c.through()
	if a.history != nil {
		g := &a.history.graph
		a.index = make(map[string]int, len(g.hashes))
		for i, hash := range g.hashes {
			if len(hash) >= hashLength {
				a.index[hash[:hashLength]] = i
			}
		}
		var from []int
		for _, hash := range through {
			if i := g.find(hash); i >= 0 {
				from = append(from, i)
			}
		}
		if len(from) > 0 {
			a.contained = g.ancestors(from...)
		}
	}
	for i := range c.lines {
		if c.marks[i].kind == markText {
			_, bindings := unbind(trimEOL(c.lines[i]))
			for _, b := range bindings {
				a.hashes[b.hash[:min(len(b.hash), hashLength)]] = true
				if _, known := a.index[b.hash[:min(len(b.hash), hashLength)]]; !known && b.key != "" {
					a.orphans[b.key] = true
				}
			}
		}
	}
	return a
}

// considered reports whether a commit was considered before.
func (a *account) considered(hash string) bool {
	if len(hash) < hashLength || a.contained == nil {
		return false
	}
	i, known := a.index[hash[:hashLength]]
	return known && a.contained[i]
}

// has reports whether the file accounts for a commit.
func (a *account) has(c *LogChange) bool {
	b, ok := bindingOf(c)
	switch {
	case ok && (a.hashes[b.hash] || a.orphans[b.key]):
		return true
	case a.returned[c.Hash]:
		return false
	}
	return a.considered(c.Hash) || a.options.Accounted != nil && a.options.Accounted(c.Hash)
}

// AddRelease adds the changes of a release to the unreleased changes. Each entry is
// bound to its commits by an HTML comment, and another comment at the end of the
// file names the newest commit. So an entry that people have reworded, merged, moved
// or deleted does not come back, and neither does an entry that [Changelog.Cut] has
// moved to a release that is not tagged yet. If a commit was reverted since, its
// unreleased entry is removed. If nothing is to be added or removed, the file does
// not change.
//
// It returns a [*HeadingError] if the file has a heading that it cannot read.
func (c *Changelog) AddRelease(l *LogRelease, o RenderOptions) error {
	if err := c.understood(); err != nil {
		return err
	}
	a := c.account(l, &o)
	changed := c.removeReverted(l, a)
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
	for _, section := range l.draft(o) {
		for _, d := range section.entries {
			fresh := slices.DeleteFunc(slices.Clone(d.commits), a.has)
			if len(fresh) == 0 || present[section.name+"\x00"+normal(d.text)] {
				continue
			}
			if err := c.Add(section.name, bind(d.text, fresh)); err != nil {
				return err
			}
			changed = true
		}
	}
	if changed && a.history != nil {
		c.setThrough(l.newest, c.through()...)
	}
	return nil
}

// normal returns an entry as Releases returns it after Add.
func normal(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// removeReverted removes unreleased entries whose commits were all reverted since the
// file was written.
func (c *Changelog) removeReverted(l *LogRelease, a *account) (changed bool) {
	reverted := map[string]bool{}
	for i := range l.Skipped {
		s := &l.Skipped[i]
		if s.RevertedBy == "" || a.considered(s.RevertedBy) {
			continue
		}
		if len(s.Hash) >= hashLength {
			reverted[s.Hash[:hashLength]] = true
		}
		if len(s.reverts) > 0 && a.considered(s.Hash) {
			for _, hash := range s.reverts { // a revert that was reverted
				for j := range l.Changes {
					if strings.HasPrefix(l.Changes[j].Hash, hash) {
						a.returned[l.Changes[j].Hash] = true
					}
				}
			}
		}
	}
	if len(reverted) == 0 {
		return false
	}
	for i := len(c.releases) - 1; i >= 0; i-- {
		if !c.releases[i].head.unreleased {
			continue
		}
		s := c.releases[i]
		for line := s.end - 1; line >= s.body; line-- {
			if c.marks[line].kind != markText {
				continue
			}
			text, bindings := unbind(trimEOL(c.lines[line]))
			kept := slices.DeleteFunc(slices.Clone(bindings), func(b binding) bool { return reverted[b.hash[:min(len(b.hash), hashLength)]] })
			switch {
			case len(kept) == len(bindings):
			case len(kept) > 0:
				c.lines[line] = bindTo(text, kept) + c.lines[line][len(trimEOL(c.lines[line])):]
				changed = true
			default:
				for line > s.body && bullet(trimEOL(c.lines[line])) == 0 {
					line-- // the binding may be on any line of its entry
				}
				c.removeEntry(line, s.end)
				changed = true
			}
		}
	}
	return changed
}

// removeEntry removes the list item whose first line is at i, and the heading of its
// section if nothing is left below it.
func (c *Changelog) removeEntry(i, end int) {
	last := i + 1
	for last < end && c.marks[last].kind != markSection && c.marks[last].kind != markState && c.marks[last].kind != markLink && c.marks[last].kind != markComment && (c.marks[last].kind != markText || bullet(trimEOL(c.lines[last])) == 0) {
		last++
	}
	for last > i+1 && c.marks[last-1].kind == markBlank {
		last--
	}
	c.remove(i, last-i)
	start := i - 1
	for start > 0 && c.marks[start].kind == markBlank {
		start--
	}
	next := i
	for next < len(c.lines) && c.marks[next].kind == markBlank {
		next++
	}
	more := next < len(c.lines) && (c.marks[next].kind == markText || c.marks[next].kind == markCode || c.marks[next].kind == markComment)
	if c.marks[start].kind == markSection && !more {
		c.remove(start, next-start)
	}
}

// HeadingError means that a changelog has a heading that looks like the heading of a
// release and that cannot be read, so that the file cannot be edited.
type HeadingError struct {
	Line int // from 1
	Text string
}

func (e *HeadingError) Error() string {
	return fmt.Sprintf("changelog: line %d: heading not understood (have %q, want one such as \"## [1.2.0] - 2026-06-07\")", e.Line, clipText(e.Text))
}

// understood returns a [*HeadingError] for the first heading that was not understood.
func (c *Changelog) understood() error {
	for i, m := range c.marks {
		if m.kind == markForeign {
			return &HeadingError{i + 1, trimEOL(c.lines[i])}
		}
	}
	return nil
}
