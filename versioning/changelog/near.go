package changelog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-go/serin/versioning"
)

// commonTypes are the types of commits that many projects use and that do not
// affect users.
var commonTypes = []string{"build", "chore", "ci", "docs", "doc", "refactor", "style", "test", "tests", "revert", "release", "deps", "wip", "merge", "examples", "types"}

// mistyped returns a reason if a type of commits is probably a misspelt one that
// counts, "faet", and "" otherwise.
func mistyped(typ string, sizes map[string]versioning.Change) string {
	const shortest = 3
	if _, known := sizes[typ]; known || len(typ) < shortest || slices.Contains(commonTypes, typ) {
		return ""
	}
	best := ""
	for name, size := range sizes {
		if size > versioning.None && name != "" && oneEditApart(typ, name) && (best == "" || name < best) {
			best = name
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("unknown type %q; did you mean %q?", typ, best)
}

// oneEditApart reports whether one inserted, deleted or replaced letter, or two
// letters in the wrong order, make a to b.
func oneEditApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	at := 0
	for at < len(a) && a[at] == b[at] {
		at++
	}
	switch len(b) - len(a) {
	case 1:
		return a[at:] == b[at+1:]
	case 0:
		if at == len(a) {
			return false
		}
		return a[at+1:] == b[at+1:] || at+1 < len(a) && a[at] == b[at+1] && a[at+1] == b[at] && a[at+2:] == b[at+2:]
	}
	return false
}

// NotShown returns the commits of the release that [LogRelease.Render] leaves out
// with these options, each with the reason: those that are skipped, and those whose
// type has no section. Together with the rendered changes these are all commits of
// the release.
func (l *LogRelease) NotShown(o RenderOptions) []Skipped {
	o = o.withDefaults()
	all := slices.Clone(l.Skipped)
	for i := range l.Changes {
		c := &l.Changes[i]
		if o.section(c) == "" {
			all = append(all, Skipped{Hash: c.Hash, Header: c.header(), Reason: fmt.Sprintf("type %q has no section", c.Type)})
		} else if o.hidden(c) {
			all = append(all, Skipped{Hash: c.Hash, Header: c.header(), Reason: "its Release-Note footer is \"none\""})
		}
	}
	return all
}

// Remarks returns the lines of commit messages that look like a footer or a breaking
// change and are not, such as "BREAKING CHANGES: ...".
func (l *LogRelease) Remarks() []Skipped {
	var remarks []Skipped
	for i := range l.Changes {
		c := &l.Changes[i]
		for _, ignored := range c.Ignored {
			if strings.HasPrefix(ignored.Reason, "no blank line") {
				continue // of no consequence
			}
			remarks = append(remarks, Skipped{Hash: c.Hash, Header: c.header(), Reason: fmt.Sprintf("%q: %s", clipText(ignored.Text), ignored.Reason)})
		}
	}
	return remarks
}

func clipText(s string) string {
	const longest = 80
	return s[:min(len(s), longest)]
}

// header returns the header of the commit.
func (c *LogChange) header() string {
	s := c.Type
	if s == "" {
		return c.Description
	}
	if c.Scope != "" {
		s += "(" + c.Scope + ")"
	}
	if c.Breaking {
		s += "!"
	}
	return s + ": " + c.Description
}
