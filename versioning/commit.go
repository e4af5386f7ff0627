package versioning

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// MaxMessageLength is the maximum length of a commit message in bytes.
const MaxMessageLength = 1 << 20

// Commit is a parsed commit message (Conventional Commits 1.0.0). Line ends are
// "\n", and invalid UTF-8 is replaced by U+FFFD.
type Commit struct {
	// Type is the kind of change, "feat", in lower case.
	Type string
	// Scope is the part of the code that changed, "parser", or "".
	Scope string
	// Description is the rest of the header.
	Description string
	// Body is the text between header and footers, without surrounding blank lines.
	Body string
	// Footers lists the trailers, in their order.
	Footers []Footer
	// Breaking reports whether the header has a "!" or there is a BREAKING CHANGE
	// footer.
	Breaking bool
	// Ignored lists lines that look like a footer or a breaking change, but are not.
	Ignored []Ignored
}

// Footer is one trailer of a commit message, "Refs: #12" or "Closes #12".
type Footer struct {
	Token string // as written: "Signed-off-by", "BREAKING CHANGE"
	Value string // may have several lines; begins with "#" if "#" is the separator
}

// Ignored is a text that was ignored, with the reason.
type Ignored struct {
	Text, Reason string
}

// CommitError means that a message is not a conventional commit.
type CommitError struct {
	// Header is the first non-empty line of the message.
	Header string
	// Pos is the byte offset of the problem in Header.
	Pos int
	// Problem describes the problem and the accepted form.
	Problem string
}

func (e *CommitError) Error() string {
	return fmt.Sprintf("versioning: commit %q: %s at byte %d", clip(e.Header), e.Problem, e.Pos)
}

// ParseCommit parses a commit message (Conventional Commits 1.0.0). It returns a
// [*CommitError] if the header is not "type(scope)!: description", or if the
// message is longer than [MaxMessageLength]. The body never causes an error.
//
// The specification leaves some cases open. ParseCommit converts types to lower
// case. It drops blanks around scope and description. A line directly below the
// header belongs to the body. The value of a footer ends at the next footer, and may
// contain blank lines. "BREAKING CHANGE:" at the end of a line counts, because
// editors and git remove trailing blanks.
func ParseCommit(message string) (Commit, error) {
	if len(message) > MaxMessageLength {
		return Commit{}, &CommitError{message[:shown], 0, fmt.Sprintf("too long (have %d bytes, want at most %d)", len(message), MaxMessageLength)}
	}
	if strings.IndexByte(message, '\r') >= 0 {
		message = strings.ReplaceAll(message, "\r\n", "\n")
	}
	if !utf8.ValidString(message) {
		message = strings.ToValidUTF8(message, "\uFFFD")
	}
	header, rest, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	var c Commit
	if pos, problem := c.header(header); problem != "" {
		return Commit{}, &CommitError{header, pos, problem}
	}
	if rest != "" {
		c.rest(rest)
	}
	return c, nil
}

const headerForm = `want "type: description" or "type(scope)!: description"`

// header parses "type(scope)!: description".
func (c *Commit) header(s string) (pos int, problem string) {
	i, upper := 0, false
type_:
	for ; i < len(s); i++ {
		switch b := s[i]; {
		case b == '(' || b == ')' || b == ':' || b == '!' || b <= ' ':
			break type_
		case b-'A' <= 'Z'-'A' || b >= utf8.RuneSelf:
			upper = true
		}
	}
	if i == 0 || i == len(s) {
		return i, "no type before a colon, " + headerForm
	}
	c.Type = s[:i]
	if upper {
		c.Type = strings.ToLower(c.Type)
	}
	if s[i] == '(' {
		end := strings.IndexAny(s[i+1:], "()")
		if end < 0 || s[i+1+end] == '(' {
			return i, "malformed scope, want a noun in one pair of parentheses"
		}
		c.Scope = strings.TrimSpace(s[i+1 : i+1+end])
		if c.Scope == "" {
			return i, "the scope is empty"
		}
		i += end + 2
	}
	if i < len(s) && s[i] == '!' {
		c.Breaking = true
		i++
	}
	if i >= len(s) || s[i] != ':' {
		return i, "no colon after type and scope, " + headerForm
	}
	if i+1 >= len(s) || s[i+1] != ' ' {
		return i + 1, "no space after the colon, " + headerForm
	}
	c.Description = strings.TrimSpace(s[i+1:])
	if c.Description == "" {
		return i + 1, "the description is empty"
	}
	return 0, ""
}

