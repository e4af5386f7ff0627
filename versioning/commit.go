package versioning

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// MaxMessageLength is the length in bytes of the longest commit message that
// [ParseCommit] reads.
const MaxMessageLength = 1 << 20

// Commit is a commit message after Conventional Commits 1.0.0. Line ends are
// "\n" whatever they were, and bytes that are not UTF-8 are U+FFFD.
type Commit struct {
	// Type is what kind of change it is, "feat", in lower case.
	Type string
	// Scope is the part of the code that changed, "parser", or "".
	Scope string
	// Description is the rest of the header.
	Description string
	// Body is what stands between header and footers, without blank lines around.
	Body string
	// Footers are the trailers, in their order.
	Footers []Footer
	// Breaking reports a "!" in the header or a BREAKING CHANGE footer.
	Breaking bool
	// Ignored is what looks as if it meant something and does not.
	Ignored []Ignored
}

// Footer is one trailer of a commit message, "Refs: #12" or "Closes #12".
type Footer struct {
	Token string // as written: "Signed-off-by", "BREAKING CHANGE"
	Value string // may have several lines; begins with "#" when that separated it
}

// Ignored is a piece of text that was passed over, and why.
type Ignored struct {
	Text, Reason string
}

// CommitError says why a message is not a conventional commit.
type CommitError struct {
	// Header is the first line of the message that is not empty.
	Header string
	// Pos is the byte of Header at which the trouble begins.
	Pos int
	// Problem says what is wrong and what would be accepted.
	Problem string
}

func (e *CommitError) Error() string {
	return fmt.Sprintf("versioning: %q is not a conventional commit: %s at byte %d", clip(e.Header), e.Problem, e.Pos)
}

// ParseCommit reads a commit message after Conventional Commits 1.0.0. The body
// never makes it fail: only a header that is not "type(scope)!: description"
// does, or a message above [MaxMessageLength], with a [*CommitError].
//
// Where the specification leaves room: types are lowered, as all but BREAKING
// CHANGE is case-insensitive; blanks around scope and description are dropped;
// a first body line without a blank line before it is body. A footer's value
// ends at the next footer, blank lines notwithstanding. "BREAKING CHANGE:" at
// the end of a line counts, as editors and git remove the blank behind it.
func ParseCommit(message string) (Commit, error) {
	if len(message) > MaxMessageLength {
		return Commit{}, &CommitError{message[:shown], 0, fmt.Sprintf("%d bytes, want at most %d", len(message), MaxMessageLength)}
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

// header reads "type(scope)!: description".
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
			return i, "a scope is a noun in one pair of parentheses"
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
		return i, "no colon behind type and scope, " + headerForm
	}
	if i+1 >= len(s) || s[i+1] != ' ' {
		return i + 1, "no space behind the colon, " + headerForm
	}
	c.Description = strings.TrimSpace(s[i+1:])
	if c.Description == "" {
		return i + 1, "the description is empty"
	}
	return 0, ""
}

// rest reads everything below the header: body paragraphs up to the first that
// begins with a footer, and footers from there on.
func (c *Commit) rest(s string) {
	bodyEnd, valueStart := -1, 0 // where the body ends; where the open footer's value begins
	paragraph := false           // the line before was blank
	lines := 0
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
		token, value := footer(line)
		switch {
		case token == "":
			if suspicious(line) {
				c.ignore(line, "a breaking change is announced by \"BREAKING CHANGE: \" at the start of a line, in capitals and with a space behind the colon")
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
			c.Footers = append(c.Footers, Footer{Token: token})
			valueStart = at + value
		}
		if lines == 0 && !paragraph && token == "" {
			c.ignore(line, "no blank line behind the header")
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

// trimBlank removes blank lines around s and blanks at its end.
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

// breaking reports BREAKING CHANGE with a colon; "BREAKING CHANGE #12" is a
// footer like any other.
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

// footer splits "Token: value" and "Token #value"; value is where the value
// begins.
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

// suspicious reports a line that was probably meant to announce a break.
func suspicious(line string) bool {
	line = strings.TrimLeft(line, " \t*-#")
	const length = len("breaking change")
	return len(line) > length && (line[0] == 'B' || line[0] == 'b') && line[length] == ':' &&
		(strings.EqualFold(line[:length], "breaking change") || strings.EqualFold(line[:length], "breaking-change"))
}

// Values yields the values of all footers with a token, in any case.
func (c *Commit) Values(token string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, f := range c.Footers {
			if strings.EqualFold(f.Token, token) && !yield(f.Value) {
				return
			}
		}
	}
}

// Breaks returns what the commit says about each thing that it breaks: its
// BREAKING CHANGE footers, or its description when only a "!" says so.
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

// CoAuthors returns the values of the Co-authored-by footers, "Name <address>".
func (c *Commit) CoAuthors() []string {
	var who []string
	for v := range c.Values("Co-authored-by") {
		who = append(who, v)
	}
	return who
}

// Reference is an issue or a pull request that a commit names.
type Reference struct {
	Action     string // the footer's token, "Closes"; "" in the description
	Repository string // "owner/name" before the "#", or ""
	Number     string // behind the "#"
}

// References returns what the commit refers to with "#": in its description and
// in its footers, but for what they say about breaks.
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
