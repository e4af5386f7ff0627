package changelog

import (
	"strings"

	"github.com/serin-go/serin/versioning"
)

// mark classifies a line.
type mark struct {
	kind markKind
	text string // of a section's heading; the label of a link
	head heading
}

type markKind uint8

const (
	markText    markKind = iota
	markBlank            // only blanks
	markRelease          // the heading of a release
	markSection          // the heading of a section
	markHeading          // another heading at the level of releases or above
	markLink             // a link definition
	markCode             // in a code block, including its fences
	markComment          // in a comment
	markState            // the comment that names the newest commit
	markForeign          // a heading that looks like a release and cannot be read
)

// heading is the parsed heading of a release.
type heading struct {
	name       string
	version    versioning.Version
	unreleased bool
	bracket    bool
	yanked     bool
	inline     bool // its link is in the heading itself
	dash       string
	date       string
	level      int
	lines      int // 2 for an underlined heading
}

// span is the position of a release: lines[start] is its heading, and
// lines[body:end] its content.
type span struct {
	start, body, end int
	head             heading
}

// scan classifies each line. It reads each line once.
func (c *Changelog) scan() {
	c.marks = make([]mark, len(c.lines))
	c.releases = c.releases[:0]
	c.links = map[string]int{}
	var fence string
	comment := false
	began := 0 // first line of the open code block or comment
	level := 0 // of the open release
	c.sections = 0
	for i := 0; i < len(c.lines); i++ {
		line := trimEOL(c.lines[i])
		if i == 0 {
			line = strings.TrimPrefix(line, "\uFEFF")
		}
		m := &c.marks[i]
		switch {
		case fence != "":
			m.kind = markCode
			if closesFence(line, fence) {
				fence = ""
			}
		case comment:
			m.kind = markComment
			comment = !strings.Contains(line, "-->")
		default:
			if fence = opensFence(line); fence != "" {
				m.kind, began = markCode, i
				continue
			}
			if n := bullet(line); n > 0 {
				if fence = opensFence(line[n:]); fence != "" { // an entry that begins with code
					began = i
					continue
				}
			}
			if strings.HasPrefix(line, throughOpen) && strings.HasSuffix(strings.TrimRight(line, " \t"), bindingClose) {
				m.kind = markState
				continue
			}
			if rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "<!--"); ok {
				m.kind, began = markComment, i
				comment = !strings.Contains(rest, "-->")
				continue
			}
			level = c.classify(i, line, level)
			if m.head.lines == 2 {
				i++ // the underline
			}
		}
	}
	c.unclosed = len(c.lines)
	if fence != "" || comment {
		c.unclosed = began
	}
	for i := range c.releases {
		end := c.unclosed
		if i+1 < len(c.releases) {
			end = c.releases[i+1].start
		}
		for j := c.releases[i].body; j < end; j++ {
			if c.marks[j].kind == markHeading {
				end = j
			}
		}
		c.releases[i].end = end
	}
}

// classify classifies a line that is neither code nor comment.
func (c *Changelog) classify(i int, line string, open int) (level int) {
	m := &c.marks[i]
	if blank(line) {
		m.kind = markBlank
		return open
	}
	text, depth, height := c.headingAt(i, line)
	if depth == 0 {
		if label, _, ok := linkDefinition(line); ok {
			m.kind, m.text = markLink, label
			if _, twice := c.links[strings.ToLower(label)]; !twice {
				c.links[strings.ToLower(label)] = i
			}
		}
		return open
	}
	m.head.lines = height
	if depth <= 3 {
		if head, ok := releaseHeading(text); ok {
			head.level, head.lines = depth, height
			m.kind, m.head = markRelease, head
			c.releases = append(c.releases, span{start: i, body: i + height, head: head})
			c.sections = 0
			return depth
		}
		if foreign(text) && (depth < 3 || open == 0 || open == 3) {
			m.kind = markForeign
			return open
		}
	}
	switch {
	case open == 0 || depth < 3 && depth <= open:
		m.kind = markHeading
	case depth == 3 || depth == open+1 || depth == 4 && (c.sections == 0 || c.sections == 4):
		// Some tools skip a level, and their sections begin with "####".
		m.kind, m.text = markSection, text
		c.sections = depth
	}
	return open
}

// headingAt returns the text, the depth and the number of lines of the heading at
// line i. A depth of 0 means that there is no heading.
func (c *Changelog) headingAt(i int, line string) (text string, depth, height int) {
	if strings.HasPrefix(line, "#") {
		depth = len(line) - len(strings.TrimLeft(line, "#"))
		rest := line[depth:]
		if depth > 6 || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return "", 0, 0
		}
		rest = strings.TrimSpace(rest)
		if trimmed := strings.TrimRight(rest, "#"); trimmed == "" || strings.HasSuffix(trimmed, " ") {
			rest = strings.TrimSpace(trimmed)
		}
		return rest, depth, 1
	}
	// Underlined: the next line is all "=" or all "-", and the line before is blank.
	if i+1 < len(c.lines) && line[0] != ' ' && bullet(line) == 0 && (i == 0 || blank(trimEOL(c.lines[i-1]))) {
		under := strings.TrimRight(trimEOL(c.lines[i+1]), " \t")
		switch {
		case len(under) >= 2 && strings.Trim(under, "=") == "":
			return strings.TrimSpace(line), 1, 2
		case len(under) >= 2 && strings.Trim(under, "-") == "":
			return strings.TrimSpace(line), 2, 2
		}
	}
	return "", 0, 0
}

