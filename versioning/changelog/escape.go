package changelog

import "strings"

// escapeInline returns the text of one line as Markdown that shows exactly this text.
// Code spans in backticks stay. If markdown is true, links and
// emphasis stay too, and only HTML is escaped.
func escapeInline(s string, markdown bool) string {
	s = strings.TrimSpace(strings.Map(visible, s))
	if !strings.ContainsAny(s, "`<&\\*~_[]") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		if s[i] == '`' {
			if n := codeSpan(s[i:]); n > 0 {
				b.WriteString(s[i : i+n])
				i += n
				continue
			}
			b.WriteString("\\`")
			i++
			continue
		}
		if escapes(s, i, markdown) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// visible replaces control characters by spaces.
func visible(r rune) rune {
	if r < ' ' || r == 0x7F || r == '\u2028' || r == '\u2029' {
		return ' '
	}
	return r
}

// escapes reports whether s[i] would be markup.
func escapes(s string, i int, markdown bool) bool {
	next := byte(' ')
	if i+1 < len(s) {
		next = s[i+1]
	}
	switch s[i] {
	case '<':
		return next|0x20-'a' <= 'z'-'a' || next == '/' || next == '!' || next == '?'
	case '&':
		end := strings.IndexByte(s[i:], ';')
		return end > 1 && !strings.ContainsAny(s[i:i+end], " \t")
	case '\\':
		return !markdown && next-'!' <= '~'-'!' && !alphanumeric(next)
	case '*', '~':
		return !markdown
	case '_':
		return !markdown && (i == 0 || i+1 == len(s) || !alphanumeric(s[i-1]) || !alphanumeric(next))
	case '[', ']':
		return !markdown
	}
	return false
}

func alphanumeric(c byte) bool { return c-'0' <= 9 || c|0x20-'a' <= 'z'-'a' || c >= 0x80 }

// codeSpan returns the length of the code span at the start of s, or 0.
func codeSpan(s string) int {
	n := 0
	for n < len(s) && s[n] == '`' {
		n++
	}
	for at := n; at < len(s); {
		next := strings.IndexByte(s[at:], '`')
		if next < 0 {
			return 0
		}
		at += next
		end := at
		for end < len(s) && s[end] == '`' {
			end++
		}
		if end-at == n {
			return end
		}
		at = end
	}
	return 0
}

// escapeStart escapes the first character of a line that would begin a block: a
// heading, a quotation, a rule, a table or an underline.
func escapeStart(line string, lists bool) string {
	if line == "" {
		return line
	}
	switch line[0] {
	case '#', '>', '=', '|':
		return "\\" + line
	case '-', '+', '*':
		if lists && len(line) > 1 && line[1] == ' ' && strings.Trim(line, "-*+ ") != "" {
			return line
		}
		return "\\" + line
	case '~', '`':
		if strings.HasPrefix(line, "~~~") || strings.HasPrefix(line, "```") {
			return "\\" + line
		}
	}
	digits := 0
	for digits < len(line) && line[digits]-'0' <= 9 {
		digits++
	}
	if !lists && digits > 0 && digits < len(line) && (line[digits] == '.' || line[digits] == ')') && (digits+1 == len(line) || line[digits+1] == ' ') {
		return line[:digits] + "\\" + line[digits:]
	}
	return line
}

// escapeLine is escapeInline for a whole line.
func escapeLine(s string, lists, markdown bool) string {
	escaped := escapeInline(s, markdown)
	if strings.HasPrefix(escaped, "\\") {
		return escaped
	}
	return escapeStart(escaped, lists)
}

// escapeBlock returns a text of several lines as Markdown within a list item. Code
// blocks that are closed and do not come first, lists and paragraphs stay; everything
// else is escaped as by escapeInline.
func escapeBlock(text string, markdown bool) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	out := make([]string, 0, len(lines))
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t")
		if fence := opensFence(line); fence != "" && len(out) > 0 {
			if end := closing(lines[i+1:], fence); end >= 0 {
				indent := len(line) - len(strings.TrimLeft(line, " "))
				for _, code := range lines[i : i+end+2] {
					out = append(out, strings.TrimRight(cutIndent(code, indent), " \t\r"))
				}
				i += end + 1
				continue
			}
		}
		indent := min(len(line)-len(strings.TrimLeft(line, " ")), 3)
		switch {
		case line == "":
			out = append(out, "")
		case bullet(strings.TrimLeft(line, " ")) > 0:
			item := strings.TrimLeft(line, " ")
			out = append(out, strings.Repeat(" ", indent&^1)+item[:1]+" "+escapeLine(item[bullet(item):], false, markdown))
		default:
			out = append(out, strings.Repeat(" ", indent&^1)+escapeLine(line, true, markdown))
		}
	}
	return strings.Trim(strings.Join(out, "\n"), "\n")
}

// closing returns the index of the line that closes a fence, or -1.
func closing(lines []string, fence string) int {
	for i, line := range lines {
		if closesFence(line, fence) {
			return i
		}
	}
	return -1
}

func cutIndent(line string, n int) string {
	for n > 0 && strings.HasPrefix(line, " ") {
		line, n = line[1:], n-1
	}
	return line
}

// contain makes the text of an entry safe to insert: it ends code blocks and comments
// that are still open, and HTML comments cannot start a line.
func contain(entry string) string {
	if !strings.Contains(entry, "```") && !strings.Contains(entry, "~~~") && !strings.Contains(entry, "<!--") {
		return entry
	}
	fence := ""
	lines := strings.Split(entry, "\n")
	for i, line := range lines {
		switch {
		case fence != "":
			if closesFence(line, fence) {
				fence = ""
			}
		case opensFence(cutBullet(line)) != "":
			fence = opensFence(cutBullet(line))
		case strings.HasPrefix(strings.TrimLeft(line, " "), "<!--"):
			lines[i] = strings.Replace(line, "<!--", "\\<!--", 1)
		}
	}
	if fence != "" {
		lines = append(lines, fence)
	}
	return strings.Join(lines, "\n")
}

func cutBullet(line string) string { return line[bullet(line):] }