const breakingForm = "a breaking change needs \"BREAKING CHANGE: \" at the start of a line, in capitals and with a space after the colon"

// rest parses the text below the header: the body up to the first paragraph that
// begins with a footer, and then the footers.
func (c *Commit) rest(s string) {
	bodyEnd, valueStart := -1, 0 // end of the body; start of the open footer's value
	paragraph := false           // the line before was blank
	lines := 0
	var unclosed [2]int
	for at := 0; at < len(s); {
		end := strings.IndexByte(s[at:], '\n')
		next := len(s)
		if end >= 0 {
			next = at + end + 1
			end += at
		} else {
			end = len(s)
		}
		line := s[at:end]
		if blankLine(line) {
			paragraph = true
			at = next
			continue
		}
		if after := codeBlock(s[at:], &unclosed); after > 0 {
			// Code is not a footer, whatever its lines look like.
			lines++
			paragraph = false
			at += after
			continue
		}
		token, value := footer(line)
		switch {
		case token == "":
			if suspicious(line) {
				c.ignore(line, breakingForm)
			}
		case bodyEnd < 0 && !paragraph:
			if strings.HasPrefix(token, "BREAKING") {
				c.ignore(line, "a footer needs a blank line before it")
			}
		default:
			if bodyEnd < 0 {
				bodyEnd = at
			} else {
				c.closeFooter(s[valueStart:at])
			}
			if nearBreaking(token) && token != "BREAKING CHANGE" && token != "BREAKING-CHANGE" {
				c.ignore(line, breakingForm)
			}
			c.Footers = append(c.Footers, Footer{Token: token})
			valueStart = at + value
		}
		if lines == 0 && !paragraph && token == "" {
			c.ignore(line, "no blank line after the header")
		}
		lines++
		paragraph = false
		at = next
	}
	if bodyEnd < 0 {
		c.Body = trimBlank(s)
		return
	}
	c.Body = trimBlank(s[:bodyEnd])
	c.closeFooter(s[valueStart:])
}

// codeBlock returns the length of the fenced code block at the start of s, or 0.
// unclosed holds the shortest fences of "`" and of "~" that no later line closes.
func codeBlock(s string, unclosed *[2]int) int {
	const shortest = 3
	line, _, _ := strings.Cut(s, "\n")
	line = strings.TrimLeft(line, " ")
	if len(line) < shortest || line[0] != '`' && line[0] != '~' {
		return 0
	}
	length := len(line) - len(strings.TrimLeft(line, line[:1]))
	kind := &unclosed[0]
	if line[0] == '~' {
		kind = &unclosed[1]
	}
	if length < shortest || line[0] == '`' && strings.Contains(line[length:], "`") || *kind > 0 && length >= *kind {
		return 0
	}
	mark := line[:1]
	for at := strings.IndexByte(s, '\n') + 1; at > 0 && at < len(s); {
		line, _, found := strings.Cut(s[at:], "\n")
		at += len(line)
		if found {
			at++
		}
		if closing := strings.TrimSpace(line); len(closing) >= length && strings.Trim(closing, mark) == "" {
			return at
		}
	}
	*kind = length
	return 0
}

// trimBlank removes leading blank lines and trailing white space.
func trimBlank(s string) string {
	for {
		line, rest, found := strings.Cut(s, "\n")
		if !found || !blankLine(line) {
			break
		}
		s = rest
	}
	return strings.TrimRight(s, " \t\n")
}

func (c *Commit) ignore(text, reason string) {
	c.Ignored = append(c.Ignored, Ignored{text, reason})
}

func (c *Commit) closeFooter(value string) {
	f := &c.Footers[len(c.Footers)-1]
	f.Value = strings.TrimSpace(value)
	if f.breaking() {
		c.Breaking = true
	}
}