// releaseHeading parses the text of a heading: "[1.2.0](link) - 2026-06-07 [YANKED]",
// "v1.2.0(2026-06-07)", "Version 1.2.0 (2026-06-07)", "1.2.0 / 2026-06-07",
// "[1.2.0/0.60.0] 2026-06-07" and similar forms. The first of several versions counts.
func releaseHeading(text string) (h heading, ok bool) {
	rest := text
	if inner, found := strings.CutPrefix(text, "["); found {
		var closed bool
		h.name, rest, closed = strings.Cut(inner, "]")
		if !closed {
			return h, false
		}
		h.bracket = true
		if strings.HasPrefix(rest, "(") {
			_, rest, closed = strings.Cut(rest, ")")
			if !closed {
				return h, false
			}
			h.inline = true
		}
	} else {
		for _, word := range []string{"Version ", "version ", "Release ", "release "} {
			text = strings.TrimPrefix(text, word)
		}
		end := strings.IndexAny(text, " \t(")
		if end < 0 {
			end = len(text)
		}
		h.name, rest = text[:end], text[end:]
	}
	switch v, err := headingVersion(h.name); {
	case err == nil:
		h.version = v
	case unreleasedName(h.name, rest):
		h.unreleased = true
	default:
		return h, false
	}
	if before, after, found := strings.Cut(rest, "[YANKED]"); found {
		h.yanked, rest = true, before+after
	}
	rest = strings.TrimSpace(rest)
	for _, dash := range []string{"-", "–", "—", "/", "on "} {
		if after, found := strings.CutPrefix(rest, dash); found {
			h.dash, rest = strings.TrimSpace(dash), strings.TrimSpace(after)
			break
		}
	}
	if strings.HasPrefix(rest, "(") && strings.HasSuffix(rest, ")") {
		h.dash, rest = "(", strings.TrimSpace(rest[1:len(rest)-1])
	}
	if h.unreleased && strings.EqualFold(strings.Trim(rest, "() "), "unreleased") {
		rest = ""
	}
	h.date = rest
	return h, true
}

// headingVersion parses the name of a release: "v1.2.0", "1.38.0/0.60.0",
// "component-v1.2.0", "component@1.2.0".
func headingVersion(name string) (versioning.Version, error) {
	name, _, _ = strings.Cut(name, "/")
	v, err := versioning.Parse(strings.TrimPrefix(name, "v"))
	if err == nil {
		return v, nil
	}
	for _, mark := range []string{"@", "-v"} {
		if at := strings.LastIndex(name, mark); at > 0 {
			if w, err := versioning.Parse(strings.TrimPrefix(name[at+len(mark):], "v")); err == nil {
				return w, nil
			}
		}
	}
	if strings.Trim(name, "v0123456789.") == "" && strings.Count(name, ".") == 1 {
		return versioning.ParseTolerant(name) // "1.2"
	}
	return v, err
}

// unreleasedName reports whether a heading stands for unreleased changes: "Unreleased",
// "main / unreleased", "Unreleased changes".
func unreleasedName(name, rest string) bool {
	if strings.EqualFold(name, "unreleased") {
		return true
	}
	rest = strings.ToLower(strings.Trim(rest, " /()-"))
	return rest == "unreleased" && !strings.ContainsAny(name, "0123456789")
}

// foreign reports whether a heading looks like the heading of a release: it begins
// with a version of any kind, or with such a word.
func foreign(text string) bool {
	text = strings.ToLower(strings.TrimLeft(text, "[ "))
	for _, word := range []string{"version", "release", "v"} {
		text = strings.TrimLeft(strings.TrimPrefix(text, word), " .:-")
	}
	digits := 0
	for digits < len(text) && text[digits]-'0' <= 9 {
		digits++
	}
	return digits > 0 && digits+1 < len(text) && text[digits] == '.' && text[digits+1]-'0' <= 9
}

// linkDefinition parses "[label]: target".
func linkDefinition(line string) (label, target string, ok bool) {
	rest, ok := strings.CutPrefix(line, "[")
	if !ok {
		return "", "", false
	}
	label, target, ok = strings.Cut(rest, "]:")
	target = strings.TrimSpace(target)
	if !ok || label == "" || target == "" || strings.ContainsAny(label, "[]") {
		return "", "", false
	}
	return label, target, true
}

// opensFence returns the fence at the start of a code block: three or more of "`"
// or "~".
func opensFence(line string) string {
	trimmed := strings.TrimLeft(line, " ")
	if len(trimmed) < 3 || trimmed[0] != '`' && trimmed[0] != '~' {
		return ""
	}
	rest := strings.TrimLeft(trimmed, trimmed[:1])
	fence := trimmed[:len(trimmed)-len(rest)]
	if len(fence) < 3 || fence[0] == '`' && strings.Contains(rest, "`") {
		return ""
	}
	return fence
}

func closesFence(line, fence string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(fence) && strings.Trim(line, fence[:1]) == ""
}

// bullet returns the offset of the text of a list item, or 0 if line is not one.
func bullet(line string) int {
	i := 0
	for i < len(line) && i < 2 && line[i] == ' ' {
		i++
	}
	if i < 2 && i+1 < len(line) && (line[i] == '-' || line[i] == '*' || line[i] == '+') && line[i+1] == ' ' {
		for i += 2; i < len(line) && line[i] == ' '; i++ {
		}
		return i
	}
	return 0
}

// blank reports whether a line has only blanks.
func blank(line string) bool { return strings.Trim(line, " \t") == "" }

func trimEOL(line string) string {
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
}
