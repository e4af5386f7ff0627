package planfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// isJSON reports whether body is to be read as JSON: it has the name of a JSON file, or it is
// JSON. What JSON and YAML have in common means the same in both.
func isJSON(name string, body []byte) bool {
	if strings.HasSuffix(strings.ToLower(name), ".json") {
		return true
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(body)
}

// jsonReader makes nodes of JSON.
type jsonReader struct {
	body     []byte
	d        *json.Decoder
	problems []*Problem
	// Where the reader is: an offset with its line and column.
	offset, line, column int
}

func parseJSON(body []byte) (*node, []*Problem) {
	r := &jsonReader{body: body, d: json.NewDecoder(bytes.NewReader(body)), line: 1, column: 1}
	r.d.UseNumber()
	n, err := r.value(at{}, 1)
	if err == nil {
		end := r.next()
		if _, err = r.d.Token(); errors.Is(err, io.EOF) {
			return n, r.problems
		}
		r.report(end, at{}, "more text after the plan", "one plan")
		return nil, r.problems
	}
	r.fail(err)
	return nil, r.problems
}

// errStopped means that a problem was reported beyond which nothing can be read.
var errStopped = errors.New("stopped")

// fail reports an error of the decoder.
func (r *jsonReader) fail(err error) {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errStopped):
	case errors.As(err, &syntax):
		r.report(int(max(syntax.Offset-1, 0)), at{}, shown(syntax.Error()), "JSON")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.report(len(r.body), at{}, "the text ends too early", "JSON")
	default:
		r.report(r.next(), at{}, shown(err.Error()), "JSON")
	}
}

func (r *jsonReader) report(offset int, a at, detail, want string) {
	line, column := position(r.body, offset)
	r.problems = append(r.problems, &Problem{Line: line, Column: column, Pointer: a.pointer, Path: a.path, Detail: detail, Want: want})
}

// next returns the offset of the next token.
func (r *jsonReader) next() int {
	i := int(r.d.InputOffset())
	for i < len(r.body) && strings.IndexByte(" \t\r\n,:", r.body[i]) >= 0 {
		i++
	}
	return i
}

// position returns the line and the column of the next token.
func (r *jsonReader) position() (line, column int) {
	for next := r.next(); r.offset < next; {
		c, size := utf8.DecodeRune(r.body[r.offset:])
		r.offset += size
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
	return r.line, r.column
}

// value reads one value.
func (r *jsonReader) value(a at, depth int) (*node, error) {
	offset := r.next()
	line, column := r.position()
	n := &node{line: line, column: column}
	token, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if depth > maxDepth {
			r.report(offset, a, fmt.Sprintf("more than %d levels", maxDepth), "fewer levels")
			return nil, errStopped
		}
		if v == '{' {
			n.kind = object
			return n, r.members(n, a, depth)
		}
		n.kind = list
		return n, r.items(n, a, depth)
	case string:
		n.kind, n.value = text, v
	case json.Number:
		n.kind, n.value = number, v.String()
	case bool:
		n.kind, n.value = boolean, fmt.Sprint(v)
	default:
		n.kind = null
	}
	return n, nil
}

func (r *jsonReader) members(n *node, a at, depth int) error {
	for r.d.More() {
		line, column := r.position()
		token, err := r.d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder accepts no other names
		value, err := r.value(a.under("", name), depth+1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name: name, line: line, column: column, value: value})
	}
	_, err := r.d.Token()
	return err
}

func (r *jsonReader) items(n *node, a at, depth int) error {
	for r.d.More() {
		value, err := r.value(a.item(len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, value)
	}
	_, err := r.d.Token()
	return err
}