// breaking reports whether f is BREAKING CHANGE with a colon. "BREAKING CHANGE #12"
// is an ordinary footer.
func (f *Footer) breaking() bool {
	return (f.Token == "BREAKING CHANGE" || f.Token == "BREAKING-CHANGE") && f.Value != "" && f.Value[0] != '#'
}

func blankLine(s string) bool {
	for i := range len(s) {
		if s[i] != ' ' && s[i] != '\t' {
			return false
		}
	}
	return true
}

// footer splits "Token: value" and "Token #value". value is the offset of the value.
func footer(line string) (token string, value int) {
	i := 0
	if strings.HasPrefix(line, "BREAKING CHANGE") {
		i = len("BREAKING CHANGE")
	} else {
		for i < len(line) && classOf[line[i]] != 0 {
			i++
		}
	}
	switch {
	case i == 0 || line[0] == '-':
		return "", 0
	case strings.HasPrefix(line[i:], ": "):
		return line[:i], i + 2
	case strings.HasPrefix(line[i:], " #"):
		return line[:i], i + 1
	case line[i:] == ":" && strings.HasPrefix(line, "BREAKING"):
		return line[:i], i + 1
	}
	return "", 0
}

// suspicious reports whether a line was probably meant as a BREAKING CHANGE footer.
func suspicious(line string) bool {
	line = strings.TrimLeft(line, " \t*-#_")
	const length = len("breaking")
	if len(line) <= length || line[0]|0x20 != 'b' || !strings.EqualFold(line[:length], "breaking") {
		return false
	}
	before, _, found := strings.Cut(line, ":")
	return found && nearBreaking(strings.Trim(before, "*_ "))
}

// nearBreaking reports whether a token is BREAKING CHANGE, or was probably meant so.
func nearBreaking(token string) bool {
	const length = len("breaking")
	if len(token) < length || !strings.EqualFold(token[:length], "breaking") {
		return false
	}
	switch strings.ToLower(strings.Trim(token[length:], " -_")) {
	case "", "change", "changes", "chang", "chage", "chnage", "changed":
		return true
	}
	return false
}

// Values yields the values of all footers with a token. It ignores the token's case.
func (c *Commit) Values(token string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, f := range c.Footers {
			if strings.EqualFold(f.Token, token) && !yield(f.Value) {
				return
			}
		}
	}
}

// Breaks returns the descriptions of the breaking changes: the BREAKING CHANGE
// footers, or the commit's description if only a "!" marks the change. It returns
// nil if nothing breaks.
func (c *Commit) Breaks() []string {
	if !c.Breaking {
		return nil
	}
	var breaks []string
	for i := range c.Footers {
		if c.Footers[i].breaking() {
			breaks = append(breaks, c.Footers[i].Value)
		}
	}
	if breaks == nil {
		breaks = []string{c.Description}
	}
	return breaks
}

// Reference is an issue or a pull request that a commit refers to.
type Reference struct {
	Action     string // the footer's token, "Closes"; "" in the description
	Repository string // "owner/name" before the "#", or ""
	Number     string // after the "#"
}

// References returns the references of the form "#12" in the description and in the
// footers, except BREAKING CHANGE footers.
func (c *Commit) References() []Reference {
	refs := appendReferences(nil, "", c.Description)
	for i := range c.Footers {
		if f := &c.Footers[i]; !f.breaking() {
			refs = appendReferences(refs, f.Token, f.Value)
		}
	}
	return refs
}

func appendReferences(refs []Reference, action, s string) []Reference {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '#')
		if i < 0 {
			return refs
		}
		i += at
		start, end := i, i+1
		for start > at && (classOf[s[start-1]] != 0 || strings.IndexByte("_./", s[start-1]) >= 0) {
			start--
		}
		for end < len(s) && s[end]-'0' <= 9 {
			end++
		}
		repository := s[start:i]
		if end > i+1 && (repository == "" || strings.Count(repository, "/") == 1) && (end == len(s) || classOf[s[end]] == 0) {
			refs = append(refs, Reference{action, repository, s[i+1 : end]})
		}
		at = end
	}
}
