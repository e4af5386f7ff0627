package planfile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest size of a plan file in bytes: 256 KiB.
const MaxSize = 256 << 10

// maxDepth is how deep objects and lists may be nested.
const maxDepth = 32

// kind is the form of a value.
type kind int

const (
	object kind = iota
	list
	text
	number
	boolean
	null
	given // the text of a Setting, which may stand for any scalar
)

var kindNames = [...]string{"an object", "a list", "a text", "a number", "true or false", "empty", "a text"}

// node is a value of a plan file. YAML and JSON become the same nodes.
type node struct {
	kind         kind
	value        string // of a scalar, as it is written
	members      []member
	items        []*node
	line, column int  // 0 if the value is not in the text
	reported     bool // that it is no value; nothing else is said about it
}

// member is a field of an object and where its name is.
type member struct {
	name         string
	line, column int
	value        *node
}

// member returns the value of the named field, or nil.
func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// set makes value the value of the named field.
func (n *node) set(name string, value *node) {
	for i, m := range n.members {
		if m.name == name {
			n.members[i].value = value
			return
		}
	}
	n.members = append(n.members, member{name: name, value: value})
}

// describe returns what n is, for people.
func (n *node) describe() string {
	switch n.kind {
	case object, list, null:
		return kindNames[n.kind]
	}
	if n.value == "" {
		return `""`
	}
	return shown(n.value)
}

// at is the place of a value: in the plan as Go names it, as a JSON Pointer, and for people.
type at struct{ field, pointer, path string }

// inPointer escapes the names in a JSON Pointer.
var inPointer = strings.NewReplacer("~", "~0", "/", "~1")

// under returns the place of the member of a file that becomes the named Go field.
func (a at) under(field, name string) at {
	if field != "" {
		a.field += "." + field
	}
	a.pointer += "/" + inPointer.Replace(name)
	if a.path != "" {
		a.path += "."
	}
	a.path += shown(name)
	return a
}

// item returns the place of the i-th item of a list.
func (a at) item(i int) at {
	index := strconv.Itoa(i)
	a.field += "[" + index + "]"
	a.pointer += "/" + index
	a.path += "[" + index + "]"
	return a
}

// problemAt returns a problem of n.
func problemAt(n *node, a at, detail, want string) *Problem {
	return &Problem{Line: n.line, Column: n.column, Pointer: a.pointer, Path: a.path, Detail: detail, Want: want}
}

// position returns the line and the column of an offset into body.
func position(body []byte, offset int) (line, column int) {
	before := body[:min(offset, len(body))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte{'\n'}), 1 + utf8.RuneCount(before[start:])
}

// parse returns the value in body. It returns nil if body cannot be read any further.
func parse(name string, body []byte) (*node, []*Problem) {
	if len(body) > MaxSize {
		return nil, []*Problem{{Detail: fmt.Sprintf("%d bytes", len(body)), Want: fmt.Sprintf("up to %d", MaxSize)}}
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if problems := badCharacters(body); problems != nil {
		return nil, problems
	}
	if isJSON(name, body) {
		return parseJSON(body)
	}
	return parseYAML(body)
}

// badCharacters reports bytes that are no UTF-8 and characters that make a text look like
// another one.
func badCharacters(body []byte) (problems []*Problem) {
	for i := 0; i < len(body); {
		r, size := utf8.DecodeRune(body[i:])
		var detail, want string
		switch {
		case r == utf8.RuneError && size == 1:
			detail, want = fmt.Sprintf("the byte 0x%02x", body[i]), "UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', 0x7f <= r && r <= 0x9f, r == '\u2028', r == '\u2029':
			detail, want = fmt.Sprintf("the control character U+%04X", r), `text without it, or an escape such as "\u0007"`
		case r == '\u061c', r == '\u200e', r == '\u200f', '\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069':
			detail, want = fmt.Sprintf("the character U+%04X, which changes the direction of writing", r), `text without it, or an escape such as "\u202e"`
		case r == '\ufeff':
			detail, want = "a byte order mark", "one only at the beginning"
		}
		if detail != "" {
			line, column := position(body, i)
			problems = append(problems, &Problem{Line: line, Column: column, Detail: detail, Want: want})
			if len(problems) == maxProblems {
				return problems
			}
		}
		i += size
	}
	return problems
}
