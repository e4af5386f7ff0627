package exposition

import "strings"

// cursor reads one line, or the labels of one. A method that finds something else than it
// needs sets want and returns false.
type cursor struct {
	s    string
	i    int
	om   bool // OpenMetrics
	want string
}

func (c *cursor) fail(want string) bool {
	c.want = want
	return false
}

// at reports whether the next byte is b.
func (c *cursor) at(b byte) bool { return c.i < len(c.s) && c.s[c.i] == b }

// skip moves past b, if it is next.
func (c *cursor) skip(b byte) bool {
	if c.at(b) {
		c.i++
		return true
	}
	return false
}

// blanks moves past blanks and tabs. OpenMetrics has none of them.
func (c *cursor) blanks() {
	if !c.om {
		for c.i < len(c.s) && (c.s[c.i] == ' ' || c.s[c.i] == '\t') {
			c.i++
		}
	}
}

// token reads up to the next blank, or the end.
func (c *cursor) token() string {
	start := c.i
	for c.i < len(c.s) && c.s[c.i] != ' ' && (c.om || c.s[c.i] != '\t') {
		c.i++
	}
	return c.s[start:c.i]
}

// Classes of bytes in names.
const (
	letter = 1 << iota // letters and underscores
	digit
	colon
)

var classes = func() (t [256]byte) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = letter, letter
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = digit
	}
	t['_'], t[':'] = letter, colon
	return t
}()

// name reads an unquoted name: of a metric if extra is colon, of a label if it is 0.
func (c *cursor) name(extra byte) string {
	start := c.i
	if c.i < len(c.s) && classes[c.s[c.i]]&(letter|extra) != 0 {
		for c.i++; c.i < len(c.s) && classes[c.s[c.i]]&(letter|digit|extra) != 0; {
			c.i++
		}
	}
	return c.s[start:c.i]
}

// metricName reads a name in a HELP, TYPE or UNIT line, or before labels.
func (c *cursor) metricName() (string, bool) {
	if c.at('"') {
		name, ok := c.quoted()
		if ok && name == "" {
			return "", c.fail("the name of a metric")
		}
		return unescape(name, c.om), ok
	}
	name := c.name(colon)
	if name == "" {
		return "", c.fail("the name of a metric")
	}
	return name, true
}

// quoted reads a text in quotes, and returns it with its escapes.
func (c *cursor) quoted() (string, bool) {
	if !c.skip('"') {
		return "", c.fail(`a text in quotes, "`)
	}
	rest := c.s[c.i:]
	end := strings.IndexByte(rest, '"')
	if end >= 0 && strings.IndexByte(rest[:end], '\\') < 0 {
		c.i += end + 1
		return rest[:end], true
	}
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			c.i += i + 1
			return rest[:i], true
		case '\\':
			i++
			if i < len(rest) && !c.om && rest[i] != '\\' && rest[i] != '"' && rest[i] != 'n' {
				c.i += i
				return "", c.fail(`an escape \\, \" or \n`)
			}
		}
	}
	c.i = len(c.s)
	return "", c.fail(`a quote " at the end of the text, before the end of the line`)
}

// item reads a label, or the quoted name of the metric. The value has its escapes.
func (c *cursor) item() (name, value string, isLabel, ok bool) {
	if c.at('"') {
		if name, ok = c.quoted(); !ok {
			return "", "", false, false
		}
		if name == "" {
			return "", "", false, c.fail("a name that is not empty")
		}
		name = unescape(name, c.om)
		c.blanks()
		if !c.at('=') {
			return name, "", false, true
		}
	} else if name = c.name(0); name == "" {
		return "", "", false, c.fail("the name of a label")
	}
	c.blanks()
	if !c.skip('=') {
		return "", "", false, c.fail("= after the name of a label")
	}
	c.blanks()
	value, ok = c.quoted()
	return name, value, true, ok
}
